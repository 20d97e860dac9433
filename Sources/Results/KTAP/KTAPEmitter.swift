// SPDX-License-Identifier: Apache-2.0
/// Writes results as KTAP version 1.
public enum KTAPEmitter {
    /// The stream for some results: version line, plan, and each result after its diagnostics and subtests. Numbers are
    /// assigned again, from 1 at each level.
    ///
    /// `#` and the backslash in names are escaped as in TAP 14; KTAP itself has no escape. A diagnostic that would
    /// parse as a result is written with `#|` instead of `# `. YAML is not part of KTAP and is omitted.
    public static func emit(_ results: [KTAPResult]) -> String {
        var text = ""
        emit(results, indent: "", to: &text)
        return text
    }

    private static func emit(_ results: [KTAPResult], indent: String, to text: inout String) {
        text += "\(indent)KTAP version 1\n\(indent)1..\(results.count)\n"
        for (index, result) in results.enumerated() {
            if !result.children.isEmpty { emit(result.children, indent: indent + "  ", to: &text) }
            for line in result.diagnostics {
                let line = oneLine(line)
                text += "\(indent)\(KTAPLine.isStructural(line) ? "#|" : "# ")\(line)\n"
            }
            text += "\(indent)\(resultLine(result, number: index + 1))\n"
        }
    }

    /// A result as one line, without its newline: `not ok 2 - open # TIMEOUT 45 seconds`.
    public static func resultLine(_ result: KTAPResult, number: Int) -> String {
        let isTodo = result.directive == .todo && result.status == .expectedFailure
        var line = "\(result.status.isFailure || isTodo ? "not ok" : "ok") \(number)"
        let name = escaped(oneLine(result.name))
        if !name.isEmpty { line += " - \(name)" }
        let directive: KTAPResult.Directive? =
            switch result.status {
            case .passed: result.directive == .todo ? .todo : nil
            case .failed: result.directive == .xpass ? .xpass : nil
            case .skipped: .skip
            case .expectedFailure: isTodo ? .todo : .xfail
            case .timedOut: .timeout
            case .error: .error
            }
        let reason = oneLine(result.reason ?? "")
        if let directive {
            line += " # \(directive.rawValue)\(reason.isEmpty ? "" : " \(reason)")"
        } else if let code = result.exitCode {
            line += " # exit=\(code)"
        } else if !reason.isEmpty, KTAPLine.directive(of: Array(reason.utf8)[...]) == nil {
            line += " # \(reason)"
        }
        return line
    }

    private static func oneLine(_ text: String) -> String {
        let flat = String(
            String.UnicodeScalarView(text.unicodeScalars.map { ["\n", "\r"].contains($0) ? " " : $0 }))
        return String(decoding: Array(flat.utf8)[...].trimmingStart().trimmingEnd(), as: UTF8.self)
    }

    private static func escaped(_ name: String) -> String {
        String(String.UnicodeScalarView(name.unicodeScalars.flatMap { $0 == "#" || $0 == "\\" ? ["\\", $0] : [$0] }))
    }
}
