// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// One reason why a patch does not apply: a row for a table of many, and the complete failure.
struct ApplyFailure: Sendable {
    /// The file, the hunk, and the cause in a few words.
    let row: @Sendable () -> String
    /// The failure with its evidence.
    let whole: @Sendable () -> Failure

    init(row: @autoclosure @escaping @Sendable () -> String, _ whole: @escaping @Sendable () -> Failure) {
        (self.row, self.whole) = (row, whole)
    }

    init(diagnosis: HunkFailureDiagnosis) {
        let change = diagnosis.change
        let index = diagnosis.hunkIndex
        self.init(
            row:
                "\(change.oldPath), hunk \(index + 1) of \(change.hunks.count) (line \(change.hunks[index].lineNumber)): "
                + diagnosis.cause
        ) { diagnosis.failure }
    }
}

/// All reasons why a patch does not apply.
struct ApplyFailures: Error {
    let all: [ApplyFailure]

    /// The most rows of the table. The largest patch for another version that was tested had 80.
    private static let longestTable = 100

    /// The first reason with its evidence, and a row for each other.
    func failure(of patch: Patch) -> Failure {
        guard let first = all.first else { return Failure(.patch, "\(patch.name) does not apply") }
        var failure = first.whole()
        if let messageLine = patch.messageLine, let subject = patch.subject {
            let own = "in the message of line \(messageLine), \"\(subject)\""
            failure.details = failure.details.map { own + "\n" + $0 } ?? own
        }
        let others = all.dropFirst()
        guard !others.isEmpty else { return failure }
        var lines = ["\(others.count) more of this patch do\(others.count == 1 ? "es" : "") not apply:"]
        lines += others.prefix(Self.longestTable).map { "  " + $0.row() }
        if others.count > Self.longestTable { lines.append("  and \(others.count - Self.longestTable) more") }
        failure.details = ((failure.details.map { [$0] } ?? []) + lines).joined(separator: "\n")
        return failure
    }
}
