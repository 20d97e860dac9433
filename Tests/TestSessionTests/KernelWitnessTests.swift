// SPDX-License-Identifier: Apache-2.0
import ResultsModel
import Testing

@testable import CrashReports
@testable import TestSession

/// Feeds a recorder with what a guest of two programs sends, the kernel's log and taint among it.
private struct Guest {
    var recorder = SessionRecorder(
        plan: SessionPlan(programs: [
            ProgramPlan(name: "first", arguments: ["/first"], resultsProtocol: .exitCode(skip: nil)),
            ProgramPlan(name: "second", arguments: ["/second"], resultsProtocol: .exitCode(skip: nil)),
        ]))
    var events: [SessionEvent] = []
    var clock = 1_000_000_000
    private var sequence = 0

    init(tainted: UInt64 = 0) {
        send(.hello, "version=1 release=6.1.0 cpus=2 monotonic=\(clock) tainted=\(tainted)")
    }

    mutating func send(_ kind: Frame.Kind, _ text: String) {
        events += recorder.consume(.frame(Frame(sequence: 1, kind: kind, payload: Array(text.utf8))))
    }

    mutating func sample(_ taint: UInt64, lost: Int = 0, withheld: Int = 0) {
        clock += 10_000_000_000
        send(.kernel, "\(clock) \(taint) \(max(0, sequence - 1)) \(lost) \(withheld)")
    }

    /// Lines of the kernel's log, each a record.
    mutating func log(_ messages: [String], at seconds: Double, facility: Int = 0, skipping: Int = 0) {
        sequence += skipping
        var records = ""
        for (index, message) in messages.enumerated() {
            let microseconds = Int(seconds * 1_000_000) + index
            records += "\(facility * 8 + 4),\(sequence),\(microseconds),-,caller=T42;\(message)\n"
            sequence += 1
        }
        send(.log, records)
    }

    /// The same lines on the console.
    mutating func console(_ messages: [String], at seconds: Double, before prefix: String = "") {
        for (index, message) in messages.enumerated() {
            let microseconds = Int(seconds * 1_000_000) + index
            let fraction = String(microseconds % 1_000_000)
            let stamp = "\(microseconds / 1_000_000).\(String(repeating: "0", count: 6 - fraction.count))\(fraction)"
            let line = "\(index == 0 ? prefix : "")[    \(stamp)][   T42] \(message)"
            events += recorder.consume(.line(Array(line.utf8)))
        }
    }

    mutating func run(_ index: Int, _ body: (inout Guest) -> Void) {
        send(.start, "\(index) \(clock)")
        body(&self)
        send(.stop, "\(index) \(clock) exit 0")
    }

    mutating func finish() -> SessionOutcome {
        send(.end, "2")
        return recorder.finish()
    }

    var reported: [String] {
        events.compactMap { if case .crashed(let crash) = $0 { crash.title } else { nil } }
    }
}

private let warning = [
    "------------[ cut here ]------------",
    "WARNING: CPU: 0 PID: 42 at kernel/caesar.c:12 __do_sys_caesar+0x10/0x20",
    "Modules linked in:",
    "CPU: 0 PID: 42 Comm: fault Not tainted 6.1.192 #1",
    "RIP: 0010:__do_sys_caesar+0x10/0x20",
    "Call Trace:",
    " <TASK>",
    " do_syscall_64+0x34/0x80",
    " entry_SYSCALL_64_after_hwframe+0x64/0xce",
    " </TASK>",
    "---[ end trace 0000000000000000 ]---",
]

@Suite("Kernel log and taint beside the console", .timeLimit(.minutes(30)))
struct KernelWitnessTests {
    private static let w: UInt64 = 1 << 9

    @Test(
        "a report on the console and in the log is one, reported once, with its place on the console",
        arguments: [true, false])
    func both(logFirst: Bool) {
        var guest = Guest()
        guest.run(0) { guest in
            if logFirst { guest.log(warning, at: 3) }
            guest.console(warning, at: 3)
            if !logFirst { guest.log(warning, at: 3) }
            guest.sample(Self.w)
        }
        guest.run(1) { $0.sample(Self.w) }
        let outcome = guest.finish()
        #expect(outcome.crashes.map(\.title) == ["WARNING in __do_sys_caesar"])
        #expect(outcome.crashes.map(\.test) == ["first"])
        #expect(outcome.crashes.map(\.firstLine) == [1])
        #expect(guest.reported == ["WARNING in __do_sys_caesar"])
        #expect(outcome.faults.isEmpty)
        #expect(outcome.isComplete)
    }

