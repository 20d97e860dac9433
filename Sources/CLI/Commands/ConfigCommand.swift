// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Project
import SystemPackage

struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Show what kbuild works from.",
        discussion: """
            --show prints the project as it is after the profile and the flags, in the project file's own form. \
            Without it the kernel is configured and the path of its .config printed. Examples:

              kbuild config --show --profile serial
              grep KASAN "$(kbuild config)"
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var build: BuildOptions
    @OptionGroup var options: RunOptions

    @Flag(help: "Print the effective project file.")
    var show = false

    func run() async throws {
        let project = try loadProject(common, build.overrides + options.overrides)
        let console = common.makeConsole()
        if show { return console.output(TerminalText(lines: project.rendered())) }
        let actions = BuildActions(try await makeContext(project, console))
        defer { console.finish() }
        let path = try await interruptible { try await actions.configuration() }
        console.output("\(path.string)")
    }
}
