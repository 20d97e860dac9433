// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import FoundationXML
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// What a report says of tests that are neither a plain pass nor a plain failure; the project is that of `RunTests`.
extension RunTests {
    /// A suite with tests of both libraries, and programs that are a script, a link to it, and a link to a link to an
    /// executable file.
    private func haveOddTests() async throws {
        try onlyTheSuite()
        try replaceSuite(
            with: """
                import Testing

                @Test func aPasses() {}
                @Test func bCancels() throws { try Test.cancel("not here") }
                @Test(arguments: 1...3) func cCancelsOne(n: Int) throws { if n == 2 { try Test.cancel("not two") } }
                @Test(arguments: 1...4) func dFails(n: Int) {
                    let isGood = n > 4
                    #expect(isGood, "<b>&\\u{1B}[2J")
                }
                @Test func eFailsFirst() throws {
                    #expect(1 == 2)
                    try Test.cancel("too late")
                }

                """)
        try fixture.edit(
            "Tests/GuestTests/Package.swift", replacing: "    targets: [\n",
            with: "    targets: [\n        .testTarget(name: \"OldTests\"),\n")
        try fixture.write(
            "Tests/GuestTests/Tests/OldTests/OldTests.swift",
            "import XCTest\nfinal class OldTests: XCTestCase { func testOld() { XCTFail() } }\n")
        let programs = fixture.project.pushing("Tests/programs")
        try fixture.write("Tests/programs/script.sh", "#!/bin/sh -e\n[ \"$1\" = word ] && [ -f /proc/version ]\n")
        try fixture.write("Tests/programs/small.c", "int main(void) { return 0; }\n")
        let manager = FileManager.default
        try manager.setAttributes([.posixPermissions: 0o755], ofItemAtPath: programs.appending("script.sh").string)
        _ = try await CommandRunner().capture(
            Command("cc", ["-static", "-o", "small", "small.c"], workingDirectory: programs))
        for (link, target) in [("to-script", "script.sh"), ("to-small", "small"), ("to-link", "to-small")] {
            try removeAll(programs.appending(link))
            try manager.createSymbolicLink(
                atPath: programs.appending(link).string, withDestinationPath: target)
        }
        try fixture.edit(
            "kbuild.yaml", replacing: "\ntests:\n",
            with: """

                tests:
                  - {program: Tests/programs/script.sh, name: script, arguments: [word]}
                  - {program: Tests/programs/to-script, arguments: [word]}
                  - {program: Tests/programs/to-link}

                """)
    }

    @Test("results: XCTest cases are named, cancelled tests skipped, equal issues one, and links and scripts run")
    func readableResults() async throws {
        try await haveOddTests()
        let refused = try await fixture.kbuild("run")
        #expect(refused.status == .exited(2))
        #expect(refused.errors.contains("OldTests.OldTests/testOld"))

        try fixture.edit("kbuild.yaml", replacing: "skip: ^(MsgboxStrictTests|LeakTests)", with: "skip: ^OldTests")
        let (junit, html) = (fixture.project.appending("junit.xml"), fixture.project.appending("report.html"))
        let run = try await fixture.report("run", "--junit", junit.string, "--html", html.string)
        #expect(run.exitCode == 1)
        #expect(
            run.tests == [
                "OnlyTests.aPasses()": "passed", "OnlyTests.bCancels()": "skipped",
                "OnlyTests.cCancelsOne(n:)": "passed",
                "OnlyTests.dFails(n:)": "failed", "OnlyTests.eFailsFirst()": "failed", "script": "passed",
                "to-script": "passed", "to-link": "passed",
            ])
        #expect((try run.test("OnlyTests.bCancels()")["reason"] as? String)?.contains("not here") == true)
        #expect(try run.test("OnlyTests.cCancelsOne(n:)")["skippedCases"] as? Int == 1)
        #expect((try run.test("OnlyTests.cCancelsOne(n:)")["reason"] as? String)?.contains("n → 2") == true)

        let issues = try run.test("OnlyTests.dFails(n:)")["issues"] as? [[String: Any]] ?? []
        #expect(issues.count == 1)
        let issue = try #require(issues.first)
        #expect(issue["count"] as? Int == 4)
        #expect(issue["arguments"] as? [String] == (1...4).map { "n → \($0)" })
        #expect((issue["sourceText"] as? String)?.hasPrefix("#expect(isGood, ") == true)
        #expect((issue["file"] as? String)?.hasSuffix("OnlyTests.swift") == true)

        let times = "4 times, with n → 1; n → 2; n → 3; n → 4"
        let text = try await fixture.kbuild("report").output
        #expect(text.components(separatedBy: times).count == 2)
        #expect(text.contains("> #expect(isGood, ") && text.contains("<b>&\\u{1B}[2J"))
        let page = try readText(html)
        #expect(page.components(separatedBy: times).count == 2)
        #expect(page.contains("#expect(isGood, ") && page.contains("&lt;b&gt;&amp;\\u{1B}[2J"))
        let document = try XMLDocument(contentsOf: URL(fileURLWithPath: junit.string))
        let failures = try document.nodes(forXPath: "//testcase[@name='OnlyTests.dFails(n:)']/failure")
        #expect(failures.count == 1)
        let failure = failures.first?.stringValue ?? ""
        #expect(failure.contains(times) && failure.contains("> #expect(isGood, ") && failure.contains("<b>&"))
        #expect(try document.nodes(forXPath: "//testcase[skipped]").count == 1)
        #expect(![text, page, failure].contains { $0.contains("\u{1B}[2J") })
    }
}