    @Test("a report that the console does not have, or not with time stamps, is a report", arguments: [true, false])
    func hidden(isUnstamped: Bool) {
        var guest = Guest()
        guest.run(0) { guest in
            guest.log(warning, at: 3)
            if isUnstamped { for line in warning { guest.events += guest.recorder.consume(.line(Array(line.utf8))) } }
            guest.sample(Self.w)
        }
        guest.run(1) { $0.sample(Self.w) }
        let outcome = guest.finish()
        #expect(outcome.crashes.map(\.title) == ["WARNING in __do_sys_caesar"])
        #expect(outcome.crashes.map(\.test) == ["first"])
        #expect(outcome.crashes.map(\.isOnConsole) == [false])
        #expect(guest.reported == ["WARNING in __do_sys_caesar"])
    }

    @Test("a report whose first line is after too much of a program's output is read completely from the log")
    func torn() {
        var guest = Guest()
        guest.run(0) { guest in
            guest.log(warning, at: 3)
            guest.console(warning, at: 3, before: String(repeating: "x", count: 600))
            guest.sample(Self.w)
        }
        guest.run(1) { $0.sample(Self.w) }
        let outcome = guest.finish()
        #expect(outcome.crashes.map(\.title) == ["WARNING in __do_sys_caesar"])
        #expect(outcome.crashes.map(\.corruption) == [nil])
    }

    @Test("two reports of one title at different times stay two, each with the test that ran")
    func two() {
        var guest = Guest()
        guest.run(0) { guest in
            guest.console(warning, at: 3)
            guest.log(warning, at: 3)
            guest.sample(Self.w)
        }
        guest.run(1) { guest in
            guest.log(warning, at: 4)
            guest.sample(Self.w)
        }
        #expect(guest.finish().crashes.map(\.test) == ["first", "second"])
        #expect(guest.reported.count == 2)
    }

    @Test("a report on the console before the results port names its program belongs to that program")
    func consoleAhead() {
        var guest = Guest()
        guest.run(0) { guest in
            guest.console(warning, at: 13)
            guest.sample(0)
        }
        guest.run(1) { guest in
            guest.log(warning, at: 13)
            guest.sample(Self.w)
        }
        #expect(guest.finish().crashes.map(\.test) == ["second"])
    }

    @Test("a panic whose end is only on the console stays fatal, and is one report")
    func panic() {
        var guest = Guest()
        guest.send(.start, "0 1")
        guest.log(Array(warning.prefix(4)), at: 3)
        guest.console(warning + ["Kernel panic - not syncing: kernel: panic_on_warn set ..."], at: 3)
        let crashes = guest.recorder.finish(runningStatus: .crashed).crashes
        #expect(crashes.count == 1)
        #expect(crashes.map(\.isFatal) == [true])
    }

    @Test(
        "an error bit without a report is a separate crash of the running test",
        arguments: [(4, "M"), (5, "B"), (7, "D"), (9, "W"), (14, "L"), (40, "bit 40")] as [(UInt64, String)])
    func unexplained(bit: UInt64, letter: String) {
        var guest = Guest()
        guest.sample(0)
        guest.run(0) { $0.sample(0) }
        guest.run(1) { $0.sample(1 << bit) }
        let crashes = guest.finish().crashes
        #expect(crashes.count == 1)
        #expect(crashes.first?.kind == .taint)
        #expect(crashes.first?.test == "second")
        #expect(crashes.first?.title.hasPrefix("kernel tainted: \(letter)") == true)
    }

    @Test(
        "a taint by a module, a firmware, a live patch or a user is not a failure",
        arguments: [0, 1, 2, 3, 6, 8, 10, 11, 12, 13, 15, 16, 17, 18] as [UInt64])
    func benign(bit: UInt64) {
        var guest = Guest()
        guest.run(0) { $0.sample(1 << bit) }
        guest.run(1) { $0.sample(1 << bit) }
        #expect(guest.finish().crashes.isEmpty)
    }

    @Test("a report of another kind, or at another time, does not explain a taint")
    func wrongExplanation() {
        var guest = Guest()
        guest.run(0) { guest in
            guest.log(warning, at: 12)
            guest.sample(Self.w)
        }
        // A warning does not kill.
        guest.run(1) { $0.sample(Self.w | 1 << 7) }
        #expect(guest.finish().crashes.map(\.kind) == [.warning, .taint])
    }

