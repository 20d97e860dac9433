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
    /// - Parameters:
    ///   - name: Lower-case letters, by which GitLab matches the end with the beginning.
    ///   - title: What stands there when the group is folded.
    ///   - time: Seconds since the epoch.
    public func begin(_ name: String, title: String, time: Int) -> String? {
        switch self {
        case .github: "::group::\(title)"
        // ECMA-48 EL, so that a terminal shows the title alone (docs.gitlab.com/ci/jobs/job_logs).
        case .gitlab: "\u{1B}[0Ksection_start:\(time):kbuild_\(name)\r\u{1B}[0K\(title)"
        case .plain: nil
        }
    }

    /// The line that ends a group; nil where there are none.
    public func end(_ name: String, time: Int) -> String? {
        switch self {
        case .github: "::endgroup::"
        case .gitlab: "\u{1B}[0Ksection_end:\(time):kbuild_\(name)\r\u{1B}[0K"
        case .plain: nil
        }
    }
}
