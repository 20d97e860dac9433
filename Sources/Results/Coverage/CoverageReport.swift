// SPDX-License-Identifier: Apache-2.0

/// The coverage of the project's C files by the tests of a run: lines, branches and functions, as gcov counts them.
public struct CoverageReport: Codable, Sendable, Equatable {
    /// The tests that reached a line, in the order in which they first did. Lines refer to them by their index here.
    public var tests: [String]
    /// The files, by their paths.
    public var files: [CoveredFile]
    /// The project's minimum percentage of lines; nil without a minimum, or when only some of the tests were selected.
    public var minimumPercent: Int?
    /// The gaps in the counts, one sentence for each; nil for none.
    public var gaps: [String]?

    /// Creates a report.
    public init(
        tests: [String] = [], files: [CoveredFile] = [], minimumPercent: Int? = nil, gaps: [String]? = nil
    ) {
        self.tests = tests
        self.files = files
        self.minimumPercent = minimumPercent
        self.gaps = gaps
    }

    /// The lines of all files.
    public var lines: CoverageTally { files.reduce(CoverageTally()) { $0 + $1.lineTally } }
    /// The branches of all files.
    public var branches: CoverageTally { files.reduce(CoverageTally()) { $0 + $1.branchTally } }
    /// The functions of all files.
    public var functions: CoverageTally { files.reduce(CoverageTally()) { $0 + $1.functionTally } }

    /// Whether fewer lines were reached than the project's minimum. A report without lines is below any minimum.
    public var isBelowMinimum: Bool {
        guard let minimumPercent else { return false }
        let lines = lines
        return lines.total == 0 || lines.reached * 100 < minimumPercent * lines.total
    }
}

/// The number of reached items.
public struct CoverageTally: Sendable, Equatable {
    /// The reached items.
    public var reached: Int
    /// All items.
    public var total: Int

    /// Creates a tally.
    public init(reached: Int = 0, total: Int = 0) {
        self.reached = reached
        self.total = total
    }

    /// The sum of two tallies.
    public static func + (one: CoverageTally, other: CoverageTally) -> CoverageTally {
        CoverageTally(reached: one.reached + other.reached, total: one.total + other.total)
    }

    /// The share in percent with one decimal, rounded down so that 100 means all; nil when there are no items.
    public var percent: Double? {
        total == 0 ? nil : Double(reached * 1000 / total) / 10
    }
}

/// The coverage of a file.
public struct CoveredFile: Codable, Sendable, Equatable {
    /// Its path as the user knows it: in the project, or in the kernel's tree.
    public var path: String
    /// The lines with code, in order.
    public var lines: [CoveredLine]
    /// The functions, in the order of their lines.
    public var functions: [CoveredFunction]
    /// The lines of the file's text; nil when it is not available.
    public var source: [String]?

    /// Creates a file.
    public init(
        path: String, lines: [CoveredLine] = [], functions: [CoveredFunction] = [], source: [String]? = nil
    ) {
        self.path = path
        self.lines = lines
        self.functions = functions
        self.source = source
    }

    /// Its lines.
    public var lineTally: CoverageTally {
        CoverageTally(reached: lines.count { $0.count > 0 }, total: lines.count)
    }
    /// Its branches.
    public var branchTally: CoverageTally {
        let branches = lines.flatMap(\.branches)
        return CoverageTally(reached: branches.count { $0 > 0 }, total: branches.count)
    }
    /// Its functions.
    public var functionTally: CoverageTally {
        CoverageTally(reached: functions.count { $0.count > 0 }, total: functions.count)
    }

    /// The lines that no test reached; consecutive lines with code are one range.
    public var unreachedRanges: [ClosedRange<Int>] {
        var ranges: [ClosedRange<Int>] = []
        var isOpen = false
        for line in lines {
            if line.count > 0 {
                isOpen = false
            } else if isOpen, let last = ranges.last {
                ranges[ranges.count - 1] = last.lowerBound...line.number
            } else {
                ranges.append(line.number...line.number)
                isOpen = true
            }
        }
        return ranges
    }

    /// The text of a line, without its indentation; nil when it is unknown.
    public func text(ofLine number: Int) -> String? {
        guard let source, source.indices.contains(number - 1) else { return nil }
        return String(source[number - 1].drop { $0 == " " || $0 == "\t" })
    }
}

/// A line with code.
public struct CoveredLine: Codable, Sendable, Equatable {
    /// Its number, from 1.
    public var number: Int
    /// The number of times it was reached.
    public var count: Int
    /// The number of times that each branch was taken.
    public var branches: [Int]
    /// The tests that reached it, by their index in the report's list.
    public var tests: [Int]

    /// Creates a line.
    public init(number: Int, count: Int, branches: [Int] = [], tests: [Int] = []) {
        self.number = number
        self.count = count
        self.branches = branches
        self.tests = tests
    }
}

/// A function.
public struct CoveredFunction: Codable, Sendable, Equatable {
    /// The function's name; for a function of SYSCALL_DEFINE the call's name.
    public var name: String
    /// The line on which it begins.
    public var firstLine: Int
    /// The line on which it ends.
    public var lastLine: Int
    /// The number of times it was entered.
    public var count: Int

    /// Creates a function.
    public init(name: String, firstLine: Int, lastLine: Int, count: Int) {
        self.name = name
        self.firstLine = firstLine
        self.lastLine = lastLine
        self.count = count
    }
}
