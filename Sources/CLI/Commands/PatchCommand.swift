// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Foundation

struct PatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "patch", abstract: "Apply, revert, check or show the project's patches.",
        discussion: """
            kbuild patches a tree of its own, never the kernel source that the project names. Examples:

              kbuild patch check --kernel linux-source-6.12
              kbuild patch apply && kbuild patch status
            """,
        subcommands: [Apply.self, Revert.self, Status.self, Check.self])

    struct Apply: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Bring the project's tree in line with its patches. What is applied already stays untouched.",
            discussion: """
                Only files whose contents differ are written. Example:

                  kbuild patch apply --profile msgbox-strict
                """)
        @OptionGroup var common: CommonOptions
        @OptionGroup var build: BuildOptions

        func run() async throws {
            try await PatchCommand.show(common, build) { try await $0.apply() }
        }
    }

    struct Revert: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make the project's tree pristine again.",
            discussion: """
                The next run applies the patches again, and compiles only what differs. Example:

                  kbuild patch revert
                """)
        @OptionGroup var common: CommonOptions
        @OptionGroup var build: BuildOptions

        func run() async throws {
            try await PatchCommand.show(common, build) { try await $0.revert() }
        }
    }

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say whether the patches apply, without changing anything.",
            discussion: """
                The exit code is 3 when one does not, with the hunk and what stands in its place. Example:

                  kbuild patch check --kernel ~/linux
                """)
        @OptionGroup var common: CommonOptions
        @OptionGroup var build: BuildOptions

        func run() async throws {
            try await PatchCommand.show(common, build) { try await $0.check() }
        }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say which patches are applied.",
            discussion: """
                Each is applied, modified, not-applied or leftover. Examples:

                  kbuild patch status
                  kbuild patch status --format json
                """)
        @OptionGroup var common: CommonOptions
        @OptionGroup var build: BuildOptions
        @Option(help: "Print text or json.")
        var format: OutputFormat = .text

        func run() async throws {
            let project = try loadProject(common, build.overrides)
            let console = common.makeConsole()
            let actions = PatchActions(try await makeContext(project, console))
            defer { console.finish() }
            let status = try await interruptible { try await actions.status() }
            let lines = status.sources.map { "\($0.state.padded(to: 12)) \($0.name)" as TerminalText }
            try console.output(status, text: lines.joined(), format)
        }
    }

    private static func show(
        _ common: CommonOptions, _ build: BuildOptions,
        _ body: @escaping @Sendable (PatchActions) async throws -> [String]
    ) async throws {
        let project = try loadProject(common, build.overrides)
        let console = common.makeConsole()
        let actions = PatchActions(try await makeContext(project, console))
        defer { console.finish() }
        for line in try await interruptible({ try await body(actions) }) { console.output("\(line)") }
    }
}
