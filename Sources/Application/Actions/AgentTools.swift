// SPDX-License-Identifier: Apache-2.0
import AgentServer
import Artifacts
import Diagnostics
import Foundation
import Processes
import Reporting
import ResultsModel
import Synchronization
import SystemPackage

/// The tools that `kbuild mcp` offers to an agent.
///
/// Each call starts kbuild itself as a child, so that a call has a process, locks and limits of its own, and its crash
/// or cancellation does not affect the server. Arguments become one word each, `--option=value`, so that no text of an
/// agent can become an option. No option is offered that writes to files outside of the project.
public struct AgentTools: Sendable {
    private let executable: FilePath
    private let project: String?
    private let folder: FilePath
    private let runner: CommandRunner

    /// The time that a cancelled kbuild has to end its own children, whose guests end within seconds.
    private static let grace: Duration = .seconds(10)
    /// The most bytes of the text of a result, unless a call asks for another limit.
    private static let usualLimit = 32 << 10
    /// The most bytes kept of a child's output, of which a result shows a part.
    private static let mostOutput = 64 << 20

    /// Creates the tools.
    ///
    /// - Parameters:
    ///   - executable: The kbuild executable.
    ///   - project: The project's folder or file as given to the server; nil for the one of `folder`.
    ///   - folder: The working directory.
    ///   - runner: Starts the children.
    public init(executable: FilePath, project: String?, folder: FilePath, runner: CommandRunner) {
        var patient = runner
        patient.grace = Self.grace
        (self.executable, self.project, self.folder, self.runner) = (executable, project, folder, patient)
    }

    /// Advice on the tools.
    public static let instructions = """
        kbuild patches, builds, boots and tests a Linux kernel. Call run or test after each change; a kernel that has not \
        changed is not built again. Exit codes: 0 all passed, 1 a test failed or did not report, 2 a wrong argument or \
        project file, 3 a patch does not apply, 4 configure or compile failed, 5 the guest's kernel crashed, 6 a time \
        limit, 7 a tool is missing or no test ran. A first build of a kernel takes minutes. The text of a result says how \
        many bytes were left out; maxBytes asks for more.
        """

    /// The tools.
    public var tools: [AgentTool] {
        [
            AgentTool(
                "run",
                """
                Patches, builds, boots and tests the project's kernel, and returns the report: failed tests with their \
                messages, crash reports of the kernel, and the verdict in the last line.
                """,
                parameters: Self.runParameters, isReadOnly: false
            ) { arguments, progress in
                try await run("run", arguments, pattern: nil, progress)
            },
            AgentTool(
                "test",
                "Like run, but only for the tests whose names match a pattern, or for a collection of the kernel's own tests.",
                parameters: [Self.patternParameter] + Self.runParameters, isReadOnly: false
            ) { arguments, progress in
                try await run("test", arguments, pattern: arguments.text("pattern"), progress)
            },
            AgentTool(
                "command",
                """
                Boots the project's guest, runs one command there and returns its exit code, standard output and standard \
                error. The guest ends with the command; what it writes is lost, except in the project's writable shares.
                """,
                parameters: [Self.commandParameter] + Self.machineParameters + [Self.limitParameter], isReadOnly: false
            ) { arguments, progress in
                try await command(arguments, progress)
            },
            AgentTool(
                "report",
                "Returns the report of a kept run, the list of kept runs, or how two runs differ.",
                parameters: [
                    .init("run", .text, "-1 for the last run (the default), -2 for the one before, or a run's name."),
                    .init("compareWith", .text, "The earlier run, for a comparison."),
                    .init("list", .flag, "Return the list of kept runs."), Self.limitParameter,
                ], isReadOnly: true
            ) { arguments, _ in
                try await report(arguments)
            },
            AgentTool(
                "parse",
                """
                Reads a log that kbuild did not make: crash reports in a kernel's console log, or results in KTAP or TAP. \
                Give either text or path.
                """,
                parameters: [
                    .init("kind", .choice(["console", "ktap"]), "The kind of log.", isRequired: true),
                    .init("text", .text, "The log itself."),
                    .init("path", .text, "The path of the log, absolute or relative to the server's folder."),
                    Self.limitParameter,
                ], isReadOnly: true
            ) { arguments, _ in
                try await parse(arguments)
            },
            AgentTool(
                "syscall_check",
                """
                Reports mistakes in how patches or specs register system calls: numbers, tables, prototypes, Makefiles. \
                Builds nothing.
                """,
                parameters: [
                    .init("paths", .texts(atLeast: 0), "Folders or patch files. Default: the project's patches."),
                    .init("kernel", .text, "Another kernel source, such as linux-source-6.12."),
                    .init("profile", .text, "A profile of kbuild.yaml."), Self.limitParameter,
                ], isReadOnly: true
            ) { arguments, _ in
                try await syscallCheck(arguments)
            },
        ]
    }

