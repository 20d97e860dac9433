// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// `kbuild report`, on runs that end before there is a kernel.
@Suite("kbuild report", .tags(.guest), .costly, .timeLimit(.minutes(60)))
struct ReportTests {
    /// A project whose only test is not there, with a cache of its own.
    private final class Scratch {
        let root = FilePath(NSTemporaryDirectory()).appending("kbuild-report-\(UUID().uuidString)")

        init() throws {
            try createFolder(root)
            try writeAtomically("tests: [{c: none.c}]\n", to: root.appending("kbuild.yaml"))
        }

        deinit { try? removeAll(root) }

        func kbuild(_ arguments: String..., environment: [String: String?] = [:]) async throws -> CommandResult {
            try await kbuild(arguments, environment: environment)
        }

        func kbuild(_ arguments: [String], environment: [String: String?] = [:]) async throws -> CommandResult {
            var environment = environment
            environment["KBUILD_CACHE"] = root.appending("cache").string
            return try await CommandRunner().capture(
                Command(
                    try Fixture.executable(), arguments, environment: environment, workingDirectory: root))
        }
    }

    @Test("a report from elsewhere cannot send commands to the terminal or to the CI service")
    func foreign() async throws {
        let scratch = try Scratch()
        #expect(try await scratch.kbuild("run").status == .exited(2))
        let own = try await scratch.kbuild("report", "--format", "json")
        var json = try #require(try JSONSerialization.jsonObject(with: Data(own.output.utf8)) as? [String: Any])
        let nasty = "\u{1B}]0;x\u{7}\u{9B}2J\u{202E}\n::stop-commands::x\n  ::error::x\n##[add-matcher]x"
        json["artifacts"] = ["console": nasty, "memory": nasty, "buildLog": nasty]
        json["profile"] = nasty
        json["errors"] = [["code": 7, "message": nasty, "details": nasty, "nextStep": nasty]]
        let file = scratch.root.appending("foreign.json")
        try writeAtomically(String(decoding: try JSONSerialization.data(withJSONObject: json), as: UTF8.self), to: file)
        for arguments in [["report", file.string], ["report", file.string, "--format", "json"]] {
            for environment: [String: String?] in [[:], ["GITHUB_ACTIONS": "true"]] {
                let result = try await scratch.kbuild(arguments, environment: environment)
                #expect(result.status == .exited(0))
                for text in [result.output, result.errors] {
                    let orders = text.unicodeScalars.filter {
                        $0 != "\n" && [.control, .format].contains($0.properties.generalCategory)
                    }
                    #expect(orders.isEmpty)
                    #expect(!text.contains("##["))
                    #expect(!text.split(separator: "\n").contains { $0.drop { $0 == " " }.hasPrefix("::") })
                }
                #expect(result.output.contains("stop-commands"))
            }
        }
        let unknown = try await scratch.kbuild("report", scratch.root.string + "/\u{1B}[2J.json")
        #expect(unknown.status == .exited(2))
        #expect(unknown.errors.contains(#"\u{1B}[2J.json"#))
    }

    @Test("the last run, an earlier one, by name and by path; a missing one is an error")
    func finding() async throws {
        let scratch = try Scratch()
        #expect(try await scratch.kbuild("report").status == .exited(2))
        #expect(try await scratch.kbuild("report", "--list").output == "no run is kept\n")
        #expect(try await scratch.kbuild("run").status == .exited(2))
        let last = try await scratch.kbuild("report")
        #expect(last.status == .exited(0))
        #expect(last.output.contains("tests: \(scratch.root)/none.c"))
        #expect(last.output.contains("USAGE ERROR: 0 passed"))
        #expect(try await scratch.kbuild("report", "-1").output == last.output)
        #expect(try await scratch.kbuild("report", "-q").output.hasPrefix("USAGE ERROR: "))
        for place in ["-2", "-12", "-999"] {
            let none = try await scratch.kbuild("report", place)
            #expect(none.status == .exited(2))
            #expect(none.errors.contains("there is no run \(place): 1 is kept"))
        }
        for wrong in ["--nothing", "-x", "nothing", "no.json"] {
            #expect(try await scratch.kbuild("report", wrong).status == .exited(2), "\(wrong)")
        }
        let list = try await scratch.kbuild("report", "--list", "--format", "json")
        let json = try JSONSerialization.jsonObject(with: Data(list.output.utf8)) as? [String: Any]
        let run = try #require((json?["runs"] as? [[String: Any]])?.first)
        #expect(run["verdict"] as? String == "usage-error")
        for key in ["id", "file"] {
            let name = try #require(run[key] as? String)
            #expect(try await scratch.kbuild("report", name).output == last.output)
        }
        // An invalid project file does not matter here.
        try writeAtomically("nonsense: [", to: scratch.root.appending("kbuild.yaml"))
        #expect(try await scratch.kbuild("report").output == last.output)
    }

    @Test("files are made from a run, and two runs are compared")
    func making() async throws {
        let scratch = try Scratch()
        let html = scratch.root.appending("a.html")
        let run = try await scratch.kbuild("run", "--html", html.string, "--summary", "\(scratch.root)/a.md")
        #expect(run.status == .exited(2))
        #expect(try readText(html).contains("<h1>USAGE ERROR</h1>"))
        #expect(try readText(scratch.root.appending("a.md")).hasPrefix("## kbuild: USAGE ERROR"))
        #expect(try await scratch.kbuild("report", "--compare").status == .exited(2))
        _ = try await scratch.kbuild("run")
        let result = try await scratch.kbuild("report", "-2", "--html", html.string, "--junit", "\(scratch.root)/a.xml")
        #expect(result.status == .exited(0))
        #expect(try readText(html).contains("kbuild run --html"))
        #expect(try readText(scratch.root.appending("a.xml")).hasPrefix("<?xml"))
        #expect(try await scratch.kbuild("report", "--html", "/no/such/folder/a.html").status == .exited(2))
        for arguments in [["--compare"], ["--compare", "-2"], ["--compare", "-2", "-1"], ["-2", "-1", "--compare"]] {
            let comparison = try await scratch.kbuild(["report"] + arguments)
            #expect(comparison.status == .exited(0), "\(arguments)")
            #expect(comparison.output.hasSuffix("NO WORSE: 0 newly failing\n"), "\(comparison.output)")
        }
        try writeAtomically(
            "tests: [{c: other.c}]\nkernel: {patches: [none]}\n", to: scratch.root.appending("kbuild.yaml"))
        _ = try await scratch.kbuild("run")
        let json = try await scratch.kbuild("report", "--compare", "--format", "json")
        #expect(json.output.contains("\"schemaVersion\" : 1"))
    }

    @Test("the run's summary is appended to the job's")
    func stepSummary() async throws {
        let scratch = try Scratch()
        let file = scratch.root.appending("summary.md")
        try writeAtomically("before\n", to: file)
        let result = try await scratch.kbuild(
            "run", "--annotations", "github", environment: ["GITHUB_STEP_SUMMARY": file.string])
        #expect(result.status == .exited(2))
        #expect(result.errors.contains("::error title=kbuild::"))
        #expect(try readText(file).hasPrefix("before\n\n## kbuild: USAGE ERROR"))
    }
}
