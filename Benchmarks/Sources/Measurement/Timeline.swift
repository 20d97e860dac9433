// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Where the time of an edit goes, from the events of a run (`kbuild run --format jsonl`).
public struct Timeline: Sendable, Equatable {
    /// A part of the time.
    public struct Phase: Sendable, Equatable {
        /// Whose time it is.
        public var name: String
        /// When it began, in seconds since the command started.
        public var start: Double
        /// When it ended.
        public var end: Double
    }

    /// The phases in their order, without gaps.
    public private(set) var phases: [Phase] = []

    /// Seconds from the start to the end.
    public var total: Double { phases.last?.end ?? 0 }

    /// The keys that are read (docs/guide/reports.md in kbuild describes all).
    private struct Event: Decodable {
        var event: String
        var time: Double
        var step: String?
        var text: String?
    }

    /// Reads the lines of a run.
    ///
    /// - Throws: `RunError` when they are not those of a run that compiled one file and ran a test.
    public init(events text: String) throws {
        var last = 0.0
        var current = "kbuild"
        func isFile(_ event: Event, _ names: String...) -> Bool {
            event.event == "progress" && event.step == "compile" && names.contains { event.text?.hasPrefix($0) == true }
        }
        var seen: Set<String> = []
        for line in text.split(separator: "\n") {
            guard let event = try? JSONDecoder().decode(Event.self, from: Data(line.utf8)) else {
                throw RunError("this line is not an event: \(line.prefix(200))")
            }
            let next: String? =
                if isFile(event, ".tmp_vmlinux") {
                    // The linker's output has no further extension; the table's list, source and object have one.
                    event.text.map { $0.hasSuffix(".syms") || $0.hasSuffix(".S") || $0.hasSuffix(".o") } == true
                        ? "symbol table" : "linker"
                } else if isFile(event, "vmlinux") {
                    // vmlinux.a and vmlinux.o are made beside the link.
                    event.text == "vmlinux" ? "linker" : nil
                } else if isFile(event, "System.map") {
                    "symbol table"
                } else if event.event == "progress", event.step == "compile", !seen.contains("linker") {
                    "compiler"
                } else if event.event == "step-finished", event.step == "compile" {
                    "kbuild"
                } else if event.event == "step-started", event.step == "test" {
                    "QEMU and the guest's kernel"
                } else if event.event == "booted" {
                    "the test's start"
                } else if event.event == "test-started" {
                    "the test"
                } else if event.event == "test-ended" {
                    "the guest's end and the report"
                } else if event.event == "report" {
                    "end"
                } else {
                    nil
                }
            guard let next, next != current else { continue }
            seen.insert(next)
            if event.time > last { phases.append(Phase(name: current, start: last, end: event.time)) }
            (last, current) = (event.time, next)
        }
        for name in ["compiler", "linker", "the test", "end"] where !seen.contains(name) {
            throw RunError("the events have no \(name)")
        }
    }

    /// The phases of the same name together, the longest first.
    public var sums: [(name: String, seconds: Double)] {
        Dictionary(phases.map { ($0.name, $0.end - $0.start) }, uniquingKeysWith: +)
            .sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { (name: $0.key, seconds: $0.value) }
    }

    /// A picture: one bar with a part a phase, and a legend with the sums. It has its own background, so that it can be
    /// read on a light and on a dark page.
    ///
    /// - Parameter title: The text above it.
    public func picture(title: String) -> String {
        // Colours that differ in brightness too (Okabe and Ito's palette, https://jfly.uni-koeln.de/color/).
        let colours = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999"]
        let names = sums.map(\.name)
        func colour(_ name: String) -> String { colours[(names.firstIndex(of: name) ?? 0) % colours.count] }
        let (width, left, bar) = (860.0, 20.0, 820.0)
        let height = 110 + 24 * names.count
        var lines = [
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(Int(width)) \(height)\" font-family=\"sans-serif\" "
                + "font-size=\"14\">",
            "<rect width=\"\(Int(width))\" height=\"\(height)\" fill=\"#ffffff\"/>",
            "<text x=\"20\" y=\"28\" font-size=\"16\" fill=\"#222222\">\(title): \(Self.seconds(total))</text>",
        ]
        for phase in phases {
            let x = left + bar * phase.start / total
            let size = bar * (phase.end - phase.start) / total
            lines.append(
                "<rect x=\"\(Self.number(x))\" y=\"44\" width=\"\(Self.number(size))\" height=\"36\" "
                    + "fill=\"\(colour(phase.name))\"><title>\(phase.name): \(Self.seconds(phase.end - phase.start))"
                    + "</title></rect>")
        }
        for (index, sum) in sums.enumerated() {
            let y = 108 + 24 * index
            lines += [
                "<rect x=\"20\" y=\"\(y - 12)\" width=\"14\" height=\"14\" fill=\"\(colour(sum.name))\"/>",
                "<text x=\"42\" y=\"\(y)\" fill=\"#222222\">\(sum.name): \(Self.seconds(sum.seconds))</text>",
            ]
        }
        return (lines + ["</svg>"]).joined(separator: "\n") + "\n"
    }

    private static func seconds(_ value: Double) -> String { String(format: "%.2f s", value) }
    private static func number(_ value: Double) -> String { String(format: "%.1f", value) }
}
