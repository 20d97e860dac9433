// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import SystemPackage

struct BuildCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "build", abstract: "Patch, configure and compile the kernel; print where it is.",
        discussion: """
            A kernel that was built from the same inputs before is found again. Examples:

              kbuild build
              kbuild build --kernel linux-source-6.12 --jobs 8
              qemu-system-x86_64 -kernel "$(kbuild build -q)" ...
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var build: BuildOptions

    func run() async throws {
        let project = try loadProject(common, build.overrides)
        let console = common.makeConsole()
        let actions = BuildActions(try await makeContext(project, console, build))
        defer { console.finish() }
        let kernel = try await interruptible { try await actions.kernel() }
        console.output("\(kernel.bootFile.string)")
    }
}
