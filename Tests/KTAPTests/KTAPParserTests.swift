// SPDX-License-Identifier: Apache-2.0
import KTAP
import Testing

/// The parts of a result that most tests look at, on one line: `name:status(children)`.
func outline(_ results: [KTAPResult]) -> String {
    results.map { result in
        let children = result.children.isEmpty ? "" : "(\(outline(result.children)))"
        return "\(result.name):\(result.status.rawValue)\(children)"
    }.joined(separator: " ")
}

func kinds(_ document: KTAPDocument) -> [KTAPProblem.Kind] { document.problems.map(\.kind) }

@Suite(.timeLimit(.minutes(30))) struct DialectTests {
    @Test func parsesTAP12() {
        let document = KTAPParser.parse("1..3\nok 1 - one\nok\nnot ok 3 three\n")
        #expect(document.version == nil)
        #expect(document.planned == 3)
        #expect(outline(document.results) == "one:passed :passed three:failed")
        #expect(document.problems.isEmpty)
        #expect(!document.isPass)
    }

    @Test func parsesTAP13WithYAMLAndALatePlan() throws {
        let document = KTAPParser.parse(
            """
            TAP version 13
            ok 1 - read
            not ok 2 - write
              ---
              message: "short write"
              data:
                got: 3
              ok 9 - not a result

              ...
            ok 3
            1..3

            """)
        #expect(document.version == .tap(13))
        #expect(outline(document.results) == "read:passed write:failed :passed")
        #expect(document.problems.isEmpty)
        let yaml = try #require(document.results.dropFirst().first).yaml
        #expect(yaml == ["message: \"short write\"", "data:", "  got: 3", "ok 9 - not a result", ""])
    }

    @Test func parsesTAP14Subtests() {
        let document = KTAPParser.parse(
            """
            TAP version 14
            1..2
            # Subtest: files
                1..2
                ok 1 - open
                ok 2 - close \\# twice
            ok 1 - files
            # Subtest: nothing
                1..0 # SKIP no device
            ok 2 - nothing # SKIP no device

            """)
        #expect(outline(document.results) == "files:passed(open:passed close # twice:passed) nothing:skipped")
        #expect(document.problems.isEmpty)
        #expect(document.isPass)
    }

    @Test(
        "a TAP subtest with the plan 1..0 is skipped, and its parent does not pass",
        arguments: [
            ("    1..0\nok 1 - sub\n", "sub:skipped", "its plan is 1..0"),
            ("    1..0 # SKIP no device\nok 1 - sub\n", "sub:skipped", "no device"),
            ("    1..0\nok 1 - sub # SKIP not now\n", "sub:skipped", "not now"),
            ("    1..0\nnot ok 1 - sub\n", "sub:failed", nil),
        ])
    func skippedSubtests(text: String, outcome: String, reason: String?) {
        let document = KTAPParser.parse("TAP version 14\n1..2\n# Subtest: sub\n\(text)ok 2 - other\n")
        #expect(outline(document.results) == "\(outcome) other:passed")
        #expect(document.results.first?.reason == reason)
        #expect(document.problems.isEmpty)
    }

    @Test(
        "subtests in braces belong to the result before them",
        arguments: [
            (
                "ok 1 - a # time=1.5ms {\n    1..2\n    ok 1 - x\n    ok 2 - y\n}\nok 2 - b\n",
                "a:passed(x:passed y:passed) b:passed"
            ),
            (
                "not ok 1 - a {\n    ok 1 - x\n    not ok 2 - y\n    1..2\n}\nok 2 - b\n",
                "a:failed(x:passed y:failed) b:passed"
            ),
            ("ok 1 - a {\n    not ok 1 - x\n    1..1\n}\nok 2 - b\n", "a:failed(x:failed) b:passed"),
            (
                "ok 1 - a {\n    ok 1 - x {\n        ok 1 - p\n        1..1\n    }\n    1..1\n}\nok 2 - b {\n    1..0\n}\n",
                "a:passed(x:passed(p:passed)) b:skipped"
            ),
            // No subtests: the brace belongs to the name.
            ("ok 1 - if (x) {\nok 2 - b {\n", "if (x) {:passed b {:passed"),
        ])
    func braces(text: String, outcome: String) {
        let document = KTAPParser.parse("TAP version 13\n1..2\n" + text)
        #expect(outline(document.results) == outcome)
        #expect(document.problems.filter { $0.kind != .childFailed }.isEmpty, "\(document.problems)")
    }

    @Test("subtests in braces whose end is missing are reported")
    func openBrace() {
        let document = KTAPParser.parse("TAP version 13\n1..2\nok 1 - a {\n    1..1\n    ok 1 - x\nok 2 - b\n")
        #expect(outline(document.results) == "a:passed(x:passed) b:passed")
        #expect(document.problems.map(\.kind) == [.missingParentResult])
        #expect(!document.isPass)
    }

    @Test("a KTAP suite without a test is an error, not a skip")
    func emptySuites() {
        let document = KTAPParser.parse("KTAP version 1\n1..1\n  KTAP version 1\n  1..0\nok 1 sub\n")
        #expect(outline(document.results) == "sub:failed")
        #expect(!document.isPass)
    }

    @Test func parsesKUnit() {
        let document = KTAPParser.parse(
            """
            KTAP version 1
            1..1
                KTAP version 1
                # Subtest: list
                # module: list_test
                1..2
                ok 1 add
                    KTAP version 1
                    # Subtest: sizes
                    ok 1 4
                    not ok 2 8
                # sizes: pass:1 fail:1 skip:0 total:2
                not ok 2 sizes
            # list: pass:1 fail:1 skip:0 total:2
            # Totals: pass:2 fail:1 skip:0 total:3
            not ok 1 list

            """)
        #expect(outline(document.results) == "list:failed(add:passed sizes:failed(4:passed 8:failed))")
        #expect(kinds(document) == [.unplanned])
        #expect(document.counts.total == 3)
        #expect(document.counts[.failed] == 1)
        #expect(document.results.first?.diagnostics.last == "Totals: pass:2 fail:1 skip:0 total:3")
    }

    @Test func parsesKselftest() {
        let document = KTAPParser.parse(
            """
            TAP version 13
            1..4
            # timeout set to 45
            # selftests: openat2: resolve_test
            # TAP version 13
            # 1..2
            # ok 1 plain
            # ok 2 beneath # SKIP no mount namespace
            # # Totals: pass:1 fail:0 xfail:0 xpass:0 skip:1 error:0
            ok 1 selftests: openat2: resolve_test
            # selftests: timers: posix_timers
            not ok 2 selftests: timers: posix_timers # TIMEOUT 45 seconds
            # selftests: size: get_size
            # Segmentation fault
            not ok 3 selftests: size: get_size # exit=139
            not ok 4 selftests: kvm: nested # SKIP

            """)
        #expect(
            outline(document.results)
                == "selftests: openat2: resolve_test:passed(plain:passed beneath:skipped) "
                + "selftests: timers: posix_timers:timedOut selftests: size: get_size:failed "
                + "selftests: kvm: nested:skipped")
        #expect(document.problems.isEmpty)
        #expect(document.results[1].reason == "45 seconds")
        #expect(document.results[2].exitCode == 139)
        #expect(document.results[2].diagnostics == ["selftests: size: get_size", "Segmentation fault"])
        #expect(document.counts.failures == 2)
    }

    @Test(arguments: [
        ("ok 1 a # SKIP why", "a:skipped"), ("not ok 1 a # SKIP why", "a:skipped"), ("ok 1 a # skip", "a:skipped"),
        ("ok 1 a # Skipped: why", "a:skipped"), ("ok 1 # SKIP", ":skipped"),
        ("ok 1 a # XFAIL why", "a:expectedFailure"),
        ("not ok 1 a # XFAIL", "a:expectedFailure"), ("not ok 1 a # TODO why", "a:expectedFailure"),
        ("ok 1 a # todo why", "a:passed"), ("ok 1 a # XPASS", "a:failed"),
        ("not ok 1 a # TIMEOUT 45 seconds", "a:timedOut"),
        ("ok 1 a # TIMEOUT", "a:timedOut"), ("not ok 1 a # ERROR no memory", "a:error"),
        ("ok 1 a # time=3ms", "a:passed"),
        ("not ok 1 a # error in line 3", "a:failed"), ("ok 1 a#SKIP", "a#SKIP:passed"),
        ("ok 1 a \\# SKIP", "a # SKIP:passed"), ("not ok 1 a # b # SKIP", "a:failed"), ("ok 1 - ", ":passed"),
        ("not  ok  1  a ", "a:failed"), ("ok 1 skipping # nothing", "skipping:passed"),
    ])
    func interpretsDirectives(line: String, expected: String) {
        let document = KTAPParser.parse("KTAP version 1\n1..1\n\(line)\n")
        #expect(outline(document.results) == expected)
        #expect(document.problems.isEmpty)
    }
}