    private static let limitParameter = AgentParameter(
        "maxBytes", .integer(1024...(1 << 20)), "The most bytes of text in the result. Default: \(usualLimit).")
    private static let machineParameters: [AgentParameter] = [
        .init("profile", .text, "A profile of kbuild.yaml."),
        .init(
            "kernel", .text,
            "Another kernel: a source such as linux-source-6.12, a folder or a tarball, or an installed kernel's release."
        ),
        .init("machine", .choice(["auto", "microvm", "q35", "pc", "uml"]), "The machine. Default: the project's."),
        .init("timeout", .text, "The time limit for the guests, such as 90s or 5m."),
    ]
    private static let testParameters: [AgentParameter] = [
        .init(
            "check", .text,
            "Checkers to turn on, separated by commas: memory, races, locks, leaks, stack, undefined, or all."),
        .init("coverage", .flag, "Collect coverage of the project's C files."),
        .init("repeat", .integer(1...1000), "Run the tests so many times, and say how often they fail."),
    ]
    private static let runParameters = machineParameters + testParameters + [limitParameter]
    private static let patternParameter = AgentParameter(
        "pattern", .text, "A regular expression on the tests' names, or kselftest:NAME, kunit, kunit:PATTERN.",
        isRequired: true)
    private static let commandParameter = AgentParameter(
        "command", .texts(atLeast: 1),
        "The program and its arguments, one string each; [\"sh\", \"-c\", \"...\"] for a shell's line.",
        isRequired: true)

    // MARK: Calls

    private func options(_ arguments: AgentArguments, _ names: [String]) -> [String] {
        names.compactMap { name in arguments.text(name).map { "--\(name)=\($0)" } }
    }

    private func limit(_ arguments: AgentArguments) -> Int { arguments.integer("maxBytes") ?? Self.usualLimit }

    /// The option for the server's project.
    private var projectOption: [String] { project.map { ["--project=\($0)"] } ?? [] }

    private func run(
        _ verb: String, _ arguments: AgentArguments, pattern: String?,
        _ progress: @escaping @Sendable (AgentProgress) -> Void
    ) async throws -> AgentResult {
        var words = [verb, "--no-progress", "--quiet", "--format=jsonl"] + projectOption
        words += options(arguments, ["profile", "kernel", "machine", "timeout", "check"])
        if arguments.flag("coverage") { words.append("--coverage") }
        if let count = arguments.integer("repeat") { words.append("--repeat=\(count)") }
        if let pattern { words += ["--", pattern] }
        let child = try await start(words) { line in
            if let message = Self.message(of: line) { progress(AgentProgress(message)) }
        }
        guard let report = child.output.textLines().last.flatMap({ EventLines.report(inLine: $0) }) else {
            return result(child, text: child.errors.isEmpty ? child.output : child.errors, arguments)
        }
        let errors = report.errors.map { $0.failure.terminalText.plain }
        let text = ([TextReport().render(report, showsErrors: false).plain] + errors).joined(separator: "\n")
        return result(child, text: text, verdict: TextReport().verdict(report).plain, arguments)
    }

    /// What a line of `--format jsonl` says about the progress of a run; nil for a line that is not shown.
    static func message(of line: String) -> String? {
        guard !line.hasPrefix(EventLines.reportStart), let event = try? JSONValue(parsing: Array(line.utf8)) else {
            return nil
        }
        func text(_ key: String) -> String { event[key]?.text ?? "" }
        switch event["event"]?.text {
        case "step-started": return "\(text("step"))"
        case "step-finished": return "\(text("step")): \(text("outcome")) \(text("detail"))"
        case "progress":
            guard case .integer(let done)? = event["done"] else { return nil }
            guard case .integer(let total)? = event["total"] else { return "\(text("step")) \(done) \(text("text"))" }
            return "\(text("step")) \(done) of \(total) \(text("text"))"
        case "test-ended": return "\(text("status")): \(text("test"))"
        case "kernel-report": return "kernel: \(text("title"))"
        default: return nil
        }
    }

    private func command(
        _ arguments: AgentArguments, _ progress: @escaping @Sendable (AgentProgress) -> Void
    ) async throws -> AgentResult {
        var words = ["shell", "--no-progress"] + projectOption
        words += options(arguments, ["profile", "kernel", "machine"])
        // A command of an agent has always a limit: nobody sees that it waits.
        words += ["--timeout=\(arguments.text("timeout") ?? "5m")", "--"] + arguments.texts("command")
        progress(AgentProgress("boot"))
        let child = try await start(words)
        let half = limit(arguments) / 2
        let output = BoundedText(child.output, limit: child.errors.isEmpty ? half * 2 : half)
        let errors = BoundedText(child.errors, limit: child.output.isEmpty ? half * 2 : half)
        var text = "exit code \(child.code)\n"
        if !output.text.isEmpty { text += "standard output:\n\(output.text)" }
        if !text.hasSuffix("\n") { text += "\n" }
        if !errors.text.isEmpty { text += "standard error:\n\(errors.text)" }
        return AgentResult(
            text, exitCode: child.code, omittedBytes: output.omitted + errors.omitted + child.omitted)
    }

