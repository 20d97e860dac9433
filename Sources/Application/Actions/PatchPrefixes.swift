// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import PatchedTree
import Project
import ResultsModel

/// A project with its first patch, its first two, and so on: each prefix must build, boot and pass, so that
/// `git bisect` works in the history of the series.
public struct PatchPrefixes: Sendable {
    /// The patches' names, in the order in which they are applied.
    public let names: [String]
    private let project: Project

    /// Reads the project's patches.
    ///
    /// - Throws: `Failure`: `usage` when there is no patch, `patch` when one is malformed.
    public init(of project: Project) throws {
        names = try project.kernel.patches.flatMap { try PatchSource.load($0, fuzz: project.kernel.fuzz).steps }
        self.project = project
        guard !names.isEmpty else {
            throw Failure(
                .usage, "--each-patch has no patches to go through",
                nextStep: "name a series with --mbox FILE, or in kernel.patches of the project file")
        }
    }

    /// The project with its first `count` patches.
    public func project(with count: Int) -> Project {
        var part = project
        part.kernel.patchLimit = count
        return part
    }

    /// A line on the result of a prefix: `2/3 build-failed lib: add the call`.
    public func line(_ count: Int, _ report: RunReport) -> String {
        let verdict = report.verdict.padding(to: 21)
        return "\(count)/\(names.count) \(verdict) \(names[count - 1])"
    }
}

extension String {
    /// The text, padded with blanks to a length.
    func padding(to length: Int) -> String { self + String(repeating: " ", count: max(0, length - count)) }
}

/// The exit codes that `git bisect run` reads (git-bisect(1)).
public enum BisectCode {
    /// The code for one of kbuild's codes: 0 good, 1 bad, 125 cannot be tested, 128 and more end the bisection.
    public static func code(for code: Int32) -> Int32 {
        switch ExitStatus(rawValue: code) {
        case .success: 0
        case .testFailure, .guestCrash, .timeout: 1
        case .patch, .build: 125
        case .usage, .infrastructure, .interrupted, nil: 128 + (code & 0x7F)
        }
    }
}
