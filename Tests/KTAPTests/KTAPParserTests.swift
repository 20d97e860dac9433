import Testing

@testable import KTAP

private func parse(_ text: String) -> KTAPReport {
    var parser = KTAPParser()
    parser.consume(text.utf8)
    return parser.finish()
}

/// The results as `path:status` lines, which is what the tests are about.
private func outline(_ results: [KTAPResult], _ prefix: String = "") -> [String] {
    results.flatMap { result -> [String] in
        ["\(prefix)\(result.description):\(result.status)"] + outline(result.children, "\(prefix)\(result.description)/")
    }
}

@Suite("KTAP and TAP")
struct KTAPParserTests {
    @Test("KTAP version 1 with nested results")
    func nested() {
        let report = parse(
            """
            KTAP version 1
            1..2
              KTAP version 1
              1..2
                KTAP version 1
                1..1
                # deep: a remark
                ok 1 deep
              ok 1 inner
              not ok 2 broken # a part of the description
            not ok 1 outer
            ok 2 last - with a dash # SKIP not here

            """)
        #expect(
            outline(report.results) == [
                "outer:failed", "outer/inner:passed", "outer/inner/deep:passed",
                "outer/broken # a part of the description:failed", "last - with a dash:skipped",
            ])
        #expect(report.problems.isEmpty)
        #expect(report.results[1].reason == "not here")
        #expect(report.results[0].children[0].children[0].diagnostics == ["    # deep: a remark"])
    }

    @Test(
        "a directive decides",
        arguments: [
            ("ok 1 a # SKIP why", KTAPResult.Status.skipped), ("not ok 1 a # SKIP", .skipped),
            ("not ok 1 a # TODO later", .passed), ("not ok 1 a # XFAIL known", .passed),
            ("not ok 1 a # TIMEOUT 45 seconds", .timedOut), ("ok 1 a # ERROR no", .failed),
            ("not ok 1 a # exit=139", .failed), ("ok 1 a # skip lower case", .skipped),
            ("ok 1 a # unheard of", .passed), ("not ok 1 - a", .failed), ("not ok", .failed), ("ok", .passed),
        ])
    func directives(line: String, status: KTAPResult.Status) {
        let report = parse("TAP version 13\n1..1\n\(line)\n")
        #expect(report.results.map(\.status) == [status])
        #expect(report.problems.isEmpty)
    }

    @Test("kselftest's results within comments belong to the test that follows")
    func kselftest() {
        let report = parse(
            """
            TAP version 13
            1..1
            # timeout set to 45
            # selftests: kcmp: kcmp_test
            # TAP version 13
            # 1..2
            # ok 1 first
            # not ok 2 second
            # ok so far
            not ok 1 selftests: kcmp: kcmp_test # exit=1
            """)
        #expect(
            outline(report.results) == [
                "selftests: kcmp: kcmp_test:failed", "selftests: kcmp: kcmp_test/first:passed",
                "selftests: kcmp: kcmp_test/second:failed",
            ])
        #expect(report.problems.isEmpty)
    }

    @Test("printk's time stamps, callers and levels are taken off, of one width or of many")
    func printk() {
        let report = parse(
            """
            [    9.900000][    T1] KTAP version 1
            [   10.000000][    T1] 1..1
            [  100.000000][   T42]     KTAP version 1
            <6>[  100.1]     1..1
                ok 1 case
            [ 1000.000000] ok 1 suite
            """)
        #expect(outline(report.results) == ["suite:passed", "suite/case:passed"])
        #expect(report.problems.isEmpty)
    }

    @Test("YAML after a result is its own")
    func yaml() {
        let report = parse("TAP version 14\n1..2\nnot ok 1 a\n  ---\n  message: 'ok 7'\n  ...\nok 2 b\n")
        #expect(outline(report.results) == ["a:failed", "b:passed"])
        #expect(report.results[0].diagnostics == ["message: 'ok 7'"])
        #expect(report.problems.isEmpty)
    }

    @Test(
        "a stream that is not whole has a problem",
        arguments: [
            "", "hello\n", "KTAP version 1\n", "KTAP version 1\n1..2\nok 1 a\n", "1..1\nok 1 a\nok 2 b\n",
            "1..2\nok 1 a\nok 1 b\n", "1..2\nok 2 a\nok 1 b\n", "1..1\n1..1\nok 1 a\n", "1..0\n",
            "ok 1 a\nBail out! gone\nok 2 b\n", "1..1\n  KTAP version 1\n  ok 1 inner\n",
            "KTAP version 1\n1..1\n  KTAP version 1\n  1..1\n  not ok 1 inner\nok 1 outer\n",
        ])
    func problems(text: String) {
        #expect(!parse(text).problems.isEmpty)
    }

    @Test("a plan of none with a reason is a skip")
    func skipAll() {
        let report = parse("1..0 # SKIP no hardware\n")
        #expect(report.results.map(\.status) == [.skipped])
        #expect(report.problems.isEmpty)
    }

    @Test("a parent that says ok over a failed child has failed")
    func lyingParent() {
        let report = parse("1..1\n  1..1\n  not ok 1 inner\nok 1 outer\n")
        #expect(report.results[0].status == .failed)
    }

    @Test("chunks of any size, and any bytes, give one answer and no crash")
    func chunksAndNoise() {
        var generator = SystemRandomNumberGenerator()
        let pieces = [
            "ok 1 a\n", "not ok 2 b # SKIP x\n", "1..3\n", "  ", "# ", "KTAP version 1\n", "TAP version 13\n", "---\n",
            "...\n", "Bail out!\n", "[    1.0] ", "\r\n", "\u{0}", "ok", "1..99999999999999999999\n", "#", "not ok\n",
        ]
        for _ in 0..<300 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 0..<60, using: &generator) {
                bytes += Array((pieces.randomElement(using: &generator) ?? "").utf8)
                if Int.random(in: 0..<10, using: &generator) == 0 { bytes.append(.random(in: 0...255, using: &generator)) }
            }
            var whole = KTAPParser()
            whole.consume(bytes)
            let expected = whole.finish()
            var parts = KTAPParser()
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Int.random(in: 1...7, using: &generator)
                parts.consume(rest.prefix(count))
                rest = rest.dropFirst(count)
            }
            #expect(parts.finish() == expected)
        }
    }

    @Test("memory stays bounded")
    func bounds() {
        var parser = KTAPParser()
        for _ in 0..<40 { parser.consume([UInt8](repeating: 0x41, count: 100_000)) }
        parser.consume("\n".utf8)
        for number in 1...(KTAPParser.mostResults + 10) { parser.consume("ok \(number)\n".utf8) }
        for depth in 1...100 { parser.consume((String(repeating: "  ", count: depth) + "KTAP version 1\n").utf8) }
        let report = parser.finish()
        #expect(report.results.count <= KTAPParser.mostResults + 1)
        #expect(report.problems.count <= KTAPParser.mostProblems)
        #expect(report.results[0].diagnostics.map(\.utf8.count).max() ?? 0 <= KTAPParser.longestLine)
    }
}
