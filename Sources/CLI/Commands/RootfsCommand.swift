// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Project
import SystemPackage

struct RootfsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rootfs", abstract: "Build the root file system; print its path.",
        discussion: """
            The key rootfs.definition names the file that defines it. Examples:

              kbuild rootfs
              kbuild rootfs --type initramfs
              kbuild rootfs --type debian
            """)

    @OptionGroup var common: CommonOptions

    @Option(help: "disk, initramfs or debian.", completion: .choices(ofKey: "rootfs.type"))
    var type: String?

    func run() async throws {
        let overrides = [type.map { ProjectOverride(key: "rootfs.type", value: $0, flag: "--type") }].compactMap { $0 }
        let project = try loadProject(common, overrides)
        let console = common.makeConsole()
        let actions = BuildActions(try await makeContext(project, console))
        defer { console.finish() }
        let path = try await interruptible { try await actions.rootFilesystem() }
        console.output("\(path.string)")
    }
}
