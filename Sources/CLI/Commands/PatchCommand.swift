// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Foundation
import SystemPackage

struct PatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "patch", abstract: "Apply, revert, check, show, export or edit the project's patches.",
        discussion: """
            kbuild patches its own tree, never the kernel source that the project names. Examples:

              kbuild patch check --kernel linux-source-6.12
              kbuild patch apply && kbuild patch status
              kbuild patch export --output outgoing
            """,
        subcommands: [Apply.self, Revert.self, Status.self, Check.self, Diff.self, Export.self, Edit.self])

    struct Edit: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a tree of the kernel under git to edit, and take its commits back as patches.",
            discussion: """
                The tree is the project's kernel with its series applied, each patch a commit. Change any file there and \
                commit; --take NAME then writes your commits to kernel/NAME as a series, and adds that to the project. \
                Specs are not part of the tree: edit their C files in the project. Examples:

                  kbuild patch edit linux
                  git -C linux commit --all --message "count forks"
                  kbuild patch edit linux --take fork-count
                """)
        @Argument(help: "The folder of the tree; new, or one that this command made.", completion: .directory)
        var folder: String
        @Option(help: "Write the commits to kernel/NAME, in place of those that were taken before.")
        var take: String?
        @OptionGroup var common: CommonOptions
        @OptionGroup var build: BuildOptions

        func run() async throws {
            let here = FilePath(FileManager.default.currentDirectoryPath)
            let (place, name) = (here.pushing(FilePath(folder)).lexicallyNormalized(), take)
            let project = try loadProject(common, build.overrides)
            let console = common.makeConsole(isTerse: true)
            let actions = PatchActions(try await makeContext(project, console))
            defer { console.finish() }
            let result = try await interruptible {
                if let name { return try await actions.take(name, from: place) }
                return try await actions.edit(in: place)
            }
            for line in result.lines { console.output("\(line)") }
            for step in result.nextSteps { console.log("next: \(step)") }
        }
    }

    struct Diff: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what the patches change in the kernel's own tree, including registrations.",
            discussion: """
                The diff is for a plain tree of the kernel. Examples:

                  kbuild patch diff
                  kbuild patch diff hello_there > hello_there.diff
                """)
        @Argument(help: "Patch sources, as status names them. (default: all)", completion: .found { $0.patches })
        var names: [String] = []
        @OptionGroup var common: CommonOptions
        @OptionGroup var build: BuildOptions

        func run() async throws {
            let exported = try await PatchCommand.export(names, common, build)
            StandardStream.output.write(exactly: exported.diff)
        }
    }

    struct Export: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write the changes that kbuild applies as patches for a plain tree, including registrations.",
            discussion: """
                Each patch of a series keeps its author, its date and its message; a spec becomes one patch with its C files, \
                the tables' lines and everything else that registers its calls. The patches apply with `git am`; kbuild tries \
                that before it writes them. If you export only some sources, the calls' numbers may differ. Examples:

                  kbuild patch export
                  kbuild patch export hello_there --series --output outgoing
                  kbuild patch export --mbox > hello.mbox
                """)
        @Argument(help: "Patch sources, as status names them. (default: all)", completion: .found { $0.patches })
        var names: [String] = []
        @Flag(help: "A file for each patch, as git format-patch writes them. This is the default.")
        var formatPatch = false
        @Flag(help: "The same, with a file named series, as quilt reads it.")
        var series = false
        @Flag(help: "One mailbox on standard output.")
        var mbox = false
        @Option(
            name: .shortAndLong, help: "The folder for the files; new or empty. (default: patches)",
            completion: .directory)
        var output: String?
        @OptionGroup var common: CommonOptions
        @OptionGroup var build: BuildOptions

        func validate() throws {
            if [formatPatch, series, mbox].count(where: { $0 }) > 1 {
                throw ValidationError("--format-patch, --series and --mbox exclude each other")
            }
            if mbox, output != nil { throw ValidationError("--mbox writes to standard output: leave out --output") }
        }

        func run() async throws {
            let here = FilePath(FileManager.default.currentDirectoryPath)
            let folder = here.pushing(FilePath(output ?? "patches")).lexicallyNormalized()
            if !mbox { try ExportedPatches.check(folder: folder) }
            let exported = try await PatchCommand.export(names, common, build)
            if mbox { return StandardStream.output.write(exactly: exported.mailbox) }
            for file in try exported.write(to: folder, hasSeries: series) {
                StandardStream.output.write("wrote  \(file.string)")
            }
        }
    }

    private static func export(
        _ names: [String], _ common: CommonOptions, _ build: BuildOptions
    ) async throws -> ExportedPatches {
        let project = try loadProject(common, build.overrides)
        let console = common.makeConsole(isTerse: true)
        let actions = PatchActions(try await makeContext(project, console))
        defer { console.finish() }
        return try await interruptible { try await actions.export(names) }
    }

    struct Apply: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Apply the project's patches to its tree, except those that are applied already.",
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
                The next run applies the patches again, and compiles only changed files. Example:

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
            abstract: "Check whether the patches apply, without changing anything.",
            discussion: """
                If a patch does not apply, kbuild prints the hunk and the source's lines, and exits with 3. Example:

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
            abstract: "Print which patches are applied.",
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
