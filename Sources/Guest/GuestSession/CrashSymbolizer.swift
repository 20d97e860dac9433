// SPDX-License-Identifier: Apache-2.0
import CrashReports
import Diagnostics
import Processes
import ResultsModel
import SystemPackage

/// Adds files and lines to the frames of crash reports, with the binutils.
package struct CrashSymbolizer: Sendable {
    package let runner: CommandRunner
    /// The kernel that ran. The sizes of functions show when it is of another build.
    package let vmlinux: FilePath
    /// The modules with debug information.
    package let modules: [Module]
    /// The kernel's sources; file names are relative to them.
    package let root: FilePath?
    /// The user's files: maps a path in the kernel's tree to the path that the user knows.
    package let ownFiles: [String: String]

    /// A module's file with symbols and lines.
    package struct Module: Sendable, Equatable {
        /// The kernel's name of the module.
        package var name: String
        /// The file.
        package var file: FilePath

        /// Describes a module.
        package init(name: String, file: FilePath) { (self.name, self.file) = (name, file) }
    }

    /// Creates a symboliser for the crash reports of one kernel.
    package init(
        runner: CommandRunner, vmlinux: FilePath, modules: [Module] = [], root: FilePath?,
        ownFiles: [String: String] = [:]
    ) {
        self.runner = runner
        self.vmlinux = vmlinux
        self.modules = modules
        self.root = root
        self.ownFiles = ownFiles
    }

    /// The most addresses looked up; they are passed as arguments.
    static let mostAddresses = 4000

    /// The result of a symbolization.
    package struct Outcome: Sendable {
        package var crashes: [Crash]
        /// A note for a user who expects files and lines; nil when they are complete.
        package var note: String?
    }

    /// Symbolizes crashes. Without debug information in vmlinux they stay unchanged.
    ///
    /// - Throws: `Failure` when a tool is missing or fails; `CancellationError`.
    package func symbolize(_ crashes: [Crash]) async throws -> Outcome {
        try await symbolizeKernel(try await symbolizeModules(crashes))
    }

    /// Symbolizes the frames in modules.
    private func symbolizeModules(_ crashes: [Crash]) async throws -> [Crash] {
        var crashes = crashes
        let named = modules.isEmpty ? [] : Symbolizer.modules(of: crashes)
        for module in modules where named.contains(module.name) {
            var symbolizer = Symbolizer(crashes, module: module.name)
            guard symbolizer.isNeeded else { continue }
            symbolizer.readModuleSymbols(try await runner.output(of: Command("readelf", ["-sW", module.file.string])))
            let addresses = symbolizer.addresses(of: crashes).prefix(Self.mostAddresses)
            guard !addresses.isEmpty else { continue }
            let names = Self.sections(
                inHeaders: try await runner.output(of: Command("readelf", ["-SW", module.file.string])))
            var locations: [UInt64: [StackFrame.Location]] = [:]
            for (section, places) in Dictionary(
                grouping: addresses.map(Symbolizer.place(of:)), by: { $0.section })
            {
                guard let name = names[section] else { continue }
                // In a relocatable file every section begins at address 0.
                let words = places.map { "0x" + String($0.offset, radix: 16) }
                let output = try await runner.output(
                    of: Command("addr2line", ["-e", module.file.string, "-j", name, "-a", "-f", "-i"] + words))
                for (offset, found) in Symbolizer.locations(in: output, root: root?.string) {
                    locations[Symbolizer.address(section: section, offset: offset)] = found
                }
            }
            symbolizer.apply(locations, to: &crashes, ownFiles: ownFiles)
        }
        return crashes
    }

    /// The names of a file's sections by their numbers, from the output of `readelf -SW`: `  [ 1] .text PROGBITS ...`.
    static func sections(inHeaders output: String) -> [Int: String] {
        var names: [Int: String] = [:]
        for line in output.textLines() {
            guard let start = line.firstIndex(of: "["), let end = line.firstIndex(of: "]"), start < end,
                line[..<start].allSatisfy({ $0 == " " }),
                let number = Int(line[line.index(after: start)..<end].filter { $0 != " " }),
                let name = line[line.index(after: end)...].split(separator: " ").first, name.hasPrefix(".")
            else { continue }
            names[number] = String(name)
        }
        return names
    }

    private func symbolizeKernel(_ crashes: [Crash]) async throws -> Outcome {
        var symbolizer = Symbolizer(crashes)
        guard symbolizer.isNeeded else { return Outcome(crashes: crashes) }
        let sections = try await runner.output(of: Command("readelf", ["-SW", vmlinux.string]))
        guard sections.contains(".debug_line") else {
            return Outcome(crashes: crashes, note: "\(vmlinux) has no debug information (CONFIG_DEBUG_INFO)")
        }
        symbolizer.readSymbols(try await runner.output(of: Command("nm", ["-n", vmlinux.string])))
        let addresses = symbolizer.addresses(of: crashes).prefix(Self.mostAddresses)
        var crashes = crashes
        if !addresses.isEmpty {
            let words = addresses.map { "0x" + String($0, radix: 16) }
            let output = try await runner.output(
                of: Command("addr2line", ["-e", vmlinux.string, "-a", "-f", "-i"] + words))
            let locations = Symbolizer.locations(in: output, root: root?.string)
            symbolizer.apply(locations, to: &crashes, ownFiles: ownFiles)
        }
        let strangers = symbolizer.strangers(in: crashes)
        guard strangers > 0 else { return Outcome(crashes: crashes) }
        return Outcome(
            crashes: crashes,
            note: "\(strangers) frames have functions of other sizes than \(vmlinux): it is of another build")
    }
}
