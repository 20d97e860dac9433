// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Authoring
import Diagnostics
import Foundation
import SystemPackage

struct InitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Create a new project with a system call and a suite that passes.",
        discussion: """
            The folder must be new or empty, or a fresh git repository. kbuild writes kbuild.yaml, a system call and \
            its suite. Kernel configuration, the guest's init and the library SyscallTesting come with kbuild, in the \
            project's folder .kbuild, which version control ignores. Examples:

              kbuild init my-kernel && cd my-kernel && kbuild run
              kbuild init --kernel linux-source-6.12
            """)

    @Argument(help: "The project's folder. (default: this one)", completion: .directory)
    var name: String?

    @Option(
        help: "The kernel: a Debian package (linux-source-6.1), a folder, a tarball, or git+URL#REF.",
        completion: .found { $0.kernels })
    var kernel: String?

    func run() throws {
        let here = FilePath(FileManager.default.currentDirectoryPath)
        let folder = name.map { here.pushing(FilePath($0)).lexicallyNormalized() } ?? here
        let created = try ProjectCreation.create(in: folder, source: kernel)
        let console = Console(verbosity: .normal, noProgress: true)
        for entry in created.entries { console.output("wrote  \(folder.appending(entry))") }
        let change = name.map { "cd \($0) && " } ?? ""
        console.output("next:  \(change)kbuild run")
    }
}
