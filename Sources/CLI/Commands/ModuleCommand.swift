// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics

struct ModuleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "module", abstract: "Scaffold a kernel module with its tests.",
        discussion: """
            Examples:

              kbuild module new ring --device
              kbuild module new hello
            """,
        subcommands: [New.self])

    struct New: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write a module and its tests, and add them to kbuild.yaml.",
            discussion: """
                kbuild writes modules/NAME with a Kbuild file and a C file, a test program in the kernel's format \
                (KTAP) and, if the project has a package of suites, a suite. The tests pass without changes. Examples:

                  kbuild module new ring --device && kbuild test '^ring$'
                  kbuild module new hello
                """)

        @Argument(help: "The module's name, a C identifier in lower case.")
        var name: String

        @Flag(help: "Write a character device, /dev/NAME, with read, write and ioctl.")
        var device = false

        @OptionGroup var common: CommonOptions

        func run() async throws {
            let console = common.makeConsole()
            defer { console.finish() }
            let created = try ModuleCreation(try loadProject(common, [])).create(name, isDevice: device)
            for line in created.files { console.output("wrote  \(line)") }
            console.output("next:  \(created.nextCommand)")
        }
    }
}
