// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import IncrementalBuild
import KernelMake
import Processes
import SystemPackage

/// Runs sparse and checkpatch on single files of a kernel's tree.
///
/// sparse gets the options with which the file was compiled, from make's record of it, as `make C=2` would give them.
/// make itself does not run, so that no object is made again.
public struct SourceLint: Sendable {
    /// The tools with what they are called by.
    public static let tools = ["sparse", "perl"]

    /// What runs the tools.
    public let runner: CommandRunner
    let make: KernelMake
    let source: FilePath

    /// Creates a lint.
    ///
    /// - Parameters:
    ///   - runner: What runs the tools; confined where the tree has untrusted code.
    ///   - make: How the kernel was built.
    ///   - source: The kernel's source without patches, whose checkpatch reads the files: a patch must not change
    ///     what judges it.
    public init(runner: CommandRunner, make: KernelMake, source: FilePath) {
        self.runner = runner
        self.make = make
        self.source = source
    }

    /// A file's commands.
    public struct Commands: Sendable, Equatable {
        /// checkpatch.
        public var checkpatch: Command
        /// sparse; nil for a header, and for a C file that is not compiled in this configuration.
        public var sparse: Command?
    }

    /// The commands for a file, which read it and write nothing.
    ///
    /// - Parameter path: The file's path in the tree.
    public func commands(for path: String) -> Commands {
        Commands(
            checkpatch: Command(
                "perl",
                [
                    source.pushing("scripts/checkpatch.pl").string, "--root=\(make.tree)", "--terse",
                    "--show-types", "--no-summary", "--color=never", "--file", path,
                ], environment: ["LC_ALL": "C", "HOME": "/nonexistent"], workingDirectory: make.tree),
            sparse: sparse(path))
    }

    /// What CHECKFLAGS has in the kernel's makefiles (Makefile and arch/x86/Makefile of 6.1 and 6.12).
    private static let checkFlags = [
        "-D__linux__", "-Dlinux", "-D__STDC__", "-Dunix", "-D__unix__", "-Wbitwise", "-Wno-return-void",
        "-Wno-unknown-attribute", "-D__x86_64__", "--arch=x86", "-mlittle-endian", "-m64",
    ]

    private func sparse(_ path: String) -> Command? {
        guard path.hasSuffix(".c"),
            let command = CompileCommands.command(ofObject: path.dropLast(2) + ".o", output: make.output),
            let words = ShellWords.split(command), words.count > 1
        else { return nil }
        var options: [String] = []
        var isName = false
        for word in words.dropFirst().dropLast() {
            // Neither an object nor a list of dependencies is to be written.
            if isName || word == "-c" || word == "-o" || word.hasPrefix("-Wp,-M") {
                isName = word == "-o"
                continue
            }
            options.append(word)
        }
        return Command(
            "sparse", Self.checkFlags + options + [words[words.count - 1]], environment: ["LC_ALL": "C"],
            workingDirectory: make.output)
    }

    /// What the tools report of a file.
    ///
    /// - Parameter commands: The file's commands.
    /// - Throws: `Failure` (`infrastructure`) when a tool is missing or does not get as far as a report;
    ///   `CancellationError`.
    public func findings(by commands: Commands) async throws -> [LintFinding] {
        var found = try await run(commands.checkpatch, as: .checkpatch, folder: make.tree)
        if let sparse = commands.sparse { found += try await run(sparse, as: .sparse, folder: make.output) }
        return found
    }

    private func run(_ command: Command, as tool: LintTool, folder: FilePath) async throws -> [LintFinding] {
        let result = try await runner.capture(command)
        let lines = (result.output + "\n" + result.errors).textLines()
        let found = LintOutput(tree: make.tree, folder: folder).findings(lines, of: tool)
        // Both end with 1 when they report something.
        guard result.status.isSuccess || (result.status == .exited(1) && !found.isEmpty) else {
            throw Failure(
                .infrastructure, "\(tool.rawValue) failed (\(result.status))",
                details: (["\(command)"] + lines.suffix(10).map(String.init)).joined(separator: "\n"),
                nextStep: "run without --lint, or run the command above by hand")
        }
        return found
    }
}

/// Splits a command as a shell does.
enum ShellWords {
    /// The words of a command; nil when it has what a shell would expand or run, or a quote without an end.
    static func split(_ text: String) -> [String]? {
        var words: [String] = []
        var word = ""
        var hasWord = false
        var quote: Character?
        var isEscaped = false
        for character in text {
            if isEscaped {
                if quote == "\"", !"\"\\$`".contains(character) { word.append("\\") }
                word.append(character)
                isEscaped = false
            } else if let open = quote {
                if character == open {
                    quote = nil
                } else if open == "\"", character == "\\" {
                    isEscaped = true
                } else if open == "\"", "$`".contains(character) {
                    return nil
                } else {
                    word.append(character)
                }
            } else if character == "'" || character == "\"" {
                (quote, hasWord) = (character, true)
            } else if character == "\\" {
                (isEscaped, hasWord) = (true, true)
            } else if character == " " || character == "\t" {
                if hasWord { words.append(word) }
                (word, hasWord) = ("", false)
            } else if "$`;|&<>\n".contains(character) {
                return nil
            } else {
                word.append(character)
                hasWord = true
            }
        }
        guard quote == nil, !isEscaped else { return nil }
        if hasWord { words.append(word) }
        return words
    }
}