@Suite(.timeLimit(.minutes(30))) struct PrefixTests {
    @Test(arguments: [
        ["[    1.234567] ", "[    1.234999] ", "[   12.000001] ", "[12345.678901] ", "[123456.789012] "],
        [
            "[    1.2][   T12] ", "[    1.2][    C0] ", "[   99.9][ T1234] ", "[    3.0][T123456] ",
            "[    3.1][    T1] ",
        ],
        ["<6>[    1.2] ", "<4>", "<6>[   10.25] ", "<12>[    1.2][  T12] ", "<6>"],
        ["[  T123] ", "[    C1] ", "[  T1] ", "[ T12] ", "[    T9] "],
        [
            "Nov 21 07:15:33 host kernel: ", "Nov 21 07:15:34 host kernel: ", "Dec  1 17:15:34 host kernel: ",
            "Nov 21 07:15:33 host kernel: ", "Nov 21 07:15:33 host kernel: ",
        ],
        ["job 1 | [    1.25] ", "job 2 | [   12.000001] ", "job 9 | ", "job 1 | <6>[1.2] ", "job 1 | [123456.7] "],
    ])
    func stripsPrefixesFromEveryLine(prefixes: [String]) {
        let lines = ["KTAP version 1", "1..1", "    # Subtest: s", "    ok 1 inner # SKIP why", "ok 1 outer"]
        let text = zip(prefixes, lines).map { $0 + $1 + "\r\n" }.joined()
        let document = KTAPParser.parse(text)
        #expect(outline(document.results) == "outer:passed(inner:skipped)")
        #expect(document.version == .ktap(1))
    }

    @Test func leavesALineWithoutThePrefixWhole() {
        // kunit.py cuts as many characters from every line as the version line's prefix had.
        let document = KTAPParser.parse("log: KTAP version 1\n1..2\nlog: ok 1 first\nnot ok 2 second\n")
        #expect(outline(document.results) == "first:passed second:failed")
    }

    @Test func readsKUnitAmidAConsole() throws {
        // kunit.py cuts as many characters from each line as the version line's prefix had, and takes no nested result
        // without a plan for whole.
        let document = KTAPParser.parse(
            """
            [    0.000000][    T0] Linux version 6.12.57
            [    0.912345][    T1] KTAP version 1
            [    0.912400][    T1] 1..2
            [    0.912500][    T1]     KTAP version 1
            [    0.912600][    T1]     # Subtest: box
            [    0.912700][    T1]     # module: box_test
            [    0.912800][    T1]     1..3
            [    0.913000][    C1] random: crng init done
            [    0.913100][    T1]     ok 1 empty
            [   10.913200][    T1]         KTAP version 1
            [   10.913300][    T1]         # Subtest: sizes
            hello from init: [  100.913400][    T1]         ok 1 1 byte
            [  100.913450][  T101] ------------[ cut here ]------------
            [  100.913460][  T101] WARNING: CPU: 1 PID: 101 at kernel/box.c:3 put+0x1/0x2
            [  100.913470][  T101]  <TASK>
            [99999.913500][    T1]         not ok 2 64 bytes
            [100000.913600][    T1]     # sizes: pass:1 fail:1 skip:0 total:2
            [100000.913700][    T1]     not ok 2 sizes
            [100000.913800][    T1]     ok 3 slow # SKIP no time
            [100000.913900][    T1] # box: pass:1 fail:1 skip:1 total:3
            [100000.914000][    T1] not ok 1 box
            [100000.914100][    T1] ok 2 other
            [100000.914200][    T1] reboot: System halted

            """)
        #expect(
            outline(document.results)
                == "box:failed(empty:passed sizes:failed(1 byte:passed 64 bytes:failed) slow:skipped) "
                + "other:passed")
        #expect(document.counts[.failed] == 1)
    }

    @Test func aConsoleThatEndsInTheMiddleIsNoPass() {
        let text = "[    0.1] KTAP version 1\n[    0.2] 1..2\n[    0.3]     # Subtest: box\n[    0.4]     1..2\n"
        for end in ["", "[    0.5]     ok 1 a\n", "[    0.5] Kernel panic - not syncing: Fatal exception\n"] {
            let document = KTAPParser.parse(text + end)
            #expect(!document.isPass)
            #expect(document.hasErrors)
        }
    }

    @Test func aStampInANameIsNotOneBeforeIt() {
        // Without stamps on the stream nothing is taken for one in the middle of a line.
        let document = KTAPParser.parse("KTAP version 1\n1..1\nok 1 shows [    1.234567] ok\n")
        #expect(outline(document.results) == "shows [    1.234567] ok:passed")
        let stamped = KTAPParser.parse(
            "[    1.000000] KTAP version 1\n[    1.000001] 1..1\n[    1.000002] ok 1 shows [    1.234567] ok\n")
        #expect(outline(stamped.results) == "shows [    1.234567] ok:passed")
    }

    @Test func keepsANumberInBracketsThatIsNoTimeStamp() {
        let document = KTAPParser.parse("KTAP version 1\n1..1\n[12] note\n[ 1.5] stamped\nok 1 a\n")
        #expect(document.results.first?.diagnostics == ["[12] note", "stamped"])
    }
}

