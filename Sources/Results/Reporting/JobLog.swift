// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// A command to the service that runs a CI job: a line of the job's log that the service obeys. Its words are in the
/// source; a text in it is escaped, so that the service reads it as text.
public struct JobCommand: Sendable, Equatable {
    /// The line, without a newline.
    public let line: String

    /// GitHub's: `::NAME PROPERTY=VALUE,...::TEXT`.
    init(github name: StaticString, _ properties: [(name: StaticString, value: String)] = [], text: String = "") {
        let words = properties.map { "\($0.name)=\(Self.escaped($0.value, "%\r\n:,"))" }.joined(separator: ",")
        line = "::\(name)\(words.isEmpty ? "" : " ")\(words)::\(Self.escaped(text, "%\r\n"))"
    }

    /// GitLab's command that begins or ends a section of the job's log. ECMA-48 EL makes a terminal show only the title
    /// (docs.gitlab.com/ci/jobs/job_logs).
    init(gitlab mark: StaticString, of group: JobGroup, time: Int, title: StaticString = "") {
        line = "\u{1B}[0K\(mark):\(time):kbuild_\(group.rawValue)\r\u{1B}[0K\(title)"
    }

    /// By Unicode scalar: CR LF is one Character in Swift.
    private static func escaped(_ text: String, _ marks: StaticString) -> String {
        let marks = marks.description.unicodeScalars
        var result = String.UnicodeScalarView()
        for scalar in VisibleText.lines(text).unicodeScalars {
            if marks.contains(scalar) {
                let hex = String(scalar.value, radix: 16, uppercase: true)
                result.append(contentsOf: (hex.count == 1 ? "%0\(hex)" : "%\(hex)").unicodeScalars)
            } else {
                result.append(scalar)
            }
        }
        return String(result)
    }
}

/// A group of lines in a job's log.
public enum JobGroup: String, Sendable {
    /// The steps before the tests.
    case build
    /// The tests.
    case test

    /// The text of the folded group.
    var title: StaticString {
        switch self {
        case .build: "kbuild: patch and build"
        case .test: "kbuild: tests"
        }
    }
}

/// The log of a CI job, which a service folds into groups if the job marks them.
public enum JobLog: Sendable, Equatable {
    /// GitHub Actions: workflow commands.
    case github
    /// GitLab CI: sections.
    case gitlab
    /// A log without groups.
    case plain

    /// Finds the service by the variables that it documents.
    public init(environment: [String: String]) {
        if environment["GITHUB_ACTIONS"] == "true" {
            self = .github
        } else if environment["GITLAB_CI"] == "true" {
            self = .gitlab
        } else {
            self = .plain
        }
    }

    /// The line that begins a group; nil if there are no groups.
    ///
    /// - Parameter time: Seconds since the epoch.
    public func begin(_ group: JobGroup, time: Int) -> JobCommand? {
        switch self {
        case .github: JobCommand(github: "group", text: group.title.description)
        case .gitlab: JobCommand(gitlab: "section_start", of: group, time: time, title: group.title)
        case .plain: nil
        }
    }

    /// The line that ends a group; nil if there are no groups.
    public func end(_ group: JobGroup, time: Int) -> JobCommand? {
        switch self {
        case .github: JobCommand(github: "endgroup")
        case .gitlab: JobCommand(gitlab: "section_end", of: group, time: time)
        case .plain: nil
        }
    }
}
