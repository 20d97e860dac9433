// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Project
import SystemPackage

struct BuildCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "build", abstract: "Patch, configure and compile the kernel; print its path.",
        discussion: """
            kbuild does not build again a kernel that it has built from the same inputs. Examples:

              kbuild build
              kbuild build --kernel linux-source-6.12 --jobs 8
              kbuild build --compile-commands
              qemu-system-x86_64 -kernel "$(kbuild build -q)" ...
            """)

    @Flag(
        help: """
            Write compile_commands.json, which editors with clangd read, into the project's folder or the kernel tree: \
            the kernel's sources and the project's own C files.
            """)
    var compileCommands = false

    @OptionGroup var common: CommonOptions
    @OptionGroup var build: BuildOptions
    @OptionGroup var mail: MailOptions

    func run() async throws {
        let project = try loadProject(common, build.overrides + mail.overrides)
        let console = common.makeConsole()
        defer { console.finish() }
        if compileCommands {
            let actions = BuildActions(try await makeContext(project, console, build))
            let written = try await interruptible { try await actions.compileCommands() }
            console.log("\(written.file.string): \(written.count) entries")
            return console.output("\(written.kernel.bootFile.string)")
        }
        // Checkers that exclude each other need separate kernels.
        for part in project.checkerSets {
            let actions = BuildActions(try await makeContext(part, console, build))
            let kernel = try await interruptible { try await actions.kernel() }
            console.output("\(kernel.bootFile.string)")
        }
    }
}