@Suite(.timeLimit(.minutes(30))) struct ProblemTests {
    @Test(arguments: [
        ("", [KTAPProblem.Kind.noTests]),
        ("hello\nworld\n", [.noTests]),
        ("KTAP version 1\n", [.noTests]),
        ("KTAP version 1\n1..0\n", [.noTests]),
        ("ok 1 a\n", [.noHeader]),
        ("TAP version 13\nok 1 a\n", [.missingPlan]),
        ("KTAP version 1\nok 1 a\n", [.unplanned]),
        ("KTAP version 1\nok 1 a\nok 3 c\n", [.outOfOrder, .missingResult, .unplanned]),
        ("1..2\nok 1 a\n", [.missingResult]),
        ("1..1\nok 1 a\nok 2 b\n", [.unplannedResult]),
        ("1..2\nok 1 a\nok 1 b\n", [.duplicateNumber, .missingResult]),
        ("1..2\nok 2 a\nok 1 b\n", [.outOfOrder, .outOfOrder]),
        ("1..1\n1..1\nok 1 a\n", [.duplicatePlan]),
        ("1..1\nok 99999999999999999999999 a\n", [.badNumber, .missingResult]),
        ("1..99999999999999999999999\nok 1 a\n", [.missingResult]),
        ("1..1\nok 0 a\n", [.badNumber, .missingResult]),
        ("1..1\n  ok 1 a\n", [.unplanned, .missingParentResult, .missingResult]),
        ("1..1\nok 1 a # NONSENSE\n", [.unknownDirective]),
        ("1..2\nok 1 a\nBail out! no disk\n", [.bailOut, .missingResult]),
        ("TAP version 13\n1..2\nok 1 a\n  ---\n  x\nok 2 b\n", [.unterminatedYAML]),
        ("1..1\nok 1 a", [.unterminatedLine]),
        ("1..1\n  1..1\n  not ok 1 b\nok 1 a\n", [.childFailed]),
        ("1..1\n  1..2\n  ok 1 b\nok 1 a\n", [.missingResult]),
        ("KTAP version 1\n1..1\nok 1 a\nnot ok b\n", [.strayResult]),
        ("KTAP version 1\n1..1\nnot\tok b\nok 1 a\n", [.strayResult]),
        ("KTAP version 1\n1..1\nok then\nok 1 a\n", [.strayResult]),
        ("KTAP version 1\n1..1\n  KTAP version 1\n  1..1\n  not ok b\n  ok 1 c\nok 1 a\n", [.strayResult]),
        ("1..1\n  1..1\n  ok 1 c\n    not ok\nok 1 a\n", [.strayResult]),
        ("1..1\n# not ok b\nok 1 a\n", [.strayResult]),
    ])
    func names(text: String, expected: [KTAPProblem.Kind]) {
        let document = KTAPParser.parse(text)
        #expect(kinds(document) == expected)
        #expect(document.hasErrors == expected.contains { $0.isError })
    }

    @Test(
        "a line that begins like a result or a plan but is not one is an error once results are due, at any depth",
        arguments: [
            "notok 2 b", "Not ok 2 b", "NOT OK 2", "not-ok 2", "not  OK", "not ok2", "Ok 2 b", "OK\t2", "ok2",
            "bail out! no disk",
            "BAIL OUT!", "1..-1", "1..", "1..2 tests", "1..2x",
        ])
    func strayResults(line: String) {
        for indent in ["", " ", "   ", "\t", "# "] {
            let document = KTAPParser.parse("KTAP version 1\n1..1\n\(indent)\(line)\nok 1 a\n")
            if line == "not-ok 2" {
                #expect(document.isPass, "a hyphen makes it a word of its own")
            } else {
                #expect(kinds(document).contains(.strayResult), "\(indent)\(line)")
                #expect(!document.isPass)
            }
        }
    }

    @Test(
        "prose that only resembles a result is still prose",
        arguments: [
            "okay 1", "ok: all is well", "OK", "Ok then", "nothing", "not okay", "note 1", "not_ok", "# ok so far",
            "only 2 left", "1..a", "1...2", "10..12",
            "not oK_flag",
        ])
    func prose(line: String) {
        #expect(KTAPParser.parse("KTAP version 1\n1..1\n\(line)\nok 1 a\n").isPass)
    }

    /// Streams from which a careless reader takes a pass.
    @Test(arguments: [
        "", "KTAP version 1\n1..0\n", "1..0 # SKIP nothing here\n", "1..1\nok 1 a # SKIP\n", "1..2\nok 1 a\n",
        "1..2\nok 1 a\nok 1 a\n", "1..1\n  1..1\n  not ok 1 b\nok 1 a\n", "1..1\n  1..2\n  ok 1 b\nok 1 a\n",
        "1..1\n  KTAP version 1\nok 1 a\n", "1..1\nBail out!\nok 1 a\n", "1..1\n  Bail out!\nok 1 a\n",
        "KTAP version 1\nok 1 a\n---\nnot ok 2 b\n", "TAP version 13\nok 1 a\n  ---\n  x\nnot ok 2 b\n1..2\n",
        "1..1\n    1..1\n        ok 1 b\nok 1 a\n", "KTAP version 1\n1..1\nok lets go\n", "1..1\n# ok so far\n",
        "ok lets go\n", "1..1\nokay 1 a\n", "TAP version 13\nok 1 a\n",
        "1..1\n# 1..1\n# not ok 1 b\nok 1 a # SKIP\n", "KTAP version 1\n1..2\nok 1 a\nKTAP version 1\n1..1\nok 1 a\n",
        "KTAP version 1\n1..-1\nok 1 a\n", "KTAP version 1\n1..3 results\nok 1 a\n",
    ])
    func neverPasses(text: String) {
        #expect(!KTAPParser.parse(text).isPass)
    }

    @Test(arguments: [
        "KTAP version 1\nok 1 a\n", "1..1\nok 1 a\n", "TAP version 13\nok 1\n1..1\n", "1..1\nok 1 a # XFAIL\n",
        "1..2\nok 1 a\nok 2 b # SKIP\n", "KTAP version 1\n1..1\nok 1 a\nKTAP version 1\n1..1\nok 1 b\n",
        "noise\n\n\0\u{1B}[0m\nKTAP version 1\n1..1\nnoise\nok 1 a\nmore noise\n", "1..1\nok 1 a",
    ])
    func passes(text: String) {
        #expect(KTAPParser.parse(text).isPass)
    }

    @Test func aParentWhoseSubtestsAreMissingFails() throws {
        let document = KTAPParser.parse("1..1\n  1..3\n  ok 1 b\nok 1 a\n")
        let parent = try #require(document.results.first)
        #expect(parent.status == .failed)
        #expect(parent.isOK)
        #expect(parent.reason == "2 of 3 did not report")
        #expect(document.problems.first?.message == "2 of 3 of a subtest did not report: 2, 3")
        #expect(document.counts.failures == 1)
    }

    @Test func subtestsWithoutTheirParentAreKept() {
        let document = KTAPParser.parse(
            "KTAP version 1\n1..2\n  KTAP version 1\n  # Subtest: lost\n  1..1\n  ok 1 b\n"
                + "  KTAP version 1\n  # Subtest: kept\n  1..1\n  ok 1 c\nok 2 kept\n")
        #expect(outline(document.results) == "lost:failed(b:passed) kept:passed(c:passed)")
        #expect(kinds(document) == [.missingParentResult, .outOfOrder, .missingResult])
    }

    @Test func anEmbeddedExcerptIsUnderstood() {
        let document = KTAPParser.parse("# TAP version 13\n# 1..1\n# ok 1 inner\nok 1 outer\n")
        #expect(outline(document.results) == "outer:passed(inner:passed)")
        #expect(kinds(document) == [.noHeader])
    }

    @Test func bailingOutKeepsWhatCame() {
        let document = KTAPParser.parse("1..2\nok 1 a\nBail out! no disk\n")
        #expect(document.bailOut == "no disk")
        #expect(outline(document.results) == "a:passed")
    }
}

