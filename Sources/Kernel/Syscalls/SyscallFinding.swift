// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Patching

/// A mistake, or a probable one, in how a user's patches or specs register system calls.
public struct SyscallFinding: Sendable, Hashable, Codable, CustomStringConvertible {
    /// How certain the mistake is.
    public enum Severity: String, Sendable, Codable {
        /// The build fails, or the call cannot be reached.
        case error
        /// It builds for x86-64, but is probably not intended.
        case warning
    }

    /// A line of the user's own file: a patch, a C file or syscall.yaml.
    public typealias Place = SourcePlace

    /// How certain the mistake is.
    public var severity: Severity
    /// The place where the user can fix it.
    public var place: Place
    /// The mistake; more lines may follow as evidence.
    public var message: String
    /// The fix; empty when the message is sufficient.
    public var fix: String

    /// `FILE:LINE: error: MESSAGE`, and the fix on its own line.
    public var description: String {
        "\(place): \(severity.rawValue): \(message)" + (fix.isEmpty ? "" : "\n  fix: \(fix)")
    }

    /// The finding in its printed form. Lines after the first are indented.
    public var terminalText: TerminalText {
        let lines = VisibleText.split(message)
        var text: TerminalText = "\(place): \(severity.rawValue): \(lines.first ?? "")"
        for line in lines.dropFirst() { text += "\n  \(line)" }
        return fix.isEmpty ? text : "\(text)\n  fix: \(fix)"
    }

    /// The finding in one line, for the notes of a run.
    package var note: String {
        "\(place): \(message.textLines().first ?? "")" + (fix.isEmpty ? "" : "; \(fix)")
    }

    package init(_ severity: Severity, _ place: Place, _ message: String, fix: String) {
        self.severity = severity
        self.place = place
        self.message = message
        self.fix = fix
    }

    /// Makes a finding from a failure whose message begins with `FILE:LINE: `, or that is about `file`.
    public init(_ failure: Failure, about file: String) {
        var place = Place(file: file, line: 1)
        var message = failure.message
        // FILE:LINE: MESSAGE, or FILE:LINE:COLUMN: MESSAGE.
        let parts = message.split(separator: ":", maxSplits: 3, omittingEmptySubsequences: false)
        if parts.count > 2, !parts[0].contains(" "), let line = Int(parts[1]) {
            place = Place(file: String(parts[0]), line: line)
            let isColumn = parts.count > 3 && Int(parts[2]) != nil
            message = parts[(isColumn ? 3 : 2)...].joined(separator: ":").trimmed
        } else if message.hasPrefix(file + ": ") {
            message.removeFirst(file.count + 2)
        }
        if let details = failure.details, !details.isEmpty {
            message += details.textLines(keepsEmpty: true).map { "\n    \($0)" }.joined()
        }
        self.init(.error, place, message, fix: failure.nextStep ?? "")
    }

    /// Orders by place, then by message.
    package static func isBefore(_ left: SyscallFinding, _ right: SyscallFinding) -> Bool {
        (left.place.file, left.place.line, left.message) < (right.place.file, right.place.line, right.message)
    }
}

extension Failure {
    /// One failure for all errors among findings; nil when there is none.
    ///
    /// A single error keeps its message; for several, the details contain each with its fix.
    package init?(_ findings: [SyscallFinding]) {
        let errors = findings.filter { $0.severity == .error }
        guard let first = errors.first else { return nil }
        guard errors.count > 1 else {
            let lines = first.message.textLines(keepsEmpty: true)
            self.init(
                .patch, "\(first.place): \(lines.first ?? "")",
                details: lines.count > 1 ? lines.dropFirst().joined(separator: "\n") : nil,
                nextStep: first.fix.isEmpty ? nil : first.fix)
            return
        }
        self.init(
            .patch, "\(errors.count) mistakes in how system calls are registered",
            details: errors.map(\.description).joined(separator: "\n"),
            nextStep: "correct these; `kbuild syscall check` lists those that remain")
    }
}
