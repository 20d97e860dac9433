// SPDX-License-Identifier: Apache-2.0
/// A command to the service that runs a CI job: a line of the job's log that the service obeys. Only the renderers of this
/// module make them, of texts that they have escaped for it.
public struct JobCommand: Sendable, Equatable {
    /// The line, without a newline.
    public let line: String
}

/// A group of lines in a job's log.
public enum JobGroup: String, Sendable {
    /// What is done before the tests.
    case build
    /// The tests.
    case test

    /// What stands there when the group is folded.
    var title: String {
        switch self {
        case .build: "kbuild: patch and build"
        case .test: "kbuild: tests"
        }
    }
}

/// The log of a CI job, which a service folds into groups where the job says so.
public enum JobLog: Sendable, Equatable {
    /// GitHub Actions: workflow commands.
    case github
    /// GitLab CI: sections.
    case gitlab
    /// One that has no groups.
    case plain

    /// Finds out whose it is by the variables that the services document.
    public init(environment: [String: String]) {
        if environment["GITHUB_ACTIONS"] == "true" {
            self = .github
        } else if environment["GITLAB_CI"] == "true" {
            self = .gitlab
        } else {
            self = .plain
        }
    }

    /// The line that begins a group; nil where there are none.
    ///
    /// - Parameter time: Seconds since the epoch.
    public func begin(_ group: JobGroup, time: Int) -> JobCommand? {
        switch self {
        case .github: JobCommand(line: "::group::\(group.title)")
        // ECMA-48 EL, so that a terminal shows the title alone (docs.gitlab.com/ci/jobs/job_logs).
        case .gitlab:
            JobCommand(line: "\u{1B}[0Ksection_start:\(time):kbuild_\(group.rawValue)\r\u{1B}[0K\(group.title)")
        case .plain: nil
        }
    }

    /// The line that ends a group; nil where there are none.
    public func end(_ group: JobGroup, time: Int) -> JobCommand? {
        switch self {
        case .github: JobCommand(line: "::endgroup::")
        case .gitlab: JobCommand(line: "\u{1B}[0Ksection_end:\(time):kbuild_\(group.rawValue)\r\u{1B}[0K")
        case .plain: nil
        }
    }
}