@Suite("Results as a terminal shows them", .timeLimit(.minutes(30)))
struct ShownLineTests {
    @Test(
        "escape sequences, progress and erasures are not part of a line",
        arguments: [
            ("\u{1B}[32mok 1 - open\u{1B}[0m\n\u{1B}[?25lok 2 - read\n\u{1B}[?25hok 3 - close\n", "open read close"),
            ("\u{1B}[?2004l\rok 1 a\r\nok 2 b\r\r\n\u{1B}[?2004hok 3 c\u{1B}[K\r\u{1B}[0m\n", "a b c"),
            ("ok 1 a\n# 10%\r# 50%\r# 100%\rok 2 b\nok 3 c\n", "a b c"),
            ("10%\u{1B}[2K\u{1B}[1Gok 1 a\n. . \u{8}\u{8}\u{8}\u{8}ok 2 b\nok 3 c\n", "a b c"),
            ("\u{1B}]0;title\u{7}ok 1 a\n\u{1B}(Bok 2 b\n\0ok 3 c\u{1B}]8;;x\u{1B}\\\n", "a b c"),
            ("ok 1 a ...\rok 1 a\nok 2 b\nok 3 c\n", "a b c"),
        ])
    func shown(results: String, names: String) {
        for head in ["TAP version 13\n1..3\n", "\u{FEFF}KTAP version 1\r\n1..3\r\n", "\u{1B}[1m1..3\u{1B}[m\n"] {
            let document = KTAPParser.parse(head + results)
            #expect(document.isPass, "\(document.problems)")
            #expect(document.results.map(\.name).joined(separator: " ") == names)
        }
    }

