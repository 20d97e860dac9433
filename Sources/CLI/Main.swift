// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Glibc
import Processes
import Project
import Reporting
import ResultsModel
import SystemPackage

/// The command line.
struct Kbuild: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kbuild",
        abstract: "Takes a system-call patch to a tested Linux kernel.",
        discussion: """
            kbuild applies the patches that kbuild.yaml names, builds the kernel, boots it in QEMU and runs the test \
            programs in it. One command leads from a patch to a verdict:

              kbuild run                        with the project file here or above
              kbuild run --profile serial       with a profile of the project file
              kbuild run --kernel linux-source-6.12
              kbuild test 'msgbox|order'        only the tests that match
              kbuild help run                   a command's options, and examples
              kbuild help project-file          every key of kbuild.yaml

            Exit codes: 0 all passed, 1 a test failed, 2 usage or project file, 3 a patch does not apply, 4 configure \
            or compile failed, 5 the guest crashed, 6 a time limit, 7 a tool is missing or no test ran, 130 \
            interrupted.
            """,
        version: kbuildVersion,
        subcommands: [
            RunCommand.self, TestCommand.self, WatchCommand.self, ShellCommand.self, DebugCommand.self,
            BuildCommand.self, BisectCommand.self, PatchCommand.self,
            SyscallCommand.self, ModuleCommand.self, ConfigCommand.self, RootfsCommand.self, ReportCommand.self,
            ParseCommand.self,
            DoctorCommand.self,
            InitCommand.self, MCPCommand.self,
            CacheCommand.self, CleanCommand.self,
        ])
}

@main
enum Main {
    static func main() async {
        let arguments = CommandLine.arguments
        if arguments.count > 2, arguments[1] == CommandRunner.superviseArgument {
            exit(supervise(Array(arguments.dropFirst(2))))
        }
        if arguments.count > 1, let code = helperProcess(arguments[1], Array(arguments.dropFirst(2))) { exit(code) }
        if arguments.count == 4, arguments[1] == CompiledInit.argument {
            exit(await compileInit(FilePath(arguments[2]), to: FilePath(arguments[3])))
        }
        // A reader that closes early must not end a run.
        signal(SIGPIPE, SIG_IGN)
        let code = await run(Array(arguments.dropFirst()))
        await OutputQueue.standard.flush()
        exit(code)
    }

    /// Parses and executes a command line, and returns the exit code.
    private static func run(_ arguments: [String]) async -> Int32 {
        do {
            // A help page, not a verb.
            if arguments == ["help", HelpPages.projectFile] {
                StandardStream.output.write(TerminalText(lines: HelpPages.projectFileText))
                return ExitStatus.success.rawValue
            }
            if let text = VerbSuggestion.unknownPage(arguments) {
                throw Failure(
                    .usage, text,
                    nextStep: VerbSuggestion.verb(for: arguments) ?? "kbuild help lists the commands")
            }
            var command = try Kbuild.parseAsRoot(arguments)
            try ProcessLimits.prepare()
            if var command = command as? any AsyncParsableCommand { try await command.run() } else { try command.run() }
            return ExitStatus.success.rawValue
        } catch let outcome as CommandFailure {
            return outcome.code
        } catch let failure as Failure {
            StandardStream.errors.write(failure.terminalText)
            return failure.code.rawValue
        } catch is CancellationError {
            return ExitStatus.interrupted.rawValue
        } catch {
            let isRequest = Kbuild.exitCode(for: error) == .success
            let text = Kbuild.fullMessage(for: error)
            if isRequest {
                StandardStream.output.write(TerminalText(lines: text))
                return ExitStatus.success.rawValue
            }
            var message = TerminalText(lines: text)
            if let verb = VerbSuggestion.verb(for: arguments) { message += "\nDid you mean '\(verb)'?" }
            StandardStream.errors.write(message)
            return ExitStatus.usage.rawValue
        }
    }
}

/// Ends the process with a code after all output has been written.
struct CommandFailure: Error {
    var code: Int32
}

/// The running executable, which also supervises the processes that it starts.
func ownExecutable() -> FilePath? {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    guard count > 0 else { return nil }
    return FilePath(String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self))
}
