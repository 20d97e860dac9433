// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

/// What the renderers share: numbers and text that come from a guest are not to be trusted.
enum Text {
    /// Seconds with three decimals. A number that is none, or absurd, is 0: a guest's clock may say anything.
    static func milliseconds(_ seconds: Double) -> String {
        decimals(seconds, places: 3)
    }

    /// Seconds as a person reads them.
    static func seconds(_ seconds: Double) -> String {
        decimals(seconds, places: 2) + " s"
    }

    /// A share of a hundred, for a picture: 12.34%.
    static func percent(_ share: Double) -> String { decimals(share * 100, places: 2) + "%" }

    private static func decimals(_ value: Double, places: Int) -> String {
        let scale = places == 3 ? 1000 : 100
        // 2^40 seconds are 35,000 years, and still far from where the conversion to Int traps.
        let sane = value.isFinite && value > 0 && value < 0x1p40 ? value : 0
        let units = Int((sane * Double(scale)).rounded())
        let fraction = String(units % scale)
        return "\(units / scale).\(String(repeating: "0", count: places - fraction.count))\(fraction)"
    }

    /// The lines of a text, without their ends, be they LF or CR LF, and without an empty one for the last end.
    static func lines(_ text: String) -> [String] {
        var lines = text.textLines(keepsEmpty: true).map(String.init)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }

    /// A text, cut with an ellipsis where it is longer.
    static func cut(_ text: String, to most: Int) -> String {
        guard let end = text.index(text.startIndex, offsetBy: most, limitedBy: text.endIndex), end < text.endIndex
        else {
            return text
        }
        return text[..<end] + "…"
    }

    /// A verdict as it is shown: TIMED OUT for timed-out.
    static func verdict(_ verdict: String) -> String { String(verdict.map { $0 == "-" ? " " : $0 }).uppercased() }
}

extension RunReport {
    /// The tests by how they ended, as a sentence says it: 2 passed, 1 failed. Passes and failures are always told.
    var counts: String {
        let order: [TestStatus] = [.passed, .failed, .crashed, .timedOut, .notReported, .flaky, .skipped]
        var parts = Self.counted(order) { count($0) }
        let cases = tests.reduce(0) { $0 + max(0, $1.skippedCases) }
        if cases > 0 { parts.append(cases == 1 ? "1 case skipped" : "\(cases) cases skipped") }
        return parts.joined(separator: ", ")
    }

    /// "2 passed", "1 failed", and so on: how many tests there are of each status. Passes and failures are always told.
    static func counted(_ order: [TestStatus], _ count: (TestStatus) -> Int) -> [String] {
        order.compactMap { status in
            let count = count(status)
            guard count > 0 || status == .passed || status == .failed else { return nil }
            return "\(count) \(status.words.counted)"
        }
    }

    /// The verdict as it is shown: TIMED OUT.
    var verdictWord: String {
        isBootCheck == true && exitCode == ExitStatus.success.rawValue ? "BOOTED CLEAN" : Text.verdict(verdict)
    }

    /// "Linux 6.1.192 on q35, TCG, 2 CPUs, 512 MB"; nil before there is a kernel.
    var machineLine: String? {
        guard let kernel else { return nil }
        var text = "Linux \(kernel.version)"
        if let machine {
            let cpus = machine.cpus == 1 ? "1 CPU" : "\(machine.cpus) CPUs"
            let accelerator = machine.accelerator == "none" ? "" : ", \(machine.accelerator.uppercased())"
            text += " on \(machine.type)\(accelerator), \(cpus), \(machine.memoryMegabytes) MB"
        }
        return text
    }
}
