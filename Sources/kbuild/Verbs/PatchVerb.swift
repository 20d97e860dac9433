import ArgumentParser
import Foundation
import Orchestration

struct PatchVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "patch", abstract: "Apply, revert, check or show the project's patches.",
        discussion: "kbuild patches a tree of its own, never the kernel source that the project names.",
        subcommands: [Apply.self, Revert.self, Status.self, Check.self])

    struct Apply: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Bring the project's tree in line with its patches. What is applied already stays untouched.")
        @OptionGroup var common: CommonOptions
        @OptionGroup var build: BuildOptions

        func run() async throws {
            try await PatchVerb.print(common, build) { try await $0.applyPatches() }
        }
    }

    struct Revert: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Make the project's tree pristine again.")
        @OptionGroup var common: CommonOptions
        @OptionGroup var build: BuildOptions

        func run() async throws {
            try await PatchVerb.print(common, build) { try await $0.revertPatches() }
        }
    }

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say whether the patches apply, without changing anything.")
        @OptionGroup var common: CommonOptions
        @OptionGroup var build: BuildOptions

        func run() async throws {
            try await PatchVerb.print(common, build) { try await $0.checkPatches() }
        }
    }

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Say which patches are applied.")
        @OptionGroup var common: CommonOptions
        @OptionGroup var build: BuildOptions
        @Option(help: "Print text or json.")
        var format: OutputFormat = .text

        func run() async throws {
            let project = try loadProject(common, build.overrides)
            let console = common.makeConsole()
            let pipeline = try makePipeline(project, console)
            defer { console.finish() }
            let status = try await interruptible { try await pipeline.patchStatus() }
            switch format {
            case .text:
                for source in status.sources { console.output("\(source.state.padded(to: 12)) \(source.name)") }
            case .json:
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
                console.output(String(decoding: try encoder.encode(status), as: UTF8.self))
            }
        }
    }

    private static func print(
        _ common: CommonOptions, _ build: BuildOptions,
        _ body: @escaping @Sendable (Pipeline) async throws -> [String]
    ) async throws {
        let project = try loadProject(common, build.overrides)
        let console = common.makeConsole()
        let pipeline = try makePipeline(project, console)
        defer { console.finish() }
        for line in try await interruptible({ try await body(pipeline) }) { console.output(line) }
    }
}
