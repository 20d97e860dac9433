// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import FoundationXML
import ResultsModel
import Testing

@testable import Reporting

@Suite("Text report", .timeLimit(.minutes(30)))
struct TextReportTests {
    @Test("a failure shows its expectation, its place and the kernel's messages; the summary has the counts")
    func failure() {
        let text = TextReport().render(sample()).plain
        for part in [
            "FAIL M.S/bad() \"bad works\"", "/p/T.swift:12", "Expectation failed: a == b",
            "| [    1.0] the kernel's word", "NO RESULT M.S/gone()", "the guest panicked", "CRASH WARNING in f",
            "while M.S/bad() ran", "not whole: its end is missing", "kernel/f.c:12 in g", "kernel/f.c:3 in f",
            "call = 451", "compile hit", "test 3.50 s",
            "CRASHED: 1 passed, 1 failed, 1 without result, 1 skipped in 12.35 s", "/r/console.log",
        ] { #expect(text.contains(part), "\(part)") }
        #expect(!text.contains("good works"))
        #expect(!text.contains("\u{1B}"))
        #expect(TextReport().render(sample()).rendered(usesColor: true).contains("\u{1B}[31m"))
    }

    @Test("the short form is one line of the summary with the verdict")
    func verdict() {
        let line = TextReport().verdict(sample()).plain
        #expect(line.hasPrefix("CRASHED: 1 passed"))
        #expect(TextReport().render(sample()).plain.split(separator: "\n").contains(Substring(line)))
    }

    @Test("a pass is short")
    func pass() {
        var report = sample()
        report.suites[0].tests.removeSubrange(1...)
        report.crashes = []
        let lines = TextReport().render(report).plain.split(separator: "\n")
        #expect(lines.last == "PASSED: 1 passed, 0 failed in 12.35 s")
        #expect(lines.count == 3)
    }
}

@Suite("JSON report", .timeLimit(.minutes(30)))
struct JSONReportTests {
    @Test("it is read back unchanged")
    func roundTrip() throws {
        #expect(try JSONReport.parse(JSONReport.render(sample())) == sample())
    }

    @Test("a later version is refused")
    func laterVersion() throws {
        var report = sample()
        report.schemaVersion += 1
        let text = try JSONReport.render(report)
        #expect(throws: DecodingError.self) { try JSONReport.parse(text) }
    }

