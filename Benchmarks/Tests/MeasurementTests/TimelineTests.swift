// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Measurement

/// The phases of an edit, from a run's events.
@Suite struct TimelineTests {
    private static let events = """
        {"event":"step-started","step":"compile","time":0.1}
        {"event":"progress","step":"compile","text":"kernel/box.o","time":0.2}
        {"event":"progress","step":"compile","text":".tmp_vmlinux.kallsyms2","time":0.5}
        {"event":"progress","step":"compile","text":".tmp_vmlinux.kallsyms2.syms","time":0.8}
        {"event":"progress","step":"compile","text":".tmp_vmlinux.kallsyms2.S","time":0.9}
        {"event":"progress","step":"compile","text":".tmp_vmlinux.kallsyms2.o","time":1.0}
        {"event":"progress","step":"compile","text":"vmlinux","time":1.1}
        {"event":"progress","step":"compile","text":"System.map","time":1.4}
        {"event":"progress","step":"compile","text":"built-in.a","time":1.45}
        {"event":"step-finished","step":"compile","time":1.5}
        {"event":"step-started","step":"test","time":1.6}
        {"event":"booted","time":2.4}
        {"event":"test-started","time":2.9}
        {"event":"test-ended","time":3.0}
        {"event":"report","time":3.25}
        """

    @Test func phases() throws {
        let timeline = try Timeline(events: Self.events)
        #expect(timeline.total == 3.25)
        #expect(
            timeline.phases.map(\.name) == [
                "kbuild", "compiler", "linker", "symbol table", "linker", "symbol table", "kbuild",
                "QEMU and the guest's kernel", "the test's start", "the test", "the guest's end and the report",
            ])
        #expect(zip(timeline.phases, timeline.phases.dropFirst()).allSatisfy { $0.end == $1.start })
        let sums = Dictionary(uniqueKeysWithValues: timeline.sums.map { ($0.name, ($0.seconds * 100).rounded()) })
        #expect(sums["linker"] == 60 && sums["symbol table"] == 40 && sums["compiler"] == 30 && sums["kbuild"] == 30)
        #expect(timeline.sums.first?.name == "QEMU and the guest's kernel")
        let picture = timeline.picture(title: "t")
        #expect(picture.contains(">t: 3.25 s</text>") && picture.contains(">linker: 0.60 s</text>"))
    }

    @Test func runsWithoutAnEditAreRefused() {
        #expect(throws: RunError.self) { try Timeline(events: "{\"event\":\"report\",\"time\":1}") }
        #expect(throws: RunError.self) { try Timeline(events: "kbuild: no") }
    }
}