    @Test(
        "a failure cannot be overwritten",
        arguments: [
            "not ok 1 a\rok 1 a", "not ok 1 a\u{1B}[2K\u{1B}[Gok 1 a", "\u{1B}[31mnot ok 1 a\u{1B}[0m",
            "\u{1B}[31mnot\u{1B}[0m ok 1 a", "# 50%\rnot ok 1 a", "Bail out!\rok 1 a", "not ok\rok 1 a",
        ])
    func painted(line: String) {
        #expect(!KTAPParser.parse("TAP version 13\n1..1\n\(line)\n").isPass)
    }
}

@Suite("Results that a kernel message split", .timeLimit(.minutes(30)))
struct TornResultTests {
    private let stamp = "[   12.345678] "

    @Test("the two halves are joined, and the result is marked as truncated")
    func halves() {
        let document = KTAPParser.parse(
            """
            KTAP version 1
            1..5
            ok 1 put_t\(stamp)random: crng init done
            wice
            ok 2 a\(stamp)x
            \(stamp)y
            b
            not ok 3 get \(stamp)usb 1-1: new device
            # SKIP of something else
            not \(stamp)usb 1-1: new device
            ok 4 lost
            not ok 5 end\(stamp)usb 1-1: new device

            """)
        #expect(
            outline(document.results) == "put_twice:passed ab:passed get:failed lost:failed end:failed",
            "\(document.problems)")
        #expect(document.results.map(\.isTorn) == [true, true, true, true, true])
        #expect(Set(kinds(document)) == [.torn])
        #expect(!document.hasErrors)
    }

    @Test("a plan and a version line are joined too, and a failure never becomes a pass")
    func others() {
        #expect(KTAPParser.parse("KTAP ver\(stamp)a\nsion 1\n1.\(stamp)a\n.1\nok 1 a\n").isPass)
        #expect(!KTAPParser.parse("1..1\nno\(stamp)a\nt ok 1 a\n").isPass)
        #expect(!KTAPParser.parse("1..1\nnot ok\(stamp)a\n 1 a\n").isPass)
        #expect(!KTAPParser.parse("1..1\nnot ok 1 a\(stamp)a\n b # TODO\n").isPass)
        #expect(!KTAPParser.parse("1..1\nnot ok 1 a\(stamp)a\nok 1 a\n").isPass)
        #expect(!KTAPParser.parse("1..1\nnot \(stamp)a\n").isPass)
    }
}

