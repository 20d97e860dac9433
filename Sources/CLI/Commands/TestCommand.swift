// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Project

struct TestCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "test", abstract: "Like run, but only for the tests that match a pattern.",
        discussion: """
            The pattern is a regular expression on the names that --list prints. kselftest:NAME \
            is a collection of the kernel's own selftests, a folder of tools/testing/selftests; kunit, or \
            kunit:PATTERN, is the suites that are built into the kernel. Examples:

              kbuild test 'MsgboxTests/'
              kbuild test kselftest:openat2
              kbuild test kunit --profile kunit --machine uml
              kbuild test --list
            """)

    @Argument(help: "A pattern for the tests to run. (default: all)", completion: .found { $0.tests })
    var filter: String?

    @Flag(help: "Print the tests' names instead of running them.")
    var list = false

    @OptionGroup var modes: RunModes
    @OptionGroup var common: CommonOptions
    @OptionGroup var build: BuildOptions
    @OptionGroup var options: RunOptions

    func validate() throws {
        if list, modes.dryRun { throw ValidationError("--list and --dry-run exclude each other") }
    }

    func run() async throws {
        guard list else {
            return try await runAndReport(common, build, options, modes, filter: filter)
        }
        let overrides = build.overrides + options.overrides + modes.mail.overrides
        let selection = try loadProject(common, overrides).selecting(filter)
        let console = common.makeConsole()
        let actions = BuildActions(try await makeContext(selection.project, console))
        let names = try await interruptible { try await actions.testNames(filter: selection.filter) }
        console.finish()
        console.output(names.map { TerminalText($0) }.joined())
    }
}
