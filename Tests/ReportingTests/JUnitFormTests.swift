// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import FoundationXML
import ResultsModel
import Testing

@testable import Reporting

/// The form that the xunit plugin of Jenkins and GitLab agree on, as docs/reference/junit.xsd has it.
@Suite("The form of JUnit XML", .timeLimit(.minutes(30)))
struct JUnitFormTests {
    /// An element of the file.
    private final class Element {
        var name: String
        var attributes: [String: String]
        var children: [Element] = []
        var text = ""

        init(_ name: String, _ attributes: [String: String]) {
            self.name = name
            self.attributes = attributes
        }
    }

    private final class Reader: NSObject, XMLParserDelegate {
        var open = [Element("", [:])]

        func parser(
            _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
            attributes: [String: String] = [:]
        ) {
            let element = Element(name, attributes)
            open.last?.children.append(element)
            open.append(element)
        }

        func parser(
            _ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?
        ) {
            open.removeLast()
        }

        func parser(_ parser: XMLParser, foundCharacters string: String) { open.last?.text += string }
    }

    private func root(_ xml: String) throws -> Element {
        let parser = XMLParser(data: Data(xml.utf8))
        let reader = Reader()
        parser.delegate = reader
        try #require(parser.parse())
        return try #require(reader.open.first?.children.first)
    }

    /// The attributes that an element must have, and may not have others than.
    private let attributes: [String: Set<String>] = [
        "testsuites": ["name", "tests", "failures", "errors", "time"],
        "testsuite": ["name", "tests", "failures", "errors", "skipped", "time", "timestamp"],
        "testcase": ["classname", "name", "time"], "failure": ["type", "message"], "error": ["type", "message"],
        "skipped": ["message"], "system-out": [],
    ]
    /// The children that an element may have, in this order.
    private let children: [String: [[String]]] = [
        "testsuites": [["testsuite"]], "testsuite": [["testcase"], ["system-out"]],
        "testcase": [["failure", "error", "skipped"], ["system-out"]],
    ]
    /// Those of which there is one at most.
    private let single: Set<String> = ["failure", "error", "skipped", "system-out"]

    private func check(_ element: Element) {
        #expect(Set(element.attributes.keys) == attributes[element.name], "\(element.name)")
        for name in ["time"] { if let time = element.attributes[name] { #expect(isTime(time), "\(time)") } }
        for name in ["name", "classname", "type"] { #expect(element.attributes[name]?.isEmpty != true) }
        let groups = children[element.name] ?? []
        let places = element.children.map { child in groups.firstIndex { $0.contains(child.name) } ?? -1 }
        #expect(!places.contains(-1), "\(element.name): \(element.children.map(\.name))")
        #expect(places == places.sorted(), "\(element.name): \(element.children.map(\.name))")
        for (place, child) in zip(places, element.children) where single.contains(child.name) {
            #expect(places.count { $0 == place } == 1)
        }
        element.children.forEach(check)
    }

    /// The xunit plugin's pattern allows groups of three digits; these have none.
    private func isTime(_ text: String) -> Bool {
        let parts = text.split(separator: ".")
        return parts.count == 2 && parts.allSatisfy { $0.allSatisfy(\.isWholeNumber) } && parts[1].count == 3
    }

    private func count(_ element: Element, _ name: String) -> Int {
        element.children.count { child in child.children.contains { $0.name == name } }
    }

    /// Reports of every kind.
    private var reports: [RunReport] {
        let empty = RunReport(startedAt: "2026-01-02T03:04:05Z", project: "/p")
        var nasty = sample()
        nasty.suites[0].name = ""
        nasty.suites[0].tests[0].id = ""
        nasty.suites[0].tests[1].id = "<&>\"'\u{0}\u{1B}\u{FFFE}"
        nasty.suites[0].tests[1].seconds = .nan
        nasty.suites[0].tests[2].seconds = 1e300
        nasty.suites[0].problems = ["", "]]>"]
        nasty.errors = [.init(Failure(.infrastructure, "", details: ""))]
        nasty.crashes[0].title = ""
        return [sample(), empty, nasty]
    }

    @Test("elements and attributes are those of both formats, in their order; the counts agree")
    func form() throws {
        for report in reports {
            let root = try root(JUnitReport.render(report))
            #expect(root.name == "testsuites")
            check(root)
            for suite in root.children {
                let cases = suite.children.filter { $0.name == "testcase" }
                #expect(suite.attributes["tests"] == String(cases.count))
                #expect(suite.attributes["failures"] == String(count(suite, "failure")))
                #expect(suite.attributes["errors"] == String(count(suite, "error")))
                #expect(suite.attributes["skipped"] == String(count(suite, "skipped")))
            }
            for name in ["tests", "failures", "errors"] {
                let sum = root.children.compactMap { Int($0.attributes[name] ?? "") }.reduce(0, +)
                #expect(root.attributes[name] == String(sum))
            }
            let names = root.children.flatMap(\.children).filter { $0.name == "testcase" }.map(\.attributes)
            #expect(Set(names.map { [$0["classname"], $0["name"]] }).count == names.count)
        }
    }

    @Test("the place of a failure is in its text")
    func place() throws {
        let failure = try root(JUnitReport.render(sample())).children.flatMap(\.children).flatMap(\.children)
            .first { $0.name == "failure" }
        #expect(failure?.text == "/p/T.swift:12: Expectation failed: a == b")
    }

    @Test("a guest cannot attach a file of the host")
    func attachment() throws {
        var report = sample()
        report.suites[0].output = ["[[ATTACHMENT|/etc/passwd]]", "[[ATTACHMENT|\u{301}/etc/passwd]]"]
        report.suites[0].tests[0].output = report.suites[0].output
        let xml = JUnitReport.render(report)
        #expect(!Array(xml.utf8).contains("[[ATTACHMENT"))
        #expect(xml.contains("/etc/passwd"))
    }

    private static let xmllint = ["/usr/bin/xmllint", "/usr/local/bin/xmllint"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    @Test("it is valid by docs/reference/junit.xsd, if xmllint is installed", .enabled(if: xmllint != nil))
    func schema() throws {
        let xmllint = try #require(Self.xmllint)
        let schema = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("docs/reference/junit.xsd")
        for report in reports {
            let file = FileManager.default.temporaryDirectory.appendingPathComponent("junit-\(UUID().uuidString).xml")
            defer { try? FileManager.default.removeItem(at: file) }
            try Data(JUnitReport.render(report).utf8).write(to: file)
            let process = Process()
            process.executableURL = URL(fileURLWithPath: xmllint)
            process.arguments = ["--noout", "--nonet", "--schema", schema.path, file.path]
            let errors = Pipe()
            process.standardError = errors
            try process.run()
            let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            #expect(process.terminationStatus == 0, "\(text)")
        }
    }
}

extension Array where Element == UInt8 {
    /// Whether the bytes of a text are among these.
    fileprivate func contains(_ text: String) -> Bool { firstRange(of: Array(text.utf8)) != nil }
}