@Suite("prove -v", .timeLimit(.minutes(30)))
struct ProveTests {
    @Test("prove's line about a file is the parent of its results")
    func files() {
        let passing = "t/a.t .. \nok 1 - one\n1..1\nok\nt/bc.t . \n"
        #expect(!KTAPParser.parse(passing).results.isEmpty)
        let document = KTAPParser.parse(
            """
            t/a.t ....
            1..2
            ok 1 - one
            ok 2
            ok
            t/fail.t .
            t/fail.t ..
            ok 1 - one
            not ok 2 - two
            #   Failed test 'two'
            1..2
            Dubious, test returned 1 (wstat 256, 0x100)
            Failed 1/2 subtests
            t/skip.t ..
            1..0 # SKIP no network
            skipped: no network
            t/none.t ..
            Dubious, test returned 2 (wstat 512, 0x200)
            No subtests run

            Test Summary Report
            -------------------
            t/fail.t (Wstat: 256 (exited 1) Tests: 2 Failed: 1)
              Failed test:  2
              Non-zero exit status: 1
            Files=4, Tests=4,  0 wallclock secs ( 0.02 usr)
            Result: FAIL

            """)
        #expect(
            outline(document.results)
                == "t/a.t:passed(one:passed :passed) t/fail.t:failed(one:passed two:failed) t/skip.t:skipped "
                + "t/none.t:failed", "\(document.problems)")
        #expect(!document.hasErrors, "\(document.problems)")
    }

    @Test("passing results are a pass, and a contradiction by prove is an error")
    func totals() {
        let good = "t/a.t ..\n1..1\nok 1 - one\nok\nt/b.t ..\nok 1\n1..1\nok\nAll tests successful.\n"
        #expect(KTAPParser.parse(good + "Files=2, Tests=2,  0 wallclock secs\nResult: PASS\n").isPass)
        #expect(kinds(KTAPParser.parse(good + "Result: FAIL\n")) == [.proveDisagrees])
        #expect(!KTAPParser.parse(good + "t/c.t ..\n1..1\nok 1\n").isPass, "its verdict is missing")
        #expect(!KTAPParser.parse("t/a.t ..\n1..2\nok 1 - one\nFailed 1/2 subtests\n").isPass)
        #expect(!KTAPParser.parse("t/a.t ..\n1..1\nok 1\nDubious, test returned 3 (wstat 768, 0x300)\n").isPass)
        #expect(KTAPParser.parse("Loading ...\n1..2\nok\nok\n").isPass, "these are two results without numbers")
    }
}
