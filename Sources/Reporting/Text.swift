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

    private static func decimals(_ value: Double, places: Int) -> String {
        let scale = places == 3 ? 1000 : 100
        // 2^40 seconds are 35,000 years, and still far from where the conversion to Int traps.
        let sane = value.isFinite && value > 0 && value < 0x1p40 ? value : 0
        let units = Int((sane * Double(scale)).rounded())
        let fraction = String(units % scale)
        return "\(units / scale).\(String(repeating: "0", count: places - fraction.count))\(fraction)"
    }

    /// A line that a terminal shows as it is: control characters, with which a guest could rewrite the screen, become
    /// pictures (U+2400) or U+FFFD; a tab becomes spaces.
    static func printable(_ line: String) -> String {
        guard line.unicodeScalars.contains(where: isControl) else { return line }
        var result = String.UnicodeScalarView()
        for scalar in line.unicodeScalars {
            if scalar == "\t" {
                result.append(contentsOf: "    ".unicodeScalars)
            } else if scalar.value < 0x20, let picture = Unicode.Scalar(0x2400 + scalar.value) {
                result.append(picture)
            } else {
                result.append(isControl(scalar) ? "\u{FFFD}" : scalar)
            }
        }
        return String(result)
    }

    /// C0, DEL, C1, and the marks that change the direction of text (Unicode, "Trojan Source").
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F...0x9F, 0x202A...0x202E, 0x2066...0x2069: true
        default: false
        }
    }

    /// A line broken at blanks, where there are any, so that no part is wider than `width`; the parts after the first are
    /// indented as the first is.
    static func wrapped(_ line: String, width: Int?) -> [String] {
        guard let width, line.count > width else { return [line] }
        let indent = String(line.prefix { $0 == " " || $0 == "|" }.prefix(width / 2))
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
