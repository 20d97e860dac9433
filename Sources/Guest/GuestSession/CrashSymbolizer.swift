// SPDX-License-Identifier: Apache-2.0
import CrashReports
import Processes
import ResultsModel
import SystemPackage

/// Adds files and lines to the frames of crash reports, with the binutils.
package struct CrashSymbolizer: Sendable {
    package let runner: CommandRunner
    /// The kernel that ran. The sizes of functions show when it is of another build.
    package let vmlinux: FilePath
    /// The kernel's sources; file names are relative to them.
    package let root: FilePath?
    /// The user's files: maps a path in the kernel's tree to the path that the user knows.
    package let ownFiles: [String: String]

    /// Creates a symboliser for the crash reports of one kernel.
    package init(
        runner: CommandRunner, vmlinux: FilePath, root: FilePath?, ownFiles: [String: String] = [:]
    ) {
        self.runner = runner
        self.vmlinux = vmlinux
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
