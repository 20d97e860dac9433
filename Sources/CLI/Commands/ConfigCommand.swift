// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Project
import SystemPackage

struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Configure the kernel, or show the effective project file.",
        discussion: """
            --show prints the project after the profile and the flags, in the format of the project file. Without --show, \
            kbuild configures the kernel and prints the path of its .config. Examples:

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
