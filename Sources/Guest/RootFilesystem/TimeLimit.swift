// SPDX-License-Identifier: Apache-2.0
import Processes

extension CommandRunner {
    /// Runs a command as `stream(_:onLine:)` does, and ends it after `limit`.
    ///
    /// - Returns: The exit status; nil when it was still running.
    func stream(
        _ command: Command, within limit: Duration, onLine: @escaping @Sendable (String) throws -> Void
    ) async throws -> ProcessStatus? {
        try await withThrowingTaskGroup(of: ProcessStatus?.self) { group in
            group.addTask { try await stream(command, onLine: onLine) }
            group.addTask {
                try await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }
}
