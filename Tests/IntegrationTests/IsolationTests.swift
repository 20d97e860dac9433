// SPDX-License-Identifier: Apache-2.0
import Foundation
import ProjectFixture
import Testing

/// Tests that have guests of their own; the project is that of `RunTests`.
extension RunTests {
    /// Prints random bytes and the time, and leaves something behind that the next test would find.
    private static let witness = """
        #include <fcntl.h>
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/random.h>
        #include <time.h>
        #include <unistd.h>
        int main(int argc, char **argv) {
            unsigned char random[16], device[16];
            if (argc > 2 && !strcmp(argv[2], "panic")) {
                int trigger = open("/proc/sysrq-trigger", O_WRONLY);
                if (trigger < 0 || write(trigger, "c", 1) != 1) return 9;
            }
            if (getrandom(random, sizeof random, 0) != sizeof random) return 1;
            int file = open("/dev/urandom", O_RDONLY);
            if (file < 0 || read(file, device, sizeof device) != sizeof device) return 2;
            printf("random ");
            for (unsigned i = 0; i < sizeof random; i++) printf("%02x", random[i]);
            printf("\\nrandom ");
            for (unsigned i = 0; i < sizeof device; i++) printf("%02x", device[i]);
            printf("\\ntime %ld\\n", (long)time(NULL));
            if (access("/tmp/left-behind", F_OK) == 0) return 3;
            if (creat("/tmp/left-behind", 0600) < 0) return 4;
            if (access("/dev/left-behind", F_OK) == 0) return 5;
            return creat("/dev/left-behind", 0600) < 0 ? 6 : 0;
        }
        """

    /// Makes programs the only tests: each has a name and perhaps something to do.
    private func witnesses(_ programs: (name: String, mode: String)...) throws {
        try fixture.write("Tests/programs/witness.c", Self.witness)
        let tests = programs.map {
            "  - {c: Tests/programs/witness.c, name: \($0.name), arguments: [\"\($0.name)\", \"\($0.mode)\"]}\n"
        }
        try fixture.edit("kbuild.yaml", replacing: "\ntests:\n", with: "\ntests:\n\(tests.joined())")
    }

    private func lines(of test: String, in run: Run, prefix: String) throws -> [String] {
        let output = try run.test(test)["output"] as? [String] ?? []
        return output.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
    }

    @Test("isolate: two tests from one snapshot get different random numbers and the right time, and share nothing")
    func isolationIsFresh() async throws {
        try witnesses(("first", "look"), ("second", "look"), ("third", "look"))
        let run = try await fixture.report("test", "^(first|second|third)$", "--isolate", "test", "--guests", "2")
        #expect(run.exitCode == 0)
        #expect(run.tests == ["first": "passed", "second": "passed", "third": "passed"])
        let guests = run.json["guests"] as? [String: Any]
        #expect(guests?["isFromSnapshot"] as? Bool == true)
        #expect(guests?["count"] as? Int == 3)
        var random: [String] = []
        for test in ["first", "second", "third"] {
            random += try lines(of: test, in: run, prefix: "random ")
            let time = try #require(try lines(of: test, in: run, prefix: "time ").first.flatMap { Double($0) })
            // The run took place just now; the snapshot may be days old.
            #expect(abs(time - Date().timeIntervalSince1970) < 300)
        }
        #expect(random.count == 6)
        #expect(Set(random).count == 6)

        let again = try await fixture.report("test", "^first$", "--isolate", "test")
        #expect(again.steps["snapshot"] == "hit")
        #expect(Set(random).isDisjoint(with: try lines(of: "first", in: again, prefix: "random ")))

        // In one guest each has a /tmp of its own, and the second finds what the first left in devtmpfs.
        let together = try await fixture.report("test", "^(first|second|third)$")
        #expect(together.exitCode == 1)
        #expect(together.tests == ["first": "passed", "second": "failed", "third": "failed"])
    }

    @Test("isolate: a test that panics does not affect the others, which all report")
    func isolationContainsPanics() async throws {
        try witnesses(("first", "look"), ("second", "panic"), ("third", "look"))
        let run = try await fixture.report(
            "test", "^(first|second|third)$|CaesarTests/(empty|bound)", "--isolate", "test")
        #expect(run.exitCode == 5)
        #expect(
            run.tests == [
                "first": "passed", "second": "crashed", "third": "passed",
                "CaesarTests.CaesarTests/empty()": "passed", "CaesarTests.CaesarTests/bound()": "passed",
            ])
        let crashes = run.json["crashes"] as? [[String: Any]] ?? []
        #expect(crashes.count == 1)
        #expect(crashes.first?["test"] as? String == "second")
        // Its place is in the log of all guests.
        let artifacts = try #require(run.json["artifacts"] as? [String: Any])
        let console = try String(contentsOfFile: try #require(artifacts["console"] as? String), encoding: .utf8)
            .split(separator: "\n", omittingEmptySubsequences: false)
        let line = try #require(crashes.first?["firstLine"] as? Int)
        let text = try #require((crashes.first?["lines"] as? [String])?.first)
        #expect(console[line - 1].hasSuffix(text))
    }

