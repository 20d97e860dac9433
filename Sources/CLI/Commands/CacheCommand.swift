// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Foundation
import Project
import Reporting
import SystemPackage

struct CacheCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cache", abstract: "List the contents of the cache, and remove the least recently used entries.",
        discussion: """
            The cache is $KBUILD_CACHE, else $XDG_CACHE_HOME/kbuild, else ~/.cache/kbuild. After a run, at most once an hour, \
            kbuild removes the least recently used entries above 20 GB; KBUILD_CACHE_MAX sets another size, and 0 keeps all. \
            Examples:

              kbuild cache list
              kbuild cache prune --max-size 10G
            """,
        subcommands: [List.self, Prune.self])

    /// The form of the output.
    struct Options: ParsableArguments {
        @Option(help: "Print text or json.")
        var format: OutputFormat = .text

        var console: Console { Console(verbosity: .normal, noProgress: true) }

        func actions() throws -> CacheActions { try CacheActions(environment: ProcessInfo.processInfo.environment) }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List the cache's entries, by project and kind, with sizes and last uses.",
            discussion: """
                A file that several entries share, as a tree shares its files with the kernel's source, counts once. The JSON \
                lists each entry separately. Examples:

                  kbuild cache list
                  kbuild cache list --format json
                """)

        @OptionGroup var options: Options

        func run() async throws {
            let console = options.console
            let list = try options.actions().list()
            try console.output(list, text: console.renderer.render(list), options.format)
        }
    }

    struct Prune: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "prune",
            abstract: "Remove the least recently used entries, until the rest is small enough.",
            discussion: """
                kbuild first removes the entries of projects that no longer exist. It keeps entries that a running kbuild uses, \
                and the reports and logs of existing projects, which cannot be made again. kbuild makes all other entries again \
                when it needs them. Examples:

                  kbuild cache prune --max-size 10G --dry-run
                  kbuild cache prune --max-size 500M
                """)

        @Option(
            help: "How much to keep, such as 500M or 10G. (default: KBUILD_CACHE_MAX, else 20G)",
            transform: { text in
                guard let bytes = CacheActions.bytes(text) else {
                    throw ValidationError("'\(text)' is not a size such as 500M or 10G")
                }
                return bytes
            })
        var maxSize: Int?

        @Flag(help: "Print the entries that would be removed; remove nothing.")
        var dryRun = false

        @OptionGroup var options: Options

        func run() async throws {
            let console = options.console
            let actions = try options.actions()
            let progress = notes(on: console)
            let (size, isDryRun) = (maxSize, dryRun)
            let pruning = try await interruptible {
                try await actions.prune(to: size, isDryRun: isDryRun, progress: progress)
            }
            try console.output(pruning, text: console.renderer.render(pruning), options.format)
        }
    }
}

/// Prints only the notes among the progress events.
func notes(on console: Console) -> Diagnostics.ProgressSink {
    Diagnostics.ProgressSink { event in
        if case .note(let text) = event { console.log("note: \(text)") }
    }
}
