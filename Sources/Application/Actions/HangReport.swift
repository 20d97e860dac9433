// SPDX-License-Identifier: Apache-2.0
import CrashReports
import GuestSession
import PatchedTree
import Reporting
import ResultsModel
import Syscalls

/// Where the tasks of a guest that reached a limit wait: the user's own lines, and the places where locks were taken.
enum HangReport {
    /// The most tasks in a report, and the most functions of a stack without places in the project's files.
    private static let mostTasks = 4
    private static let mostFunctions = 6

    /// Lines such as `probe waits in __mutex_lock, called at kernel/probe/probe.c:40: mutex_lock(&lock);`; none when
    /// the kernel could not be asked, or reported no tasks.
    ///
    /// The lines have no process IDs: guests that hang in the same place have the same lines.
    static func make(_ result: SessionResult, _ prepared: RunInputs, context: ProjectContext) async -> [String] {
        guard result.limit != nil, !result.inspection.isEmpty else { return [] }
        let calls = Set(prepared.patched.overlay.syscalls.map(\.name.text))
        let tasks = Array(BlockedTask.tasks(in: result.inspection, calls: calls).prefix(mostTasks))
        guard !tasks.isEmpty else { return [] }
        var stacks = tasks.map { crash($0.frames) } + tasks.map { crash($0.locks.map(\.takenAt)) }
        // Without places the functions are still useful.
        if let symbolized = try? await prepared.symbolizer.symbolize(stacks) { stacks = symbolized.crashes }
        SourceLines.addOwnFiles(
            to: &stacks, userFiles: prepared.userFiles, project: context.project, shown: context.shown)
        return tasks.indices.flatMap {
            describe(tasks[$0], stack: stacks[$0].frames, locks: stacks[tasks.count + $0].frames)
        }
    }

    private static func crash(_ frames: [StackFrame]) -> Crash {
        var crash = Crash(title: "", kind: .hungTask, isFatal: false, lines: [])
        crash.frames = frames
        return crash
    }

    static func describe(
        _ task: BlockedTask, stack: [StackFrame], locks: [StackFrame]
    ) -> [String] {
        let what = task.isRunning ? "runs in" : "waits in"
        var line = "\(task.name) \(what) \(task.waitsIn?.function ?? task.frames.first?.function ?? "the kernel")"
        let places = stack.flatMap(\.locations)
        if let place = places.first(where: { $0.sourceText != nil }) ?? places.first {
            line += ", called at \(text(place))"
        } else {
            let functions = task.frames.drop { $0 != task.waitsIn }.dropFirst().map(\.function).prefix(mostFunctions)
            if !functions.isEmpty { line += ", called by \(functions.joined(separator: ", by "))" }
        }
        return [line]
            + zip(task.locks, locks).map { lock, frame in
                let place = frame.locations.first { $0.sourceText != nil } ?? frame.locations.first
                return "it holds \(lock.name), locked at \(place.map(text) ?? lock.takenAt.function)"
            }
    }

    private static func text(_ place: StackFrame.Location) -> String {
        "\(place.file):\(place.line)" + (place.sourceText.map { ": \($0)" } ?? "")
    }
}
