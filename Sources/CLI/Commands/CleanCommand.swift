// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Foundation
import Project
import SystemPackage

struct CleanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clean", abstract: "Remove this project's part of the cache, or the whole cache.",
        discussion: """
            kbuild removes neither the project's own files nor files that it did not make: it refuses a folder that is not a \
            cache of kbuild with exit code 2, and a cache that a running kbuild uses with 7. kbuild cache prune removes only \
            the least recently used entries. Examples:

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
        // The project file is not read, because its contents do not matter here and may be invalid.
        let here = FilePath(FileManager.default.currentDirectoryPath)
        let project = all ? nil : try Project.locate(common.project, from: here).removingLastComponent()
        let done = try await interruptible {
            if let project { return try await actions.clean(project: project, progress: progress) }
            return try await actions.cleanAll(progress: progress)
        }
        console.output("\(done)")
    }
}
