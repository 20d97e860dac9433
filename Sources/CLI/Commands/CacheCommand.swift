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
        commandName: "cache", abstract: "List what kbuild keeps, and remove what has not been used for longest.",
        discussion: """
            The cache is $KBUILD_CACHE, else $XDG_CACHE_HOME/kbuild, else ~/.cache/kbuild. After a run kbuild removes what is \
            above 20 GB, which it looks at once an hour at most; KBUILD_CACHE_MAX sets another size, and 0 keeps all. \
            Examples:

              kbuild cache list
              kbuild cache prune --max-size 10G
            """,
        subcommands: [List.self, Prune.self])

    /// How it is told.
    struct Options: ParsableArguments {
        @Option(help: "Print text or json.")
        var format: OutputFormat = .text

        var console: Console { Console(verbosity: .normal, noProgress: true) }

        func actions() throws -> CacheActions { try CacheActions(environment: ProcessInfo.processInfo.environment) }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List what is kept, by project and kind, with sizes and last uses.",
            discussion: """
                A file that several things share, as a tree shares its files with the kernel's source, counts once. The JSON has \
                each thing by itself. Examples:

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
            abstract: "Remove what has not been used for longest, until the rest is small enough.",
            discussion: """
                What was made for projects that are gone goes first. What a running kbuild has taken from the cache stays, and \
                so do the reports and logs of runs, which cannot be made again, unless their project is gone; all else is made \
                again when it is needed. Examples:

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

        @Flag(help: "Print what would be removed; remove nothing.")
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

/// Prints notes, and nothing else, of what goes on.
func notes(on console: Console) -> Diagnostics.ProgressSink {
    Diagnostics.ProgressSink { event in
        if case .note(let text) = event { console.log("note: \(text)") }
    }
}
