// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import ResultsModel
import SystemPackage
import TestSession
import Testing

@testable import Application

/// The events of a run as lines of JSON.
@Suite("Events as JSON", .timeLimit(.minutes(30)))
struct EventLineTests {
    private static let events: [StepEvent] = [
        .stepStarted(.compile), .progress(.compile, .note("a \"note\"\nof two lines")),
        .progress(.compile, .advance(done: 3, total: nil, label: "a.o")),
        .stepFinished(.compile, .made, seconds: 1.5, detail: "3 objects"), .session(.booted(release: "6.12")),
        .session(.testStarted(id: "t")),
        .session(.testEnded(.init(id: "t", name: "t", status: .failed, seconds: .nan))),
        .session(.crashed(.init(title: "WARNING in f", isFatal: false, lines: []))),
    ]

    private func object(_ line: String?) throws -> [String: Any] {
        let line = try #require(line)
        #expect(!line.contains("\n"))
        return try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }

    @Test("each event is one JSON object on one line, with its keys")
    func lines() throws {
        let objects = try Self.events.map { try object(EventLines.line($0, time: 2.0004)) }
        #expect(
            objects.map { $0["event"] as? String } == [
                "step-started", "note", "progress", "step-finished", "booted", "test-started", "test-ended",
                "kernel-report",
            ])
        #expect(objects[1]["text"] as? String == "a \"note\"\nof two lines")
        #expect(objects[2]["done"] as? Int == 3 && objects[2]["total"] == nil)
        #expect(objects[3]["outcome"] as? String == "made" && objects[3]["seconds"] as? Double == 1.5)
        #expect(objects[6]["status"] as? String == "failed" && objects[6]["seconds"] == nil)
        #expect(EventLines.line(.progress(nil, .command("make")), time: 0) == nil)
        #expect(EventLines.line(.session(.ended), time: 0) == nil)
        #expect(objects.allSatisfy { $0["time"] as? Double == 2 })
    }

    @Test("the last event is the report, with its verdict")
    func report() throws {
        let report = RunReport(startedAt: "now", project: "/p")
        let object = try object(EventLines.line(report, time: 3))
        let inner = try #require(object["report"] as? [String: Any])
        #expect(object["time"] as? Double == 3)
        #expect(object["event"] as? String == "report" && inner["verdict"] as? String == report.verdict)
        #expect(inner["exitCode"] as? Int == Int(report.exitCode))
    }

    @Test("every event is documented")
    func documented() throws {
        let root = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent()
        let page = try readText(root.pushing("docs/guide/reports.md"))
        for event in Self.events {
            let name = try #require(try object(EventLines.line(event, time: 0))["event"] as? String)
            #expect(page.contains("| `\(name)` |"), "docs/guide/reports.md does not name \(name)")
        }
    }
}
