// SPDX-License-Identifier: Apache-2.0

/// Coverage as Cobertura's XML (coverage-04.dtd), which GitLab, Jenkins and Azure show. A package is a folder, a class
/// a file, a method a function.
public enum CoberturaFile {
    /// Renders a report.
    ///
    /// - Parameter startedAt: When the run started, in ISO 8601.
    public static func render(_ report: CoverageReport, startedAt: String) -> String {
        var lines = [
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
            "<!DOCTYPE coverage SYSTEM \"http://cobertura.sourceforge.net/xml/coverage-04.dtd\">",
            "<coverage \(rates(report.lines, report.branches)) lines-covered=\"\(report.lines.reached)\" "
                + "lines-valid=\"\(report.lines.total)\" branches-covered=\"\(report.branches.reached)\" "
                + "branches-valid=\"\(report.branches.total)\" complexity=\"0\" version=\"kbuild\" "
                + "timestamp=\"\(startedAt.xml)\">",
            "<sources><source>.</source></sources>", "<packages>",
        ]
        let folders = Dictionary(grouping: report.files) { file in
            file.path.split(separator: "/").dropLast().joined(separator: "/")
        }
        for (folder, files) in folders.sorted(by: { $0.key < $1.key }) {
            let (all, ways) = (files.map(\.lineTally).sum, files.map(\.branchTally).sum)
            lines.append("<package name=\"\(folder.xml)\" \(rates(all, ways)) complexity=\"0\"><classes>")
            for file in files { lines += self.lines(of: file) }
            lines.append("</classes></package>")
        }
        return (lines + ["</packages>", "</coverage>", ""]).joined(separator: "\n")
    }

    private static func lines(of file: CoveredFile) -> [String] {
        let name = file.path.split(separator: "/").last.map(String.init) ?? file.path
        var lines = [
            "<class name=\"\(name.xml)\" filename=\"\(file.path.xml)\" \(rates(file.lineTally, file.branchTally)) "
                + "complexity=\"0\">", "<methods>",
        ]
        for function in file.functions {
            let own = file.lines.filter {
                (function.firstLine...max(function.firstLine, function.lastLine)) ~= $0.number
            }
            let part = CoveredFile(path: file.path, lines: own)
            lines.append(
                "<method name=\"\(function.name.xml)\" signature=\"\" \(rates(part.lineTally, part.branchTally)) "
                    + "complexity=\"0\"><lines>")
            lines += own.map(element) + ["</lines></method>"]
        }
        return lines + ["</methods>", "<lines>"] + file.lines.map(element) + ["</lines>", "</class>"]
    }

    private static func element(_ line: CoveredLine) -> String {
        guard !line.branches.isEmpty else { return "<line number=\"\(line.number)\" hits=\"\(line.count)\"/>" }
        let taken = line.branches.count { $0 > 0 }
        let share = "\(taken * 100 / line.branches.count)% (\(taken)/\(line.branches.count))"
        return
            "<line number=\"\(line.number)\" hits=\"\(line.count)\" branch=\"true\" condition-coverage=\"\(share)\"/>"
    }

    private static func rates(_ lines: CoverageTally, _ branches: CoverageTally) -> String {
        "line-rate=\"\(rate(lines))\" branch-rate=\"\(rate(branches))\""
    }

    /// The share with four decimals; 1 when there is nothing to count.
    private static func rate(_ tally: CoverageTally) -> String {
        tally.total == 0 ? "1" : "\(Double(tally.reached * 10_000 / tally.total) / 10_000)"
    }
}

extension [CoverageTally] {
    fileprivate var sum: CoverageTally { reduce(CoverageTally(), +) }
}

extension String {
    /// The string as an attribute's value. Characters that XML 1.0 does not allow are replaced.
    fileprivate var xml: String {
        var text = ""
        for scalar in unicodeScalars {
            switch scalar {
            case "&": text += "&amp;"
            case "<": text += "&lt;"
            case ">": text += "&gt;"
            case "\"": text += "&quot;"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F || scalar.value & 0xFFFE == 0xFFFE:
                text.unicodeScalars.append("\u{FFFD}")
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
