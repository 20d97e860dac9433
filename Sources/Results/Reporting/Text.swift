// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

/// Functions that the renderers share: numbers and text from a guest cannot be trusted.
enum Text {
    /// Seconds with three decimals. An invalid or absurd number is 0: a guest's clock may have any value.
    static func milliseconds(_ seconds: Double) -> String {
        decimals(seconds, places: 3)
    }

    /// Seconds for display.
    static func seconds(_ seconds: Double) -> String {
        decimals(seconds, places: 2) + " s"
    }

    /// A fraction as a percentage, for a picture: 12.34%.
    static func percent(_ share: Double) -> String { decimals(share * 100, places: 2) + "%" }

    private static func decimals(_ value: Double, places: Int) -> String {
        let scale = places == 3 ? 1000 : 100
        // 2^40 seconds are 35,000 years, and still far below the value at which the conversion to Int traps.
        let sane = value.isFinite && value > 0 && value < 0x1p40 ? value : 0
        let units = Int((sane * Double(scale)).rounded())
        let fraction = String(units % scale)
        return "\(units / scale).\(String(repeating: "0", count: places - fraction.count))\(fraction)"
    }

    /// The lines of a text, without their ends, LF or CR LF, and without an empty line after the last end.
    static func lines(_ text: String) -> [String] {
        var lines = text.textLines(keepsEmpty: true).map(String.init)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }

    /// A text, cut with an ellipsis if it is longer.
    static func cut(_ text: String, to most: Int) -> String {
        guard let end = text.index(text.startIndex, offsetBy: most, limitedBy: text.endIndex), end < text.endIndex
        else {
            return text
        }
        return text[..<end] + "…"
    }

    /// A verdict for display: TIMED OUT for timed-out.
    static func verdict(_ verdict: String) -> String { String(verdict.map { $0 == "-" ? " " : $0 }).uppercased() }
}

extension RunReport {
    /// The number of tests with each status, in a sentence: 2 passed, 1 failed. Passed and failed tests are always
    /// included.
    var counts: String {
        let order: [TestStatus] = [.passed, .failed, .crashed, .timedOut, .notReported, .flaky, .skipped]
        var parts = Self.counted(order) { count($0) }
        let cases = tests.reduce(0) { $0 + max(0, $1.skippedCases) }
        if cases > 0 { parts.append(cases == 1 ? "1 case skipped" : "\(cases) cases skipped") }
        return parts.joined(separator: ", ")
    }

    /// "2 passed", "1 failed", and so on: the number of tests with each status. Passed and failed tests are always
    /// included.
    static func counted(_ order: [TestStatus], _ count: (TestStatus) -> Int) -> [String] {
        order.compactMap { status in
            let count = count(status)
            guard count > 0 || status == .passed || status == .failed else { return nil }
            return "\(count) \(status.words.counted)"
        }
    }

    /// The verdict for display: TIMED OUT.
    var verdictWord: String {
        isBootCheck == true && exitCode == ExitStatus.success.rawValue ? "BOOTED CLEAN" : Text.verdict(verdict)
    }

    /// ", on Linux 6.1.0-56-amd64, which kbuild did not build"; empty for a kernel that it built.
    var prebuiltRemark: String {
        guard let kernel, let prebuilt = kernel.prebuilt else { return "" }
        let name = isBootCheck == true ? "" : " on Linux \(kernel.version),"
        return ",\(name) which \(prebuilt.hasPrefix("in-tree:") ? "make built in its tree" : "kbuild did not build")"
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
