// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Foundation
import Project
import Reporting
import ResultsModel
import SystemPackage

struct WatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch", abstract: "Like run, and again after every change of the project's files, until Ctrl-C.",
        discussion: """
            A change during a run ends that run and starts another. Example:

              kbuild watch 'MsgboxTests/'
            """)

    @Argument(help: "A pattern for the tests to run. (default: all)", completion: .found { $0.tests })
    var filter: String?

    @OptionGroup var common: CommonOptions
    @OptionGroup var build: BuildOptions
    @OptionGroup var machine: MachineOptions

    func validate() throws {
        // make's own files would be changes of the tree.
        if build.inTree { throw ValidationError("watch goes without --in-tree: each build would be a change") }
    }

    func run() async throws {
        let overrides = build.overrides + machine.overrides
        let console = common.makeConsole()
        let (common, filter) = (common, filter)
        do {
            try await interruptible {
                var project = try loadProject(common, overrides)
                while true {
                    // The files' state is taken before the run reads them, so that no change is missed.
                    let watcher = ProjectWatcher(project)
                    let changes = try await Self.runOnce(project, filter: filter, watcher, console)
                    console.log("changed: \(Self.describe(changes, in: project.folder))")
                    project = try await Self.reload(common, overrides, watcher, console)
                }
            }
        } catch let interruption as CommandFailure {
            console.finish()
            throw interruption
        }
    }

    /// Runs the project, and waits for a change of its files.
    ///
    /// - Returns: The files that changed after the run, or during it, which cancels the run.
    private static func runOnce(
        _ project: Project, filter: String?, _ watcher: ProjectWatcher, _ console: Console
    ) async throws -> [FilePath] {
        let runs = try await makeRuns(project, console).runs
        return try await withThrowingTaskGroup(of: [FilePath].self) { group in
            group.addTask {
                let report = await TestRun.run(runs, of: project, filter: filter)
                runs[0].keep(report)
                try Task.checkCancellation()
                show(report, on: console)
                console.log("waiting for a change (Ctrl-C ends this)")
                // The other task sees the change, and cancels this one.
                while true { try await Task.sleep(for: .seconds(3600)) }
            }
            group.addTask { try await waitForChange(watcher) }
            defer { group.cancelAll() }
            let changes = try await group.next() ?? []
            group.cancelAll()
            // All processes of the run have ended before the next run begins.
            while await group.nextResult() != nil {}
            console.finish()
            return changes
        }
    }

    private static func waitForChange(_ start: ProjectWatcher) async throws -> [FilePath] {
        var watcher = start
        var changes: [FilePath] = []
        while true {
            try await Task.sleep(for: watcher.interval)
            let more = watcher.changes()
            // Several files may be saved together, so the command waits for all of them.
            if more.isEmpty, !changes.isEmpty { return changes }
            changes += more.filter { !changes.contains($0) }
        }
    }

    /// Reads the project file again. While it is invalid, as during an edit, prints the error and waits for the next
    /// change.
    private static func reload(
        _ common: CommonOptions, _ overrides: [ProjectOverride], _ watcher: ProjectWatcher, _ console: Console
    ) async throws -> Project {
        var watcher = watcher
        while true {
            do {
                return try loadProject(common, overrides)
            } catch let failure as Failure {
                console.log(failure)
                _ = watcher.changes()
                _ = try await waitForChange(watcher)
            }
        }
    }

    private static func show(_ report: RunReport, on console: Console) {
        console.finish()
        for error in report.errors { console.log(error.failure) }
        let renderer = console.renderer
        console.output(
            console.verbosity == .quiet ? renderer.verdict(report) : renderer.render(report, showsErrors: false))
    }

    private static func describe(_ files: [FilePath], in folder: FilePath) -> String {
        let names = files.map { file in
            var file = file
            _ = file.removePrefix(folder)
            return file.string
        }
        return names.prefix(3).joined(separator: ", ") + (names.count > 3 ? " and \(names.count - 3) more" : "")
    }
}
