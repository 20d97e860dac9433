// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Foundation
import SystemPackage

/// What an installation runs: it is not for users.
struct CompileInitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "__compile-init", abstract: "Compile the guest's init for an installation.", shouldDisplay: false)

    @Argument(help: "The folder of init's sources.")
    var sources: String

    @Argument(help: "The folder that gets the program.")
    var target: String

    func run() async throws {
        let here = FilePath(FileManager.default.currentDirectoryPath)
        let (sources, target) = (here.pushing(FilePath(sources)), here.pushing(FilePath(target)))
        try await interruptible {
            try await CompiledInit.compile(
                sources, to: target, environment: ProcessInfo.processInfo.environment, supervisor: ownExecutable())
        }
    }
}
