// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Doctor
import Foundation
import Project
import SystemPackage

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Check whether this machine has everything that kbuild run needs.",
        discussion: """
            kbuild prints each requirement with its version or path, and each missing one with its purpose and the command \
            that installs it. Inside a project it checks that project's requirements, elsewhere those of a project from kbuild \
            init. The exit code is 0 when kbuild run would work, also with warnings, and 7 otherwise. Examples:

              kbuild doctor
              kbuild doctor --machine uml
              kbuild doctor --format json
            """)

    @OptionGroup var common: CommonOptions
    @OptionGroup var build: BuildOptions
    @OptionGroup var machine: MachineOptions

    @Option(help: "Print text or json.")
    var format: OutputFormat = .text

    func run() async throws {
        let console = common.makeConsole()
        let check = try HostCheck(
            project: try project(), isUML: build.machine == "uml",
            environment: ProcessInfo.processInfo.environment, executable: ownExecutable(),
            compilesInit: !CompiledInit.exists(beside: ownExecutable()))
        let report = try await interruptible { try await check.examine() }
        try console.output(report, text: report.text, format)
        if !report.isReady { throw CommandFailure(code: ExitStatus.infrastructure.rawValue) }
    }

    /// The current project; nil when there is none and none was requested.
    private func project() throws -> Project? {
        let here = FilePath(FileManager.default.currentDirectoryPath)
        if common.project == nil, (try? Project.locate(nil, from: here)) == nil { return nil }
        return try loadProject(common, build.overrides + machine.overrides)
    }
}
