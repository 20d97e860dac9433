// SPDX-License-Identifier: Apache-2.0
import Coverage
import Diagnostics
import Testing

@Suite("Coverage reports", .timeLimit(.minutes(30)))
struct CoverageReportTests {
    /// gcov 12's report on an object, without the keys that are not read.
    static func gcov(_ counts: [Int], data: String = "0.gcda") -> String {
        """
        {"gcc_version": "12.2.0", "files": [{"lines": [\
        {"branches": [], "count": \(counts[0]), "line_number": 10, "unexecuted_block": false, "function_name": "f"}, \
        {"branches": [{"fallthrough": true, "count": \(counts[1]), "throw": false}, \
        {"fallthrough": false, "count": \(counts[2]), "throw": false}], "count": \(counts[0]), "line_number": 12, \
        "unexecuted_block": true, "function_name": "f"}, \
        {"branches": [], "count": \(counts[1]), "line_number": 13, "function_name": "f"}, \
        {"branches": [], "count": 0, "line_number": 14, "function_name": "f"}, \
        {"branches": [], "count": \(counts[2]), "line_number": 20, "function_name": "__do_sys_call"}], "functions": [\
        {"name": "__ia32_sys_call", "start_line": 19, "end_line": 19, "execution_count": 0}, \
        {"name": "__do_sys_call", "start_line": 19, "end_line": 21, "execution_count": \(counts[2])}, \
        {"name": "f", "start_line": 10, "end_line": 15, "execution_count": \(counts[0])}], \
        "file": "../../tree/kernel/call.c"}, \
        {"lines": [{"branches": [], "count": 5, "line_number": 1}], "functions": [], "file": "include/linux/slab.h"}], \
        "format_version": "1", "current_working_directory": "/o", "data_file": "\(data)"}
        """
    }

    /// A report of two tests that reached a part each.
    static func report() throws -> CoverageReport {
        let output = [gcov([2, 1, 0]), gcov([1, 1, 0]), gcov([1, 0, 0])].joined(separator: "\n") + "\n"
        let reports = try GcovReport.parse(output)
        var builder = CoverageBuilder(files: ["kernel/call.c": "kernel/call/call.c", "kernel/other.c": "other.c"])
        builder.add(total: reports[0])
        builder.add(reports[1], of: "one")
        builder.add(reports[2], of: "two")
        #expect(builder.unmeasured == ["other.c"])
        return builder.report { place in
            place == "kernel/call.c" ? (1...21).map { "\tline \($0) & <more>" } : nil
        }
    }

    @Test(
        "gcov's counts become the file's, with the tests of each line; code of SYSCALL_DEFINE and headers is left out"
    )
    func building() throws {
        let report = try Self.report()
        #expect(report.tests == ["one", "two"])
        let file = try #require(report.files.first)
        #expect(report.files.count == 1 && file.path == "kernel/call/call.c")
        #expect(
            file.lines == [
                CoveredLine(number: 10, count: 2, tests: [0, 1]),
                CoveredLine(number: 12, count: 2, branches: [1, 0], tests: [0, 1]),
                CoveredLine(number: 13, count: 1, tests: [0]), CoveredLine(number: 14, count: 0),
                CoveredLine(number: 20, count: 0),
            ])
        #expect(file.functions.map(\.name) == ["f", "call"])
        #expect(file.functions.map(\.count) == [2, 0])
        #expect(report.lines == CoverageTally(reached: 3, total: 5))
        #expect(report.branches == CoverageTally(reached: 1, total: 2))
        #expect(report.functions == CoverageTally(reached: 1, total: 2))
        #expect(file.unreachedRanges == [14...20])
        #expect(file.text(ofLine: 14) == "line 14 & <more>" && file.text(ofLine: 22) == nil)
    }

    @Test("a minimum is met at exactly that share, and not by a report without lines")
    func minimum() throws {
        var report = try Self.report()
        #expect(!report.isBelowMinimum)
        for (minimum, isBelow) in [(0, false), (60, false), (61, true), (100, true)] {
            report.minimumPercent = minimum
            #expect(report.isBelowMinimum == isBelow, "\(minimum)")
        }
        #expect(CoverageReport(minimumPercent: 0).isBelowMinimum)
        // 999 of 1000 is not all.
        #expect(CoverageTally(reached: 9999, total: 10000).percent == 99.9)
        #expect(CoverageTally().percent == nil)
    }

    @Test("the counts of a header's code in several objects are added")
    func severalObjects() throws {
        let reports = try GcovReport.parse(Self.gcov([2, 1, 0]) + "\n" + Self.gcov([3, 0, 1]))
        var builder = CoverageBuilder(files: ["kernel/call.c": "call.c"])
        for report in reports { builder.add(total: report) }
        let file = try #require(builder.report { _ in nil }.files.first)
        #expect(file.lines.map(\.count) == [5, 5, 1, 0, 1])
        #expect(file.functions.map(\.count) == [5, 1])
    }

    @Test("data that is not from gcov is refused")
    func garbage() {
        #expect(throws: Failure.self) { try GcovReport.parse("File 'a.c'\nLines executed: 50.00% of 2\n") }
        #expect(throws: Failure.self) { try GcovReport.parse("{\"files\": 3}\n") }
    }

    @Test("lcov's file has each record, and branches of unreached lines are not called untaken")
    func lcov() throws {
        var report = try Self.report()
        report.files[0].lines[4].branches = [0, 0]
        #expect(
            LcovFile.render(report) == """
                TN:kbuild
                SF:kernel/call/call.c
                FN:10,f
                FN:19,call
                FNDA:2,f
                FNDA:0,call
                FNF:2
                FNH:1
                BRDA:12,0,0,1
                BRDA:12,0,1,0
                BRDA:20,0,0,-
                BRDA:20,0,1,-
                BRF:4
                BRH:1
                DA:10,2
                DA:12,2
                DA:13,1
                DA:14,0
                DA:20,0
                LH:3
                LF:5
                end_of_record

                """)
        // A path cannot begin another record.
        report.files[0].path = "a\nDA:1,1"
        #expect(LcovFile.render(report).contains("SF:a?DA:1,1\n"))
    }

    @Test("Cobertura's file has packages, classes and lines, and untrusted text is escaped")
    func cobertura() throws {
        var report = try Self.report()
        let text = CoberturaFile.render(report, startedAt: "2026-01-02T03:04:05Z")
        #expect(text.contains("<coverage line-rate=\"0.6\" branch-rate=\"0.5\" lines-covered=\"3\" lines-valid=\"5\""))
        #expect(text.contains("<package name=\"kernel/call\" line-rate=\"0.6\""))
        #expect(text.contains("<class name=\"call.c\" filename=\"kernel/call/call.c\""))
        #expect(text.contains("<line number=\"12\" hits=\"2\" branch=\"true\" condition-coverage=\"50% (1/2)\"/>"))
        #expect(text.contains("<method name=\"call\" signature=\"\" line-rate=\"0.0\""))
        report.files[0].path = "a\"><evil/>\u{1}"
        #expect(CoberturaFile.render(report, startedAt: "").contains("filename=\"a&quot;&gt;&lt;evil/&gt;\u{FFFD}\""))
    }
}