    /// Checks a value against the part of JSON Schema that the file uses: type, properties, required, items, enum,
    /// $ref.
    private func check(_ value: Any, _ schema: [String: Any], _ root: [String: Any], at path: String) {
        if let reference = schema["$ref"] as? String {
            let name = reference.split(separator: "/").last.map(String.init) ?? ""
            let definitions = root["$defs"] as? [String: [String: Any]] ?? [:]
            guard let definition = definitions[name] else {
                Issue.record("\(path): no definition \(name)")
                return
            }
            return check(value, definition, root, at: path)
        }
        if let choices = schema["enum"] as? [String] { #expect(choices.contains(value as? String ?? ""), "\(path)") }
        switch schema["type"] as? String {
        case "object":
            guard let object = value as? [String: Any],
                let properties = schema["properties"] as? [String: [String: Any]]
            else {
                Issue.record("\(path) is no object")
                return
            }
            for key in schema["required"] as? [String] ?? [] {
                #expect(object[key] != nil, "\(path).\(key) is missing")
            }
            for (key, child) in object {
                guard let childSchema = properties[key] else {
                    Issue.record("\(path).\(key) is not documented")
                    continue
                }
                check(child, childSchema, root, at: "\(path).\(key)")
            }
        case "array":
            guard let array = value as? [Any], let items = schema["items"] as? [String: Any] else {
                Issue.record("\(path) is no array")
                return
            }
            for (index, child) in array.enumerated() { check(child, items, root, at: "\(path)[\(index)]") }
        case "string": #expect(value is String, "\(path)")
        case "integer", "number": #expect(value is NSNumber, "\(path)")
        case "boolean": #expect(value is Bool, "\(path)")
        default: Issue.record("\(path): the schema names no type")
        }
    }

    private func schema(_ name: String) throws -> [String: Any] {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("docs/reference/\(name)")
        return try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
    }

    @Test("a log's JSON is valid by docs/reference/log-schema.json")
    func logSchema() throws {
        let schema = try schema("log-schema.json")
        for format in LogReport.Format.allCases {
            let report = LogReport(
                source: "a.log", format: format, isEmpty: false, crashes: sample().crashes, suites: sample().suites)
            let value = try JSONSerialization.jsonObject(with: Data(JSONReport.render(report).utf8))
            check(value, schema, schema, at: "log")
        }
    }

    @Test("the JSON of a comparison and of a list is valid by its schema")
    func runSchemas() throws {
        var head = sample()
        head.suites[0].tests[0].status = .failed
        head.suites[0].tests[1].status = .passed
        head.suites[0].tests[3].id = "other"
        let comparison = RunComparison(base: .init(id: "a", report: sample()), head: .init(id: "b", report: head))
        let list = RunList(runs: [
            .init(place: -1, id: "a", file: "/a/report.json", report: sample()),
            .init(place: -2, id: "b", file: "/b/report.json", report: nil),
        ])
        let values: [(String, any Encodable)] = [
            ("comparison-schema.json", comparison), ("run-list-schema.json", list),
            ("history-schema.json", TestHistoryTests.history),
            ("cache-schema.json", CacheTextTests.list), ("cache-prune-schema.json", CacheTextTests.pruning),
        ]
        for (name, value) in values {
            let schema = try schema(name)
            check(try JSONSerialization.jsonObject(with: JSONEncoder().encode(value)), schema, schema, at: name)
        }
    }

    /// The least value that the schema allows: objects with what is required, of which strings are the first choice.
    private func least(_ schema: [String: Any], _ root: [String: Any]) -> Any {
        if let reference = schema["$ref"] as? String {
            let name = reference.split(separator: "/").last.map(String.init) ?? ""
            return least((root["$defs"] as? [String: [String: Any]])?[name] ?? [:], root)
        }
        switch schema["type"] as? String {
        case "object":
            let properties = schema["properties"] as? [String: [String: Any]] ?? [:]
            let required = schema["required"] as? [String] ?? []
            return Dictionary(uniqueKeysWithValues: required.map { ($0, least(properties[$0] ?? [:], root)) })
        case "array": return [least(schema["items"] as? [String: Any] ?? [:], root)]
        case "string": return (schema["enum"] as? [String])?.first ?? ""
        case "boolean": return true
        default: return 1
        }
    }

    @Test("everything that the schema allows can be read: optional keys may be absent, unknown ones present")
    func reading() throws {
        let schema = try schema("report-schema.json")
        var value = try #require(least(schema, schema) as? [String: Any])
        let suites = try #require(value["suites"] as? [[String: Any]])
        #expect(suites.first?["tests"] != nil)
        value["a key of the future"] = [1, 2]
        let text = String(decoding: try JSONSerialization.data(withJSONObject: value), as: UTF8.self)
        let report = try JSONReport.parse(text)
        #expect(report.suites.first?.tests.first?.status == .passed)
        #expect(report.steps.first?.startSeconds == nil)
        #expect(report.crashes.first?.frames.isEmpty == true)
        // Every renderer takes it.
        #expect(!HTMLReport.render(report).isEmpty)
        #expect(!MarkdownSummary.render(report).isEmpty)
        #expect(!TextReport().render(report).isEmpty)
        #expect(!JUnitReport.render(report).isEmpty)
    }

    @Test("a plan's JSON is valid by docs/reference/plan-schema.json")
    func planSchema() throws {
        let schema = try schema("plan-schema.json")
        let steps = RunPlan.Outcome.allCases.map {
            RunPlan.Step(
                name: "compile", outcome: $0, key: "ab", detail: "", dependsOn: ["patch"],
                actions: [.command("make"), .remark("a plain make")])
        }
        let plan = RunPlan(project: "/p", profile: "debug", steps: steps)
        check(try JSONSerialization.jsonObject(with: JSONEncoder().encode(plan)), schema, schema, at: "plan")
    }

    @Test("it is valid by docs/reference/report-schema.json")
    func schema() throws {
        let schema = try schema("report-schema.json")
        var report = sample()
        report.errors = [.init(Failure(.infrastructure, "message", details: "details", nextStep: "next"))]
        report.artifacts.buildLog = "/log"
        report.coverage = CoverageRenderingTests.coverage
        report.repetitions = RepetitionTests.repetitions
        report.callProfile = CallProfileTests.profile
        let value = try JSONSerialization.jsonObject(with: Data(JSONReport.render(report).utf8))
        check(value, schema, schema, at: "report")
    }
}

@Suite("JUnit report", .timeLimit(.minutes(30)))
struct JUnitReportTests {
    private final class Reader: NSObject, XMLParserDelegate {
        var elements: [(name: String, attributes: [String: String])] = []
        func parser(
            _ parser: XMLParser, didStartElement elementName: String, namespaceURI: String?,
            qualifiedName qName: String?, attributes attributeDict: [String: String] = [:]
        ) {
            elements.append((elementName, attributeDict))
        }
    }

    private func parse(_ xml: String) throws -> [(name: String, attributes: [String: String])] {
        let parser = XMLParser(data: Data(xml.utf8))
        let reader = Reader()
        parser.delegate = reader
        try #require(parser.parse(), "\(String(describing: parser.parserError))\n\(xml)")
        return reader.elements
    }

