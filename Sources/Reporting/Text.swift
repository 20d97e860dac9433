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
        var lines = text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false).map { line in
            String(Substring(line.last == 0x0D ? line.dropLast() : line))
        }
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

    /// A line that a terminal shows as it is: control characters, with which a guest could rewrite the screen, become
    /// pictures (U+2400) or U+FFFD; a tab becomes spaces.
    static func printable(_ line: String) -> String {
        guard line.unicodeScalars.contains(where: isControl) else { return line }
        var result = String.UnicodeScalarView()
        for scalar in line.unicodeScalars {
            if scalar == "\t" {
                result.append(contentsOf: "    ".unicodeScalars)
            } else {
                result.append(printable(scalar))
            }
        }
        return String(result)
    }

    /// A character, or what stands for it when it is a control character.
    static func printable(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        if scalar.value < 0x20, let picture = Unicode.Scalar(0x2400 + scalar.value) { return picture }
        return isControl(scalar) ? "\u{FFFD}" : scalar
    }

    /// C0, DEL, C1, and the marks that change the direction of text (Unicode, "Trojan Source").
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F...0x9F, 0x202A...0x202E, 0x2066...0x2069: true
        default: false
        }
    }

    /// A verdict as it is shown: TIMED OUT for timed-out.
    static func verdict(_ verdict: String) -> String { String(verdict.map { $0 == "-" ? " " : $0 }).uppercased() }

    /// A line broken at blanks, where there are any, so that no part is wider than `width`; the parts after the first are
    /// indented as the first is, and by `hang` more.
    static func wrapped(_ line: String, width: Int?, hang: Int = 0) -> [String] {
        guard let width, line.count > width else { return [line] }
        let margin = line.prefix { $0 == " " || $0 == "|" } + String(repeating: " ", count: hang)
        let indent = String(margin.prefix(width / 2))
        var parts: [String] = []
        var rest = line[...]
        while rest.count > width {
            let head = rest.prefix(width)
            let floor = rest.index(rest.startIndex, offsetBy: indent.count)
            if let blank = head.lastIndex(of: " "), blank > floor {
                parts.append(String(rest[..<blank]))
                rest = rest[rest.index(after: blank)...]
            } else {
                parts.append(String(head))
                rest = rest[head.endIndex...]
            }
            rest = (indent + rest)[...]
        }
        parts.append(String(rest))
        return parts
    }
}

extension RunReport.Status {
    /// How a test ended, in a word or two.
    var word: String {
        switch self {
        case .passed: "passed"
        case .failed: "failed"
        case .skipped: "skipped"
        case .crashed: "crashed"
        case .timedOut: "timed out"
        case .notReported: "no result"
        case .flaky: "flaky"
        }
    }
}

extension RunReport {
    /// The tests by how they ended, as a sentence says it: 2 passed, 1 failed. Passes and failures are always told.
    var counts: String {
        let words: [(Status, String)] = [
            (.passed, "passed"), (.failed, "failed"), (.crashed, "crashed"), (.timedOut, "timed out"),
            (.notReported, "without result"), (.flaky, "flaky"), (.skipped, "skipped"),
        ]
        return words.filter { count($0.0) > 0 || $0.0 == .passed || $0.0 == .failed }
            .map { "\(count($0.0)) \($0.1)" }.joined(separator: ", ")
    }

    /// The verdict as it is shown: TIMED OUT.
    var verdictWord: String { Text.verdict(verdict) }

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
