// SPDX-License-Identifier: Apache-2.0
/// The smallest, the middle and the largest of some figures.
public struct Summary: Sendable, Equatable {
    /// The smallest.
    public let minimum: Double
    /// The middle one, or the mean of the two in the middle: one slow run does not move it.
    public let median: Double
    /// The largest.
    public let maximum: Double

    /// Sums up figures; nil when there are none.
    public init?(_ values: [Double]) {
        let sorted = values.sorted()
        guard let first = sorted.first, let last = sorted.last else { return nil }
        minimum = first
        maximum = last
        let middle = sorted.count / 2
        median = sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }

    /// The figures as `median (minimum–maximum) unit`.
    public func text(_ unit: String) -> String {
        "\(figure(median)) \(unit) (\(figure(minimum))–\(figure(maximum)))"
    }
}

/// A figure with as many digits as mean something: three decimals below 1, two below 10, one below 100, none above.
public func figure(_ value: Double) -> String {
    guard value.isFinite else { return "?" }
    let decimals = abs(value) < 1 ? 3 : abs(value) < 10 ? 2 : abs(value) < 100 ? 1 : 0
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let scaled = Int((abs(value) * scale).rounded())
    let sign = value < 0 && scaled != 0 ? "-" : ""
    guard decimals > 0 else { return "\(sign)\(scaled)" }
    let fraction = String(scaled % Int(scale))
    let zeros = String(repeating: "0", count: decimals - fraction.count)
    return "\(sign)\(scaled / Int(scale)).\(zeros)\(fraction)"
}
