// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import KernelConfig
import KernelMake
import Processes
import SystemPackage

/// A build in the user's own tree, as the user's own `make` would do it: with the tree's configuration, the user's
/// environment and the compiler that built it so far, so that only what changed is compiled.
public struct InTreeBuild: Sendable, Equatable {
    /// The tree.
    public let tree: FilePath
    /// The command that brings the kernel and its modules up to date.
    public let command: Command
    /// The words of make for any target.
    private let words: [String]
    /// Whether the kernel has modules.
    public let hasModules: Bool

    /// Reads the tree's configuration and chooses the command.
    ///
    /// - Parameters:
    ///   - tree: The tree.
    ///   - jobs: How many recipes run at once.
    ///   - environment: The user's environment, which make gets whole.
    /// - Throws: `Failure` (`build`) when the tree has no configuration, or one for another architecture.
    public init(tree: FilePath, jobs: Int, environment: [String: String]) throws {
        self.tree = tree
        let file = tree.appending(".config")
        guard fileExists(file) else {
            throw Failure(
                .build, "there is no \(file), and --in-tree does not make one", nextStep: "make -C \(tree) defconfig")
        }
        let text = try readText(file)
        let config = ConfigFile(parsing: text).values
        guard config["X86_64"] == .yes, config["UML"] != .yes else {
            throw Failure(
                .build, "\(file) is not a configuration for x86-64",
                nextStep: "leave out --in-tree, or configure it anew")
        }
        words =
            ["--directory=\(tree)", "--no-print-directory", "--jobs=\(jobs)"]
            + Self.compiler(of: tree, text, environment)
        hasModules = config["MODULES"] == .yes
        command = Self.make(words + (hasModules ? ["bzImage", "modules"] : ["bzImage"]))
    }

    private static func make(_ words: [String]) -> Command {
        // kbuild reads the compiler's messages.
        Command("make", words, environment: ["LC_ALL": "C"])
    }

    /// The command that installs the modules of the last build, stripped, below a folder in place of /.
    public func installation(below root: FilePath) -> Command {
        Self.make(words + ["INSTALL_MOD_PATH=\(root)", "INSTALL_MOD_STRIP=1", "modules_install"])
    }

    /// The modules' files, after a build.
    ///
    /// - Throws: `Failure` (`infrastructure`) when make's list of them cannot be read.
    public func modules() throws -> [FilePath] {
        guard hasModules else { return [] }
        return try readText(tree.appending("modules.order")).textLines().map { line in
            // "kernel/fs/9p/9p.ko" up to 6.1, "fs/9p/9p.o" in newer kernels.
            let path =
                line.hasPrefix("kernel/") && !fileExists(tree.pushing(FilePath(String(line))))
                ? line.dropFirst("kernel/".count) : line[...]
            let stem = path.lastIndex(of: ".").map { path[..<$0] } ?? path
            return tree.pushing(FilePath("\(stem).ko"))
        }
    }

    /// The variables that select the compiler of the last build. Another compiler, or the same by another command,
    /// would compile the user's whole tree again.
    ///
    /// make's record of an object has the command: `cmd_init/main.o := ccache gcc -Wp,...`, in newer kernels
    /// `savedcmd_init/main.o := ...`.
    private static func compiler(of tree: FilePath, _ config: String, _ environment: [String: String]) -> [String] {
        guard environment["LLVM"] == nil, environment["CC"] == nil, environment["CROSS_COMPILE"] == nil else {
            return []
        }
        guard let record = try? readText(tree.pushing("init/.main.o.cmd")),
            let line = record.textLines().first(where: { $0.contains("cmd_init/main.o := ") }),
            let start = line.firstRange(of: " := "),
            let end = line[start.upperBound...].firstRange(of: " -")?.lowerBound
        else { return compiler(ofConfiguration: config) }
        let command = String(line[start.upperBound..<end])
        // LLVM=1 also selects its linker and tools, and LLVM=-15 those of a version.
        if config.contains("\nCONFIG_LD_IS_LLD=y"), let name = command.split(separator: " ").last,
            let suffix = name.split(separator: "/").last, suffix.hasPrefix("clang")
        {
            let version = suffix.dropFirst("clang".count)
            let llvm = version.isEmpty ? "LLVM=1" : "LLVM=\(version)"
            return name == command ? [llvm] : [llvm, "CC=\(command)"]
        }
        return command == "gcc" ? [] : ["CC=\(command)"]
    }

    /// The same by the configuration of a tree that was not built yet: it has the first line of the compiler's
    /// `--version` (CONFIG_CC_VERSION_TEXT, init/Kconfig).
    private static func compiler(ofConfiguration config: String) -> [String] {
        let key = "CONFIG_CC_VERSION_TEXT=\""
        guard let line = config.textLines().first(where: { $0.hasPrefix(key) }) else { return [] }
        let words = line.dropFirst(key.count).split(separator: " ")
        if words.contains("clang") { return config.contains("\nCONFIG_LD_IS_LLD=y") ? ["LLVM=1"] : ["CC=clang"] }
        // gcc-12 of Debian names itself gcc-12, and gcc names itself gcc.
        guard let name = words.first, name.hasPrefix("gcc-"), name.dropFirst(4).allSatisfy(\.isNumber) else {
            return []
        }
        return ["CC=\(name)"]
    }

    /// The time for make to end after an interrupt. A recipe that is killed leaves a part of an object, which the
    /// user's next make would take for a whole one.
    private static let grace: Duration = .seconds(10)

    /// Brings the kernel up to date.
    ///
    /// - Parameter log: The file for make's output, without most of a very long one; an earlier file is replaced.
    /// - Throws: `Failure` (`build`) with the compiler's diagnostics; `CancellationError`.
    public func run(by runner: CommandRunner, _ progress: ProgressSink, log: FilePath) async throws {
        var runner = runner
        runner.grace = Self.grace
        let made = try await LoggedRun(command, by: runner, progress, log: log)
        guard !made.status.isSuccess else { return }
        let report = BuildLog.report(made.lines, make: KernelMake(tree: tree, output: tree), userFiles: [:])
        throw Failure(
            .build, "the kernel did not build in \(tree)", details: report.details + "\nthe whole log: \(log)",
            nextStep: report.nextStep)
    }
}