    @Test("results that a test closes, truncates, repeats or corrupts are not a pass, and other tests keep theirs")
    func spoiltResults() async throws {
        try onlyTheSuite()
        try replaceSuite(
            with: ##"""
                import Foundation
                import Testing

                /// To whatever descriptor the results go by.
                private func spoil(_ body: (Int32) -> Void) { for descriptor in 3...20 as ClosedRange<Int32> { body(descriptor) } }
                private func say(_ text: String) { spoil { _ = write($0, text, text.utf8.count) } }
                private func event(_ kind: String, _ test: String) -> String {
                    #"{"version":"6.3.0","kind":"event","payload":{"kind":"\#(kind)","instant":{"absolute":9,"since1970":9},"#
                        + #""testID":"\#(test)","messages":[]}}"# + "\n"
                }

                @Test func aCloses() { spoil { close($0) } }
                @Test func bCuts() {
                    say(#"{"version":"6.3.0","kind":"ev"#)
                    _exit(0)
                }
                @Test func cDoubles() { for _ in 0..<2 { say(event("testEnded", "OnlyTests.cDoubles()/OnlyTests.swift:\(#line):2")) } }
                @Test func dGarbles() { say("}{ no record at all\n") }
                @Test func ePasses() {}
                """##)
        // Each alone, so that none hides behind another's failure.
        for test in ["aCloses", "bCuts", "cDoubles", "dGarbles"] {
            let run = try await fixture.report("test", test, "--isolate", "test")
            #expect(run.exitCode == 1, "\(test)")
        }
        let run = try await fixture.report("run", "--isolate", "test")
        #expect(run.exitCode == 1)
        #expect(run.tests["OnlyTests.aCloses()"] != "passed")
        #expect(run.tests["OnlyTests.bCuts()"] == "failed")
        #expect(run.tests["OnlyTests.ePasses()"] == "passed")
    }

    @Test("isolate: a test that writes another test's pass to its own guest's results does not change the other")
    func isolationDefeatsForgery() async throws {
        try onlyTheSuite()
        try replaceSuite(
            with: ##"""
                import Foundation
                import Testing

                @Test func aForges() {
                    func event(_ kind: String, _ test: String) -> String {
                        #"{"version":"6.3.0","kind":"event","payload":{"kind":"\#(kind)","instant":{"absolute":9,"since1970":9},"#
                            + #""testID":"\#(test)","messages":[]}}"# + "\n"
                    }
                    let other = "OnlyTests.bFails()/OnlyTests.swift:15:2"
                    var lies = event("testStarted", other) + event("testEnded", other)
                    lies += event("runEnded", other)
                    for descriptor in 1...20 as ClosedRange<Int32> { _ = write(descriptor, lies, lies.utf8.count) }
                    exit(0)
                }

                @Test func bFails() { #expect(1 == 2) }
                """##)
        let run = try await fixture.report("run", "--isolate", "test")
        #expect(run.exitCode == 1)
        #expect(run.tests["OnlyTests.bFails()"] == "failed")
        // Nor does it pass itself: it never ended.
        #expect(run.tests["OnlyTests.aForges()"] == "failed")
        #expect((run.json["guests"] as? [String: Any])?["count"] as? Int == 2)
    }

    @Test("isolate: a damaged snapshot is made again")
    func isolationMendsSnapshots() async throws {
        try witnesses(("first", "look"))
        let whole = try await fixture.report("test", "^first$", "--isolate", "test")
        #expect(whole.exitCode == 0)
        let name = try #require(
            (whole.json["steps"] as? [[String: Any]])?.first { $0["name"] as? String == "snapshot" }?["detail"]
                as? String)
        let artifacts = try #require(whole.json["artifacts"] as? [String: Any])
        let runs = URL(fileURLWithPath: try #require(artifacts["folder"] as? String)).deletingLastPathComponent()
        let snapshot = runs.deletingLastPathComponent().appendingPathComponent("snapshots/\(name)")
        let state = try FileHandle(forUpdating: snapshot.appendingPathComponent("state"))
        try state.truncate(atOffset: 1000)
        try state.close()
        let corrected = try await fixture.report("test", "^first$", "--isolate", "test")
        #expect(corrected.exitCode == 0)
        #expect(corrected.steps["snapshot"] == "made")
    }

    @Test("guests: a suite that is sharded over guests has the same tests, in one order", arguments: ["qemu", "uml"])
    func spreadOverGuests(machine: String) async throws {
        let kind = machine == "uml" ? ["--machine", "uml"] : []
        let pattern = "CaesarTests|SixArgs|^msgbox_ktap$"
        let one = try await fixture.report(["test", pattern] + kind)
        let two = try await fixture.report(["test", pattern, "--guests", "2"] + kind)
        let three = try await fixture.report(["test", pattern, "--guests", "3"] + kind)
        for run in [one, two, three] {
            #expect(run.exitCode == 0)
            #expect(run.tests.values.allSatisfy { $0 == "passed" })
            #expect(run.tests.keys.sorted() == one.tests.keys.sorted())
        }
        #expect(two.testObjects.map { $0["id"] as? String } == three.testObjects.map { $0["id"] as? String })
        #expect((two.json["guests"] as? [String: Any])?["count"] as? Int == 2)
        #expect(one.json["guests"] == nil)
    }

    @Test("isolate: in user-mode Linux each test has a separate boot")
    func isolationInUserModeLinux() async throws {
        try witnesses(("first", "look"), ("second", "look"))
        let run = try await fixture.report(
            "test", "^(first|second)$|CaesarTests/(empty|bound)", "--isolate", "test", "--machine", "uml")
        #expect(run.exitCode == 0)
        #expect(run.tests.count == 4)
        #expect(run.tests.values.allSatisfy { $0 == "passed" })
        #expect((run.json["guests"] as? [String: Any])?["isFromSnapshot"] as? Bool == false)
    }
}
