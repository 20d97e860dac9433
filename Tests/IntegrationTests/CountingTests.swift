// SPDX-License-Identifier: Apache-2.0
import Foundation
import Processes
import ProjectFixture
import Testing

/// The cost of calls, repetitions and the history of tests; the project is that of `RunTests`.
extension RunTests {
    /// The medians of a run's calls, by call, in one test.
    private func medians(_ test: String, in run: Run, _ key: String = "cost") throws -> [String: Int] {
        let profile = try #require(run.json["callProfile"] as? [String: Any])
        let entries = try #require(profile["entries"] as? [[String: Any]])
        var medians: [String: Int] = [:]
        for entry in entries where entry["test"] as? String == test {
            let cost = entry[key] as? [String: Any]
            medians[entry["call"] as? String ?? ""] = cost?["median"] as? Int
        }
        return medians
    }

    @Test("counting: a call that became slower is named, with the median of the run before")
    func callProfile() async throws {
        let test = "CaesarTests.CaesarTests/rotations(rot:)"
        let arguments = ["test", "CaesarTests/rotations", "--profile-calls"]
        let first = try await fixture.report(arguments)
        #expect(first.exitCode == 0)
        let before = try #require(medians(test, in: first)["caesar"])
        #expect(before > 100)
        try fixture.edit(
            "kernel/caesar/caesar.c", replacing: "\ttext = kmalloc(CAESAR_MAX_LENGTH + 1, GFP_KERNEL);\n",
            with: """
                \tfor (i = 0; i < \(before * 20); i++)
                \t\tbarrier();
                \ttext = kmalloc(CAESAR_MAX_LENGTH + 1, GFP_KERNEL);

                """)
        let slow = try await fixture.report(arguments)
        #expect(slow.exitCode == 0)
        let after = try #require(medians(test, in: slow)["caesar"])
        #expect(try medians(test, in: slow, "before")["caesar"] == before)
        let machine = try #require(slow.json["machine"] as? [String: Any])
        let profile = try #require(slow.json["callProfile"] as? [String: Any])
        let isEmulated = machine["accelerator"] as? String == "tcg"
        #expect(profile["unit"] as? String == (isEmulated ? "instructions" : "nanoseconds"))
        // Counts of instructions are exact except for interrupts; a time depends on the host.
        if isEmulated { #expect(after >= before * 20) }
    }

    @Test("counting: repetitions run in several guests, their results are counted, and the history has them")
    func repetitionsAtOneTime() async throws {
        let test = "CaesarTests.CaesarTests/rotations(rot:)"
        let run = try await fixture.report("test", "CaesarTests/rotations", "--repeat", "3")
        #expect(run.exitCode == 0)
        let repetitions = try #require(run.json["repetitions"] as? [String: Any])
        #expect(repetitions["count"] as? Int == 3 && repetitions["failed"] as? Int == 0)
        let history = try await fixture.kbuild("report", "--history", "CaesarTests/rotations", "--format", "json")
        #expect(history.status == .exited(0))
        let json = try #require(
            try JSONSerialization.jsonObject(with: Data(history.output.utf8)) as? [String: Any])
        let tests = try #require(json["tests"] as? [[String: Any]])
        #expect(tests.map { $0["id"] as? String } == [test])
        let entries = try #require(tests.first?["entries"] as? [[String: Any]])
        #expect(entries.first?["outcomes"] as? [String: Int] == ["passed": 3])
    }

    @Test("uml: user-mode Linux's calls are profiled in nanoseconds")
    func umlCallProfile() async throws {
        let run = try await fixture.report("test", "CaesarTests/rotations", "--profile-calls", "--machine", "uml")
        #expect(run.exitCode == 0)
        let profile = try #require(run.json["callProfile"] as? [String: Any])
        #expect(profile["unit"] as? String == "nanoseconds")
        #expect(try medians("CaesarTests.CaesarTests/rotations(rot:)", in: run)["caesar"] != nil)
    }
}
