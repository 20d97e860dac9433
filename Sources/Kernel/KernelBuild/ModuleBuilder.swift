// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import IncrementalBuild
import KernelMake
import Processes
import SystemPackage

/// Builds modules outside of the kernel's tree, with the kernel's own makefiles (Documentation/kbuild/modules.rst).
///
/// make reads the kernel's tree and its output, and writes only to the module's folder.
public struct ModuleBuilder: Sendable {
    private let runner: CommandRunner
    private let progress: ProgressSink
    private let environment: [String: String]

    /// Creates a builder.
    ///
    /// - Parameter environment: kbuild's own environment; none of it may reach make.
    public init(runner: CommandRunner, progress: ProgressSink = .silent, environment: [String: String]) {
        (self.runner, self.progress, self.environment) = (runner, progress, environment)
    }

    /// The folder of a module, and how it is compiled.
    public struct Folder: Sendable, Equatable {
        /// The folder with the sources, for make's output too.
        public var path: FilePath
        /// The compiler's flags beyond the kernel's.
        public var flags: [String]
        /// The Module.symvers of modules whose symbols these may use.
        public var symbols: [FilePath]
        /// The files that were changed since make built everything there, with the same command and the same kernel;
        /// nil when that is not known, or files are new or gone.
        public var changes: Set<String>?

        /// Describes a folder.
        public init(path: FilePath, flags: [String], symbols: [FilePath] = []) {
            (self.path, self.flags, self.symbols) = (path, flags, symbols)
        }
    }

    /// The name of make's list of a folder's modules.
    public static let orderFile = "modules.order"
    /// The name of make's list of the symbols that a folder's modules export.
    public static let symbolsFile = "Module.symvers"

    /// The make command for a folder.
    public func command(_ make: KernelMake, _ folder: Folder) -> Command {
        var make = make
        // For one file of some hundred lines ccache costs more than it gives, and an object from another folder names
        // that folder's files.
        make.usesCcache = false
        make.variables += ["M=\(folder.path)", "KCFLAGS=\(folder.flags.joined(separator: " "))"]
        if !folder.symbols.isEmpty {
            make.variables.append(
                "KBUILD_EXTRA_SYMBOLS=\(folder.symbols.map(\.string).joined(separator: " "))")
        }
        return make.command(["modules"], environment: environment)
    }

    /// Builds the modules of a folder, as far as they are not up to date.
    ///
    /// - Parameters:
    ///   - make: How the kernel was built.
    ///   - name: The folder's name in messages.
    ///   - log: The file for all output of make.
    ///   - userFiles: The user's own files: for each path of the folder, the path that the user knows.
    /// - Returns: The modules' files, in make's order.
    /// - Throws: `Failure` (`build`) with the compiler's diagnostics; `CancellationError`.
    public func build(
        _ make: KernelMake, _ folder: Folder, name: String, log: FilePath, userFiles: [String: String]
    ) async throws -> [FilePath] {
        if let replay = try folder.changes.flatMap({ try ModuleReplay(in: folder.path, changed: $0, make: make) }) {
            let script = folder.path.appending(ModuleReplay.scriptName)
            try writeAtomically(replay.script, to: script)
            let command = Command(
                "env", ["-i", "PATH=\(environment["PATH"] ?? "")", "LC_ALL=C", "sh", script.string],
                workingDirectory: make.output)
            let replayed = try await LoggedRun(command, by: runner, progress, log: log)
            if replayed.status.isSuccess {
                noteWarnings(replayed.lines, make, userFiles)
                return replay.modules
            }
            // make would fail with the same compiler error, only later.
            if BuildLog.report(replayed.lines, make: make, userFiles: userFiles).isSourceError {
                throw failure(replayed.lines, make, name: name, log: log, userFiles)
            }
            progress(.detail("make builds \(name): the replay of its commands failed"))
        }
        let made = try await LoggedRun(command(make, folder), by: runner, progress, log: log)
        guard made.status.isSuccess else { throw failure(made.lines, make, name: name, log: log, userFiles) }
        noteWarnings(made.lines, make, userFiles)
        return try modules(of: folder, name: name, log: log)
    }

    private func failure(
        _ lines: [String], _ make: KernelMake, name: String, log: FilePath, _ userFiles: [String: String]
    ) -> Failure {
        let report = BuildLog.report(lines, make: make, userFiles: userFiles)
        return Failure(
            .build, "the module \(name) did not build", details: report.details + "\nthe whole log: \(log)",
            nextStep: report.nextStep)
    }

    private func noteWarnings(_ lines: [String], _ make: KernelMake, _ userFiles: [String: String]) {
        for warning in BuildLog.warnings(lines, make: make, userFiles: userFiles).prefix(Self.mostWarnings) {
            progress(.note(warning))
        }
    }

    /// The modules that make has listed.
    private func modules(of folder: Folder, name: String, log: FilePath) throws -> [FilePath] {
        let order = folder.path.appending(Self.orderFile)
        let objects = fileExists(order) ? try readText(order).textLines() : []
        let modules = objects.compactMap { line -> FilePath? in
            // "/folder/ring.o" since 6.2, "/folder/ring.ko" before.
            guard let dot = line.lastIndex(of: ".") else { return nil }
            return folder.path.pushing(FilePath(String(line[..<dot]) + ".ko")).lexicallyNormalized()
        }
        guard !modules.isEmpty, modules.allSatisfy({ $0.starts(with: folder.path) && fileExists($0) }) else {
            throw Failure(
                .build, "\(name) makes no module", details: "the whole log: \(log)",
                nextStep: "name its object in the folder's Kbuild: obj-m := \(name).o")
        }
        return modules
    }

    private static let mostWarnings = 20
}
