// SPDX-License-Identifier: Apache-2.0
/// How a figure stands against its target.
public enum Verdict: String, Sendable, Codable {
    /// The target is reached, and a stretch target if there is one.
    case met
    /// The target is reached, the stretch target is not.
    case metNotStretch = "met; stretch missed"
    /// The target is not reached.
    case missed
    /// A run failed, so that there is no figure.
    case failed
    /// There was nothing to run.
    case notMeasured = "not measured"
    /// A figure without a target, to read beside the others.
    case none = "–"

    /// Compares a figure with the most that it may be.
    public static func of(_ value: Double, atMost target: Double, stretch: Double? = nil) -> Verdict {
        if value > target { return .missed }
        if let stretch, value > stretch { return .metNotStretch }
        return .met
    }

    /// Both targets of a row: it is met if each is.
    public func and(_ other: Verdict) -> Verdict {
        if self == .missed || other == .missed { return .missed }
        return self == .met ? other : self
    }
}
