// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Authoring
import Diagnostics
import Foundation
import Project
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
              kbuild init my-kernel --vscode

            In an existing project --vscode writes only the files for editors: tasks, a configuration for its debugger, and \
            settings for clangd and the C/C++ extension. Files that exist stay.

              kbuild init --vscode
            """)

    @Argument(help: "The project's folder. (default: this one)", completion: .directory)
    var name: String?

    @Option(
        help: "The kernel: a Debian package (linux-source-6.1), a folder, a tarball, or git+URL#REF.",
        completion: .found { $0.kernels })
    var kernel: String?

    @Flag(help: "Also write files for Visual Studio Code and clangd.")
    var vscode = false

    func run() throws {
        let here = FilePath(FileManager.default.currentDirectoryPath)
        let folder = name.map { here.pushing(FilePath($0)).lexicallyNormalized() } ?? here
        let console = Console(verbosity: .normal, noProgress: true)
        if vscode, ProjectCreation.hasProject(in: folder) {
            guard kernel == nil else {
                throw Failure(
                    .usage, "\(folder) has a project already, whose kernel --kernel does not change",
                    nextStep: "leave out --kernel, and edit kernel.source in \(Project.fileName)")
            }
            try writeEditorFiles(in: folder, console)
            return console.output("next:  kbuild build --compile-commands")
        }
        let created = try ProjectCreation.create(in: folder, source: kernel)
        for entry in created.entries { console.output("wrote  \(folder.appending(entry))") }
        if vscode { try writeEditorFiles(in: folder, console) }
        let change = name.map { "cd \($0) && " } ?? ""
        console.output("next:  \(change)kbuild run")
    }

    private func writeEditorFiles(in folder: FilePath, _ console: Console) throws {
        let written = try EditorFiles.write(in: folder)
        for file in written.new { console.output("wrote  \(folder.pushing(FilePath(file)))") }
        for file in written.kept { console.output("left   \(folder.pushing(FilePath(file))), which exists") }
    }
}
