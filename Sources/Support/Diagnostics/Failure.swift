// SPDX-License-Identifier: Apache-2.0
/// The process exit codes of kbuild. Each outcome has a separate code, so that a script can distinguish a failed test
/// from a kernel that did not compile without reading the log.
public enum ExitStatus: Int32, Sendable, Codable, CaseIterable {
    /// Every planned test reported and passed.
    case success = 0
    /// At least one test failed, or did not report.
    case testFailure = 1
    /// The command line or the project file is wrong.
    case usage = 2
    /// A patch does not apply.
    case patch = 3
    /// The kernel, or a test program, could not be configured or compiled.
    case build = 4
    /// The guest crashed: a panic, an oops or a sanitizer report.
    case guestCrash = 5
    /// A limit on time or silence was reached.
    case timeout = 6
    /// A tool is missing or crashed, an image could not be built, or no test ran.
    case infrastructure = 7
    /// The user interrupted the run: 128 + SIGINT, as shells report it.
    case interrupted = 130
}

/// An error for the user: what went wrong, why, and what to do next.
public struct Failure: Error, Sendable, Equatable, CustomStringConvertible {
    /// The exit code for this failure.
    public var code: ExitStatus
    /// One sentence that says what went wrong.
    public var message: String
    /// The evidence, such as a tool's output or the lines of a file. It may have many lines.
    public var details: String?
    /// What the user can do about it.
    public var nextStep: String?

    /// Creates a failure.
    public init(_ code: ExitStatus, _ message: String, details: String? = nil, nextStep: String? = nil) {
        self.code = code
        self.message = message
        self.details = details
        self.nextStep = nextStep
    }

    /// The whole failure as it is printed, without a trailing newline.
    public var description: String {
        var text = "error: \(message)"
        if let details, !details.isEmpty {
            let indented = details.textLines(keepsEmpty: true).map { "  \($0)" }
            text += "\n" + indented.joined(separator: "\n")
        }
        if let nextStep { text += "\nnext: \(nextStep)" }
        return text
    }
}
