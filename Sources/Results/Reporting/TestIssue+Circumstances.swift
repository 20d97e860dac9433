// SPDX-License-Identifier: Apache-2.0
import ResultsModel

extension TestIssue {
    /// The most arguments to show; the JSON report has more.
    static let mostArguments = 8

    /// "16 times, with n → 1; n → 2": how often it came and in which cases; nil for one time in a test without
    /// arguments.
    var circumstances: String? {
        var parts: [String] = []
        if count > 1 { parts.append("\(count) times") }
        if !arguments.isEmpty {
            let shown = arguments.prefix(Self.mostArguments).joined(separator: "; ")
            parts.append("with \(shown)" + (arguments.count > Self.mostArguments ? "; ..." : ""))
        }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }
}
