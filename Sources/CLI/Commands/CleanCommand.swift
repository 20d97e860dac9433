// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Foundation
import Project
import SystemPackage

struct CleanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clean", abstract: "Remove what kbuild keeps for this project, or its whole cache.",
        discussion: """
            The project's own files stay, and so does what kbuild did not make: a folder that is not a cache of kbuild's is \
            refused with exit code 2. So is a cache that a running kbuild uses, with 7. kbuild cache prune removes only what \
            has not been used for long. Examples:

              kbuild clean
              kbuild clean --all
            """)

    @OptionGroup var common: CommonOptions

    @Flag(help: "Remove the whole cache, of all projects.")
    var all = false

    func run() async throws {
        let console = common.makeConsole()
        let actions = try CacheActions(environment: ProcessInfo.processInfo.environment)
        let progress = notes(on: console)
        // What the project file says does not matter here, and it may be wrong just now.
        let here = FilePath(FileManager.default.currentDirectoryPath)
        let project = all ? nil : try Project.locate(common.project, from: here).removingLastComponent()
        let done = try await interruptible {
            if let project { return try await actions.clean(project: project, progress: progress) }
            return try await actions.cleanAll(progress: progress)
        }
        console.output("\(done)")
    }
}
