/// A result of KTAP or TAP, with those nested in it.
///
/// The formats: https://docs.kernel.org/dev-tools/ktap.html (KTAP version 1) and https://testanything.org (TAP 12 to
/// 14).
public struct KTAPResult: Sendable, Equatable {
    /// What a directive says of a result.
    public enum Directive: String, Sendable, CaseIterable {
        /// It was not run.
        case skip = "SKIP"
        /// It is not finished; its failure is expected.
        case todo = "TODO"
        /// Its failure is expected.
        case expectedFailure = "XFAIL"
        /// It ran out of time.
        case timeout = "TIMEOUT"
        /// It could not be carried out.
        case error = "ERROR"
    }

    /// What a result comes to.
    public enum Status: Sendable, Equatable {
        /// It passed, or failed as it was expected to.
        case passed
        /// It failed.
        case failed
        /// It was not run.
        case skipped
        /// It ran out of time.
        case timedOut
    }

    /// Whether the line says `ok`.
    public var isOK: Bool
    /// The number that the line gives.
    public var number: Int?
    /// The description, without a leading dash.
    public var description: String
    /// The directive.
    public var directive: Directive?
    /// What follows the directive.
    public var reason: String
    /// Nested results.
    public var children: [KTAPResult] = []
    /// Lines before the result, and YAML after it, that are no results.
    public var diagnostics: [String] = []

    /// What it comes to. A parent fails when one of its children does, whatever its own line says.
    public var status: Status {
        let own: Status =
            switch directive {
            case .skip: .skipped
            case .todo, .expectedFailure: .passed
            case .timeout: .timedOut
            case .error: .failed
            case nil: isOK ? .passed : .failed
            }
        if own == .failed || own == .timedOut { return own }
        return children.contains { $0.status == .failed || $0.status == .timedOut } ? .failed : own
    }
}

/// All that a stream of KTAP or TAP came to.
public struct KTAPReport: Sendable, Equatable {
    /// The results at the top level.
    public var results: [KTAPResult]
    /// What is wrong with the stream itself. A stream with a problem has not passed.
    public var problems: [String]
}