    @Test("every test is a case with a class and a name; counts agree")
    func cases() throws {
        let elements = try parse(JUnitReport.render(sample()))
        let cases = elements.filter { $0.name == "testcase" }
        #expect(
            cases.map { $0.attributes["name"] ?? "" }.prefix(4) == [
                "M.S/good()", "M.S/bad()", "M.S/gone()", "M.S/later()",
            ])
        #expect(cases.allSatisfy { $0.attributes["classname"]?.isEmpty == false })
        #expect(cases[1].attributes["time"] == "1.500")
        let suite = try #require(elements.first { $0.name == "testsuite" })
        #expect(suite.attributes["tests"] == "4")
        #expect(suite.attributes["failures"] == "1")
        #expect(suite.attributes["errors"] == "1")
        #expect(suite.attributes["skipped"] == "1")
        // The crash is an error of the run itself.
        let run = try #require(elements.last { $0.name == "testsuite" })
        #expect(run.attributes["errors"] == "1")
    }

    @Test("names that two tests share are made unique")
    func unique() throws {
        var report = sample()
        report.suites[0].tests = [
            .init(id: "a", name: "a", status: .passed), .init(id: "a", name: "a", status: .passed),
        ]
        let names = try parse(JUnitReport.render(report)).filter { $0.name == "testcase" }.map { $0.attributes["name"] }
        #expect(Set(names).count == names.count)
    }

    @Test(
        "any text gives well-formed XML",
        arguments: ["<&>\"']]>", "\u{0}\u{8}\u{FFFE}\u{1B}[31m", "über 漢字 🐧", "a\nb\tc\r"])
    func anyText(text: String) throws {
        var report = sample()
        report.suites[0].name = text
        report.suites[0].tests[1].id = text
        report.suites[0].tests[1].issues[0].message = text
        report.suites[0].tests[1].kernelLog = [text]
        report.suites[0].problems = [text]
        report.suites[0].output = [text]
        report.crashes[0].title = text
        report.crashes[0].lines = [text]
        report.errors = [.init(Failure(.build, text, details: text))]
        let elements = try parse(JUnitReport.render(report))
        #expect(elements.filter { $0.name == "testcase" }.count == 7)
    }
}

@Suite("Log report", .timeLimit(.minutes(30)))
struct LogReportTests {
    @Test("a console without a crash report passes; one with a report does not, nor does an empty one")
    func console() {
        let clean = LogReport(source: "a.log", format: .console, isEmpty: false)
        #expect(clean.exitCode == 0)
        #expect(TextReport().render(clean).plain == "PASSED: no crash report in a.log")
        let bad = LogReport(source: "a.log", format: .console, isEmpty: false, crashes: sample().crashes)
        #expect(bad.exitCode == 5)
        let text = TextReport().render(bad).plain
        for part in [
            "CRASH WARNING in f", "warning, lines 7 to 8, function f, CPU 1, task probe, PID 42", "| [ 1.0] WARNING",
            "not whole: its end is missing", "kernel/f.c:12 in g", "CRASHED: 1 crash report in a.log",
        ] { #expect(text.contains(part), "\(part)") }
        #expect(LogReport(source: "a.log", format: .console, isEmpty: true).exitCode == 7)
    }

    @Test("a KTAP log is judged as a suite in a guest is")
    func ktap() {
        func report(_ tests: [TestResult], problems: [String] = []) -> LogReport {
            LogReport(
                source: "a.log", format: .ktap, isEmpty: false,
                suites: [.init(name: "a", kind: "ktap", tests: tests, problems: problems)])
        }
        let good = TestResult(id: "a/x", name: "x", status: .passed)
        let bad = TestResult(id: "a/y", name: "y", status: .failed, issues: [.init(message: "not ok")])
        #expect(report([good]).exitCode == 0)
        #expect(TextReport().render(report([good])).plain == "ok a/x\nPASSED: 1 passed, 0 failed in a.log")
        #expect(report([good, bad]).exitCode == 1)
        #expect(TextReport().render(report([good, bad])).plain.contains("FAIL a/y"))
        #expect(report([good], problems: ["line 3: a result is missing"]).exitCode == 1)
        #expect(report([]).exitCode == 7)
    }

    @Test("a log has at least one case in JUnit")
    func junit() {
        let clean = LogReport(source: "a.log", format: .console, isEmpty: false)
        #expect(JUnitReport.render(clean.run(startedAt: "2026-01-02T03:04:05Z")).contains("no crash report"))
        let bad = LogReport(source: "a.log", format: .console, isEmpty: false, crashes: sample().crashes)
        let xml = JUnitReport.render(bad.run(startedAt: "2026-01-02T03:04:05Z"))
        #expect(xml.contains("errors=\"1\""))
        #expect(xml.contains("WARNING in f"))
    }
}
