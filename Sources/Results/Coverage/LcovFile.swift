// SPDX-License-Identifier: Apache-2.0

/// Coverage as lcov's tracefile (geninfo(1)), which genhtml, editors and coverage services read.
public enum LcovFile {
    /// Renders a report.
    public static func render(_ report: CoverageReport) -> String {
        var lines = ["TN:kbuild"]
        for file in report.files {
            lines.append("SF:\(file.path.oneLine)")
            for function in file.functions {
                lines.append("FN:\(function.firstLine),\(function.name.oneLine)")
            }
            for function in file.functions { lines.append("FNDA:\(function.count),\(function.name.oneLine)") }
            lines += totals("FN", file.functionTally)
            for line in file.lines {
                for (index, count) in line.branches.enumerated() {
                    // On an unreached line no branch was decided.
                    lines.append("BRDA:\(line.number),0,\(index),\(line.count == 0 ? "-" : "\(count)")")
                }
            }
            lines += totals("BR", file.branchTally)
            for line in file.lines { lines.append("DA:\(line.number),\(line.count)") }
            lines += ["LH:\(file.lineTally.reached)", "LF:\(file.lineTally.total)", "end_of_record"]
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func totals(_ kind: String, _ tally: CoverageTally) -> [String] {
        ["\(kind)F:\(tally.total)", "\(kind)H:\(tally.reached)"]
    }
}

extension String {
    /// The string without control characters: a line feed in a path would begin a record.
    fileprivate var oneLine: String {
        String(String.UnicodeScalarView(unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? "?" : $0 }))
    }
}