    private func report(_ arguments: AgentArguments) async throws -> AgentResult {
        let (run, other) = (arguments.text("run"), arguments.text("compareWith"))
        for name in [run, other].compactMap({ $0 }) where !Self.isRunName(name) {
            throw Failure(.usage, "'\(name)' is not a run", nextStep: "name one of the list, or -1 for the last run")
        }
        var words = ["report"] + projectOption
        if arguments.flag("list") {
            words.append("--list")
        } else if let other {
            words += ["--compare", other, run ?? "-1"]
        } else if let run {
            words.append(run)
        }
        return result(try await start(words), arguments)
    }

    /// Whether a text is the number or the name of a kept run, and nothing that kbuild would read as an option or path.
    static func isRunName(_ name: String) -> Bool {
        if name.hasPrefix("-") { return Int(name).map { $0 < 0 } ?? false }
        return !name.isEmpty && !name.hasSuffix(".json")
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
                    UInt8(ascii: ":"):
                    true
                default: false
                }
            }
    }

    private func parse(_ arguments: AgentArguments) async throws -> AgentResult {
        let (text, path) = (arguments.text("text"), arguments.text("path"))
        guard (text == nil) != (path == nil) else { throw Failure(.usage, "give either text or path") }
        let words = ["parse", arguments.text("kind") ?? ""]
        if let path {
            return result(
                try await start(words + ["--", folder.pushing(FilePath(path)).lexicallyNormalized().string]), arguments)
        }
        let file = FilePath(NSTemporaryDirectory()).appending("kbuild-log-\(UUID().uuidString)")
        try writeAtomically(Array((text ?? "").utf8), to: file)
        defer { unlink(file.string) }
        var child = try await start(words + ["--", file.string])
        // The agent knows no such file.
        child.output = child.output.replacing(file.string, with: "the text")
        child.errors = child.errors.replacing(file.string, with: "the text")
        return result(child, arguments)
    }

    private func syscallCheck(_ arguments: AgentArguments) async throws -> AgentResult {
        let words =
            ["syscall", "check", "--no-progress", "--quiet"] + projectOption
            + options(arguments, ["kernel", "profile"]) + ["--"] + arguments.texts("paths")
        return result(try await start(words), arguments)
    }

    // MARK: Children

    /// What a child printed, and how it ended.
    struct Child: Sendable {
        var code: Int
        var output: String
        var errors: String
        /// The bytes that the child printed beyond the most that is kept.
        var omitted = 0
    }

    /// A child's answer: its output and then its errors, shortened.
    private func result(
        _ child: Child, text: String? = nil, verdict: String? = nil, _ arguments: AgentArguments
    ) -> AgentResult {
        let whole = text ?? [child.output, child.errors].filter { !$0.isEmpty }.joined(separator: "\n")
        let bounded = BoundedText(whole, limit: limit(arguments))
        // A test that fails is an answer; what kept kbuild from one is an error.
        let errors: [ExitStatus] = [.usage, .infrastructure, .interrupted]
        return AgentResult(
            bounded.text, exitCode: child.code, verdict: verdict, omittedBytes: bounded.omitted + child.omitted,
            isError: errors.contains { Int($0.rawValue) == child.code } || child.code > 128)
    }

    /// Runs kbuild to its end.
    ///
    /// - Parameter onLine: Called with each line of standard output.
    private func start(_ words: [String], onLine: @escaping @Sendable (String) -> Void = { _ in }) async throws -> Child
    {
        let output = KeptOutput(limit: Self.mostOutput)
        let errors = KeptOutput(limit: Self.mostOutput)
        let status = try await runner.follow(
            Command(
                executable.string, words, environment: ["NO_COLOR": "1", "GITHUB_ACTIONS": nil],
                workingDirectory: folder),
            onOutput: { bytes in for line in output.append(bytes) { onLine(line) } },
            onErrors: { bytes in _ = errors.append(bytes) })
        let code =
            switch status {
            case .exited(let code): Int(code)
            case .signaled(let signal): 128 + Int(signal)
            }
        return Child(
            code: code, output: output.text, errors: errors.text, omitted: output.omitted + errors.omitted)
    }
}

/// The first bytes of a stream.
private final class KeptOutput: Sendable {
    private struct State {
        var bytes: [UInt8] = []
        var splitter = LineSplitter()
        var omitted = 0
    }

    private let limit: Int
    private let state = Mutex(State())

    init(limit: Int) { self.limit = limit }

    /// Adds bytes, and returns the lines that they complete.
    func append(_ more: [UInt8]) -> [String] {
        state.withLock { state in
            let room = limit - state.bytes.count
            state.bytes += more.prefix(room)
            state.omitted += max(0, more.count - room)
            var lines: [String] = []
            state.splitter.consume(more[...]) { if $0.omitted == 0 { lines.append($0.text) } }
            return lines
        }
    }

    /// The text, with malformed UTF-8 escaped.
    var text: String { VisibleText.decoded(state.withLock { $0.bytes }) }
    /// The number of bytes that were not kept.
    var omitted: Int { state.withLock { $0.omitted } }
}
