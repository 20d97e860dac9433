// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import KernelMake
import Processes
import Synchronization
import SystemPackage

/// A make whose steps were not counted, with the lines of its output.
struct LoggedRun {
    var status: ProcessStatus
    var lines: [String]

    /// Runs make, and writes its output to a file, without most of a very long one.
    ///
    /// - Throws: `Failure` (`infrastructure`) when make or the file cannot be used; `CancellationError`.
    init(_ command: Command, by runner: CommandRunner, _ progress: ProgressSink, log: FilePath) async throws {
        let lines = Mutex(BuildLines())
        status = try await runner.stream(command) { line in
            lines.withLock { $0.append(line) }
            guard let step = BuildStep(line: line), step.isCounted else { return }
            progress(.advance(done: 0, total: nil, label: String(step.target.split(separator: "/").last ?? "")))
        }
        self.lines = lines.withLock { $0.all }
        try createFolder(log.removingLastComponent())
        try writeAtomically(self.lines.map { $0 + "\n" }.joined(), to: log)
    }
}