    @Test("an overwritten report explains a taint of its own time, but not a later one")
    func corrupted() {
        let rest = [
            "------------[ cut here ]------------", "RIP: 0010:__do_sys_caesar+0x1a/0x40", "Call Trace:", " <TASK>",
            " do_syscall_64+0x3b/0x90",
            " entry_SYSCALL_64_after_hwframe+0x64/0xce", " </TASK>", "---[ end trace 0000000000000000 ]---",
        ]
        var guest = Guest()
        guest.sample(0)
        guest.run(0) { guest in
            guest.log(rest, at: 20.9, skipping: 30)
            guest.sample(Self.w, lost: 30)
        }
        guest.clock -= 9_500_000_000
        guest.run(1) { $0.sample(Self.w | 1 << 7, lost: 30) }
        let crashes = guest.finish().crashes
        #expect(crashes.map(\.kind) == [.corrupted, .taint])
        #expect(crashes.last?.test == "second")
    }

    @Test("a report that a program writes to the console or to the log does not explain a taint")
    func forged() {
        var guest = Guest()
        guest.run(0) { guest in
            guest.log(["quiet"], at: 2)
            guest.log(warning, at: 3, facility: 1)
            guest.console(warning, at: 4)
            guest.sample(Self.w)
        }
        guest.run(1) { $0.sample(Self.w) }
        #expect(guest.finish().crashes.contains { $0.kind == .taint && $0.test == "first" })
    }

    @Test("a program's records in the log are not reports of the kernel")
    func programRecords() {
        var guest = Guest()
        guest.run(0) { guest in
            guest.log(warning, at: 3, facility: 1)
            guest.sample(0)
        }
        guest.run(1) { $0.sample(0) }
        #expect(guest.finish().crashes.isEmpty)
    }

    @Test("a restored guest has only the reports from after its snapshot")
    func woken() {
        var guest = Guest(tainted: Self.w)
        guest.sample(Self.w)
        guest.run(0) { $0.sample(Self.w) }
        guest.run(1) { $0.sample(Self.w | 1 << 5) }
        #expect(guest.finish().crashes.map(\.title).allSatisfy { $0.hasPrefix("kernel tainted: B") })
    }

    @Test("overwritten or withheld records are reported with the program that ran at that time")
    func lost() {
        var guest = Guest()
        guest.run(0) { $0.sample(0, lost: 40) }
        guest.run(1) { $0.sample(0, lost: 40, withheld: 2) }
        let outcome = guest.finish()
        #expect(outcome.lostLog == [.init(records: 40, test: "first"), .init(records: 2, test: "second")])
        #expect(outcome.crashes.isEmpty)
    }

    @Test("a kernel without a log, and samples and records that cannot be read, are faults")
    func faults() {
        var guest = Guest()
        guest.send(.kernel, "1 0 - 0 0")
        guest.send(.kernel, "1 x 0 0 0")
        guest.send(.log, "no record\n")
        guest.log(["one"], at: 1, skipping: 5)
        guest.send(.log, "6,2,1000000,-;again\n")
        let faults = guest.recorder.finish().faults
        #expect(faults.count == 4)
        #expect(faults.first?.contains("CONFIG_PRINTK") == true)
    }

    @Test("a record is read in the console's form, with control characters and several lines")
    func record() throws {
        let record = try #require(KernelRecord(Array(#"6,339,5140900,-,caller=T1;one\x0atwo \x5c \xc3\xa6"#.utf8)))
        #expect(record.isKernels)
        #expect(record.sequence == 339)
        #expect(record.lines.map(\.raw) == ["[    5.140900][    T1] one", "[    5.140900][    T1] two \\ æ"])
        #expect(record.lines.map(\.caller) == [.task(1), .task(1)])
        #expect(KernelRecord(Array("12,1,2,-;user".utf8))?.isKernels == false)
        #expect(KernelRecord(Array("6,1;no".utf8)) == nil)
    }

    @Test("a note belongs to the running program, or else to the guest; a sign of life is not reported")
    func notes() {
        var guest = Guest()
        guest.send(.note, "no namespaces")
        guest.run(0) { guest in
            guest.send(.beat, "")
            guest.send(.note, "it changed kernel.sysrq")
        }
        guest.run(1) { _ in }
        let outcome = guest.finish()
        #expect(outcome.notes == ["no namespaces"])
        #expect(outcome.programs[0].notes == ["it changed kernel.sysrq"])
        #expect(outcome.faults.isEmpty)
    }
}
