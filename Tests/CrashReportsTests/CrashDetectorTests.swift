// SPDX-License-Identifier: Apache-2.0
import Fuzzing
import ResultsModel
import Testing

@testable import CrashReports

/// Reads the lines of a console to their end.
func detect(lines: [String], trust: CrashDetector.Trust = .stampedLines, finish: Bool = true) -> [Crash] {
    var detector = CrashDetector(trust: trust)
    for line in lines {
        switch trust {
        case .stampedLines: _ = detector.consume(ConsoleLine(Array(line.utf8)), runningTest: "a test")
        case .allUntilStamped:
            for line in ConsoleLine.lines(ofLog: Array(line.utf8)) {
                _ = detector.consume(line, runningTest: "a test")
            }
        }
    }
    if finish { _ = detector.finish() }
    return detector.crashes
}

/// Reads a report, with a time stamp and the caller before each line.
private func detect(_ text: String, caller: String? = "T42") -> [Crash] {
    detect(lines: stamped(text, caller: caller))
}

private let noise = [
    "random: crng init done", "e1000: eth0 NIC Link is Up", "probe[43]: segfault at 0 ip 0000000000401e2d sp 0 error 4",
    "Freeing unused kernel image (initmem) memory: 1240K",
]

@Suite("Crash reports", .timeLimit(.minutes(30)))
struct CrashReportTests {
    @Test("each kind has its name, its blamed function and all of its lines", arguments: crashSamples)
    func sample(sample: CrashSample) throws {
        let lines = sample.console()
        let crashes = detect(lines: noise.map { stamp(0.5) + $0 } + lines + noise.map { stamp(9) + $0 })
        #expect(crashes.map(\.title) == [sample.title])
        let crash = try #require(crashes.first)
        #expect(crash.kind == sample.kind)
        #expect(crash.function == sample.function)
        #expect(crash.task == sample.task)
        #expect(crash.pid == sample.pid)
        #expect(crash.cpu == sample.cpu)
        #expect(crash.isFatal == sample.isFatal)
        #expect(crash.test == "a test")
        #expect(crash.corruption == nil)
        // A panic's report goes on to the end of the log; a blank line before a rule is not part of one.
        let text = lines.filter { $0.last != " " || crash.lines.contains($0) }
        #expect(Array(crash.lines.prefix(text.count)) == text)
        if !crash.isFatal { #expect(crash.lines.count == text.count) }
        #expect(crash.firstLine == noise.count + 1 + (lines.first?.last == " " ? 1 : 0))
        // Some kinds name the function elsewhere than in a trace.
        if let function = crash.function, ![.lockdep, .stackProtector].contains(crash.kind),
            sample.name != "workqueue leaked"
        {
            #expect(crash.frames.contains { $0.function == function })
        }
    }

    @Test("each report is the same without callers, and without time stamps", arguments: crashSamples)
    func plainer(sample: CrashSample) {
        #expect(detect(lines: sample.console(caller: nil)).map(\.title) == [sample.title])
        let bare = sample.text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        #expect(detect(lines: bare, trust: .allUntilStamped).map(\.title) == [sample.title])
        // On a live console that is a program's output.
        #expect(detect(lines: bare).isEmpty)
    }

    @Test(
        "each report is the same after the prefixes of other tools", arguments: crashSamples,
        [
            "<4>", "2026-01-02T03:04:05.678Z ", "Jan  2 03:04:05 host kernel: ", "kern  :warn  : ", "job 7 | ",
            "\u{1B}[33m",
        ])
    func foreignPrefixes(sample: CrashSample, prefix: String) {
        let lines = sample.console().map { prefix + $0 }
        #expect(detect(lines: lines, trust: .allUntilStamped).map(\.title) == [sample.title])
    }

    @Test("a system log without the kernel's time stamps", arguments: crashSamples)
    func systemLog(sample: CrashSample) {
        let lines = sample.text.split(separator: "\n", omittingEmptySubsequences: false)
        for prefix in ["Jan  2 03:04:05 host kernel: ", "[Fri Jan  2 03:04:05 2026] "] {
            #expect(detect(lines: lines.map { prefix + $0 }, trust: .allUntilStamped).map(\.title) == [sample.title])
        }
    }

    @Test(
        "two reports in a row are two reports", arguments: crashSamples,
        crashSamples.filter { $0.name.hasSuffix("6.1") })
    func pairs(first: CrashSample, second: CrashSample) {
        // Only the panic's own lines follow a panic.
        guard !first.isFatal else { return }
        let lines = first.console() + second.console(from: 2)
        let expected = [first.title, second.title]
        #expect(detect(lines: lines).map(\.title) == expected)
    }

    @Test("a truncated report is reported, and marked as truncated", arguments: crashSamples)
    func truncated(sample: CrashSample) {
        let lines = sample.console()
        for count in 1..<lines.count {
            let crashes = detect(lines: Array(lines.prefix(count)))
            #expect(crashes.count <= 1)
            guard let crash = crashes.first else { continue }
            #expect(!crash.title.isEmpty)
            #expect(crash.lines.count <= count)
        }
        // The end of a report that needs an end mark.
        if let end = lines.lastIndex(where: {
            $0.contains("---[ end trace") || CrashPattern.isRule(ConsoleLine(Array($0.utf8)).message)
        }),
            !sample.isFatal, ![.lockdep, .hungTask, .slab].contains(sample.kind)
        {
            #expect(detect(lines: Array(lines.prefix(end))).first?.corruption != nil)
        }
    }

    @Test("a report without its beginning does not name a wrong fault", arguments: crashSamples)
    func beheaded(sample: CrashSample) {
        let lines = sample.console()
        for count in 1..<max(2, min(lines.count, 12)) {
            let crashes = detect(lines: Array(lines.dropFirst(count)))
            #expect(crashes.count <= 2)
        }
    }
}

@Suite("Crash detector", .timeLimit(.minutes(30)))
struct CrashDetectorTests {
    private static let oops = crashSamples[0]

    private func sample(_ name: String) throws -> CrashSample {
        try #require(crashSamples.first { $0.name == name })
    }

    @Test("the interleaved lines of two callers are distinguished in any order", arguments: 0..<200 as Range<UInt64>)
    func interleaving(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let samples = crashSamples.filter { !$0.isFatal && $0.kind != .memoryLeak }.shuffled(using: &generator).prefix(
            3)
        var streams = samples.enumerated().map { index, sample in
            sample.text.split(separator: "\n", omittingEmptySubsequences: false).map { "[\("T\(100 + index)")] \($0)" }[
                ...]
        }
        var lines: [String] = []
        while let index = streams.indices.filter({ !streams[$0].isEmpty }).randomElement(using: &generator) {
            let count = Int.random(in: 1...4, using: &generator)
            for line in streams[index].prefix(count) {
                lines.append(String(stamp(1 + Double(lines.count) / 10_000, caller: nil).dropLast()) + line)
            }
            streams[index] = streams[index].dropFirst(count)
        }
        let crashes = detect(lines: lines)
        #expect(Set(crashes.map(\.title)) == Set(samples.map(\.title)))
        #expect(crashes.count == samples.count)
        for crash in crashes {
            #expect(crash.corruption == nil)
            let callers = Set(crash.lines.compactMap { ConsoleLine(Array($0.utf8)).caller })
            #expect(callers.count == 1)
        }
    }

    @Test("chunk boundaries do not matter", arguments: 0..<60 as Range<UInt64>)
    func chunks(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let samples = crashSamples.shuffled(using: &generator).prefix(4)
        let lines = samples.enumerated().flatMap { $1.console(from: Double(1 + 100 * $0), caller: "T\(50 + $0)") }
        let bytes = Array(lines.joined(separator: "\r\n").utf8)
        var whole = ConsoleLogParser()
        whole.consume(bytes[...])
        let expected = whole.finish()
        #expect(expected.count >= 1)
        var parser = ConsoleLogParser()
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = min(rest.count, Int.random(in: 1...40, using: &generator))
            parser.consume(rest.prefix(count))
            rest = rest.dropFirst(count)
        }
        #expect(parser.finish() == expected)
    }

    @Test("no input crashes the detector, and its memory is bounded", arguments: 0..<300 as Range<UInt64>)
    func fuzz(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let pieces =
            crashSamples.flatMap { $0.text.split(separator: "\n").map(String.init) } + [
                "[    1.234567]", "[   T42]", "[    C1] ", "+0x", "/0x", "Kernel panic - not syncing: ", "BUG:",
                "WARNING:",
                " at ", "[#1]", ": 0000 [#1]", "====================", "\u{0}", "é", "Call Trace:", " </TASK>", "(",
                "]",
                "Linux version 6.1", "reboot: Restarting system", "NMI backtrace for cpu 0",
            ]
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 0...400, using: &generator) {
            if Bool.random(using: &generator) {
                bytes += Array(stamp(Double.random(in: 0...99, using: &generator)).utf8)
            }
            let piece = Array((pieces.randomElement(using: &generator) ?? "").utf8)
            // Some pieces are cut, doubled, or have a byte changed.
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: bytes += piece.prefix(Int.random(in: 0...piece.count, using: &generator))
            case 1: bytes += piece + piece
            case 2:
                bytes += piece
                if !bytes.isEmpty {
                    bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(
                        in: .min ... .max, using: &generator)
                }
            default: bytes += piece
            }
            if Int.random(in: 0..<8, using: &generator) > 0 { bytes.append(0x0A) }
        }
        var parser = ConsoleLogParser()
        parser.consume(bytes[...])
        let crashes = parser.finish()
        #expect(crashes.count <= 2 * CrashDetector.mostReports)
        #expect(crashes.allSatisfy { !$0.title.isEmpty && !$0.lines.isEmpty && $0.firstLine <= $0.lastLine })
        #expect(crashes.allSatisfy { $0.lines.count <= CrashReportBuilder.mostLines })
    }

    @Test("a panic that an oops causes makes the oops fatal; the panic's lines are part of it")
    func panicOfAnOops() throws {
        let lines =
            Self.oops.console()
            + stamped(
                """
                Kernel panic - not syncing: Fatal exception in interrupt
                Kernel Offset: disabled
                ---[ end Kernel panic - not syncing: Fatal exception in interrupt ]---
                """, from: 1.5)
        let crashes = detect(lines: lines)
        #expect(crashes.map(\.title) == [Self.oops.title])
        #expect(crashes[0].isFatal)
        #expect(crashes[0].corruption == nil)
        #expect(crashes[0].lines == lines)
    }

    @Test(
        "a panic because of a setting belongs to the report that caused it",
        arguments: [
            ("WARN, 6.1", "panic_on_warn set ..."), ("WARN, 6.1", "kernel: panic_on_warn set ..."),
            ("KASAN slab-out-of-bounds", "KASAN: panic_on_warn set ..."),
            ("KASAN slab-out-of-bounds", "kasan.fault=panic set ..."), ("hung task", "hung_task: blocked tasks"),
            ("soft lockup", "softlockup: hung tasks"), ("hard lockup, 6.12", "Hard LOCKUP"),
            ("RCU self-detected stall, 6.1", "RCU Stall"),
        ])
    func consequences(name: String, reason: String) throws {
        let sample = try sample(name)
        let panic = stamped("Kernel panic - not syncing: \(reason)\n\(Self.trace)", from: 1.9)
        for lines in [sample.console(), sample.console().dropLast()] {
            let crashes = detect(lines: lines + panic)
            #expect(crashes.map(\.title) == [sample.title])
            #expect(crashes.first?.isFatal == true)
        }
        // Alone it shows that its report is lost.
        let alone = detect(lines: panic)
        #expect(alone.count == 1)
        #expect(alone.first?.title.hasPrefix("kernel panic: ") == true)
        #expect(alone.first?.corruption != nil)
    }

    private static let trace = """
        CPU: 1 PID: 42 Comm: probe Not tainted 6.1.192 #1
        Call Trace:
         <TASK>
         panic+0x105/0x2b2
         </TASK>
        """

    @Test("init's death belongs to its own oops, and is otherwise a separate report")
    func init_() {
        let panic = "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009"
        let oops =
            stamped(
                Self.oops.text.replacingPID(42, with: 1), caller: "T1") + stamped(panic, from: 1.5, caller: "T1")
        #expect(detect(lines: oops).map(\.title) == [Self.oops.title])
        let other = Self.oops.console() + stamped(panic, from: 1.5, caller: "T1")
        #expect(detect(lines: other).map(\.title) == [Self.oops.title, "kernel panic: Attempted to kill init!"])
    }

    @Test("a report is passed on once when its title is known, and again when it turns out to be fatal")
    func announcements() throws {
        var detector = CrashDetector()
        var told: [String] = []
        for line in Self.oops.console() {
            told += detector.consume(ConsoleLine(Array(line.utf8)), runningTest: nil).map(\.title)
        }
        #expect(told == [Self.oops.title])
        let panic = stamp(1.5) + "Kernel panic - not syncing: Fatal exception"
        let again = detector.consume(ConsoleLine(Array(panic.utf8)), runningTest: nil)
        #expect(again.map(\.title) == [Self.oops.title])
        #expect(again.map(\.isFatal) == [true])
        #expect(detector.finish().isEmpty)
        // A panic is reported at once, because the session waits for the guest.
        let first = "\(stamp(1))Kernel panic - not syncing: VFS: no root"
        var other = CrashDetector()
        #expect(other.consume(ConsoleLine(Array(first.utf8)), runningTest: nil).map(\.isFatal) == [true])
        #expect(other.crashes.map(\.title) == ["kernel panic: VFS: no root"])
    }

    @Test("a backtrace of another processor belongs to the report that requested it")
    func otherProcessors() {
        let lines =
            stamped(
                """
                rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
                rcu: \t0-....: (1 GPs behind) idle=0b1c/1/0x4000000000000000 softirq=311/311 fqs=2613
                \t(detected by 1, t=5252 jiffies, g=-799, q=11 ncpus=2)
                Sending NMI from CPU 1 to CPUs 0:
                """, caller: "C1")
            + stamped(
                """
                NMI backtrace for cpu 0
                CPU: 0 PID: 42 Comm: probe Not tainted 6.1.192 #1
                RIP: 0010:spin_for_ever+0x7/0x20
                Call Trace:
                 <TASK>
                 __x64_sys_probe+0x1d/0x30
                 do_syscall_64+0x3b/0x90
                 </TASK>
                """, from: 1.1, caller: "C0")
        let crashes = detect(lines: lines)
        #expect(crashes.map(\.title) == ["INFO: rcu detected stall in sys_probe"])
        #expect(crashes.first?.lines.count == lines.count)
        #expect(crashes.first?.cpu == 0)
    }

    @Test("the leaks of a scan are one report for each allocating function; the count is not a separate report")
    func leaks() {
        func leak(_ function: String) -> String {
            """
            kmemleak: unreferenced object 0xffff888101a2b3c0 (size 64):
            kmemleak:   comm "probe", pid 77, jiffies 4294941234 (age 6.120s)
            kmemleak:   backtrace:
            kmemleak:     [<00000000d1c8d2c5>] __kmalloc_node+0x4e/0x150
            kmemleak:     [<0000000066e0a1f6>] \(function)+0x8a/0x110
            kmemleak:     [<00000000f0d9a2c4>] do_syscall_64+0x3b/0x90

            """
        }
        let scan =
            String(repeating: leak("f"), count: 300) + leak("g") + leak("f")
            + "kmemleak: 302 new suspected memory leaks (see /sys/kernel/debug/kmemleak)"
        let crashes = detect(scan)
        #expect(crashes.map(\.title) == ["memory leak in f", "memory leak in g"])
        #expect(crashes.map(\.lines.count) == [6, 7])
        // The time of each allocation determines the test that leaked it.
        #expect(crashes.map(\.allocations.count) == [301, 1])
        #expect(Set(crashes.flatMap(\.allocations)) == [4_294_941_234])
        // A call's own body is to blame, not a helper with its name.
        for call in ["__do_sys_memcpy", "__x64_sys_kmalloc", "__se_sys_mutex_lock"] {
            #expect(detect(leak(call)).first?.function == call)
        }
        #expect(
            detect("kmemleak: 1 new suspected memory leaks (see /sys/kernel/debug/kmemleak)").map(\.title) == [
                "memory leak"
            ])
    }

    @Test("an unexpected boot is a crash; a boot after a panic or a reboot is not")
    func reboots() {
        let boot = ["Linux version 6.1.192 (gcc 12.2.0) #1 SMP", "Command line: console=ttyS0"].map {
            stamp(0, caller: "T0") + $0
        }
        let work = stamp(7) + "init: ready"
        #expect(detect(lines: boot + [work]).isEmpty)
        let crashes = detect(lines: boot + [work] + boot)
        #expect(crashes.map(\.title) == ["unexpected kernel reboot"])
        #expect(crashes.first?.isFatal == true)
        #expect(crashes.first?.firstLine == 4)
        #expect(detect(lines: boot + [stamp(8, caller: "T1") + "reboot: Restarting system"] + boot).isEmpty)
        let panic = stamped("Kernel panic - not syncing: VFS: no root\nRebooting in 1 seconds..", from: 3, caller: "T1")
        #expect(detect(lines: boot + panic + boot).map(\.title) == ["kernel panic: VFS: no root"])
    }

    @Test(
        "lines that only look like a crash are not a crash",
        arguments: [
            "kmemleak: Kernel memory leak detector initialized (mem pool available: 15742)",
            "kmemleak: Automatic memory scanning thread started", "Warning: unable to open an initial console.",
            "WARNING: Spectre v2 mitigation leaves CPU vulnerable to attacks", "WARNING: driver says hello",
            "ACPI BIOS Error (bug): Could not resolve symbol", "rcu: INFO: Stall ended before state dump start",
            "INFO: NMI handler (perf_event_nmi_handler) took too long to run: 1.5 msecs",
            "INFO: lockdep is turned off.",
            "INFO: task scheduling is fair", "INFO: recovery required on readonly filesystem",
            "probe[42]: segfault at 0 ip 0 sp 0 error 4 in probe[400000+1000]",
            "traps: probe[42] general protection fault ip:401e2d sp:7ffd6a3c3b08 error:0 in probe[400000+1000]",
            "traps: probe[42] trap divide error ip:401e2d sp:7ffd6a3c3b08 error:0", "Oops, no colon",
            "the text BUG: in the middle", "ODEBUG: selftest passed", "ODEBUG: Out of memory. ODEBUG disabled",
            "refcount_t is a type", "BUGS are everywhere", "watchdog: Delayed init of the lockup detector failed: -19",
            "NMI watchdog: Enabled. Permanently consumes one hw-PMU counter.", "panic_on_warn=1 is set",
            "Kernel command line: panic=-1 oops=panic", "rcu: RCU lockdep checking is enabled.",
            "BUG: using the wrong word", "page allocation failure is not one", "====", "====================",
            "probe: page allocation failure: order:4, mode:0xcc0(GFP_KERNEL), nodemask=(null)",
            "FAULT_INJECTION: forcing a failure.", "x86/fpu: x87 FPU will use FXSAVE", "watchdog: BUG",
            "list_lru: initialized", "UBSAN is enabled", "KASAN: KernelAddressSanitizer initialized (generic)",
            "kfence: initialized - using 2097152 bytes for 255 objects at 0x(____ptrval____)",
        ])
    func lookAlikes(line: String) {
        #expect(detect(line).isEmpty)
        #expect(detect(lines: [line], trust: .allUntilStamped).isEmpty)
    }

    @Test("a control group that reaches its limit is not a crash")
    func memoryControlGroup() {
        let crashes = detect(
            """
            probe invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
            CPU: 1 PID: 42 Comm: probe Not tainted 6.1.192 #1
            Call Trace:
             <TASK>
             dump_header+0x45/0x1a0
             </TASK>
            memory: usage 16384kB, limit 16384kB, failcnt 44
            \(String(repeating: "[     42]     0    42    90000    88000   720896        0             0 probe\n", count: 40))
            Memory cgroup out of memory: Killed process 42 (probe) total-vm:360000kB, anon-rss:16000kB
            """)
        #expect(crashes.isEmpty)
        #expect(
            detect("Out of memory: Killed process 42 (probe) total-vm:360000kB").map(\.corruption) == [
                "its beginning is lost"
            ])
    }

    @Test(
        "the rest of a report is marked as a rest",
        arguments: [
            ("------------[ cut here ]------------\nsomething", "corrupted report"),
            ("refcount_t: underflow; use-after-free.", "WARNING: refcount bug"),
            ("Oops: 0002 [#1] PREEMPT SMP\nRIP: 0010:f+0x1/0x2", "Oops in f"), ("BUG:", "corrupted report"),
            ("WARNING:", "corrupted report"), ("INFO:", "corrupted report"),
            ("Kernel panic - not syncing: Fatal exception", "kernel panic: Fatal exception"),
            ("WARNING: CPU: 0 PID: 1 at f.c:1 f+0x1/0x2[    1.000001][   T43] other", "WARNING in f"),
            ("general protection fault: 0000 [#1]", "general protection fault"),
        ])
    func corrupted(text: String, title: String) {
        let crashes = detect(text)
        #expect(crashes.map(\.title) == [title])
        #expect(crashes.first?.corruption != nil)
    }

    @Test("a report that need not have a trace does not include all following lines")
    func withoutTrace() {
        let lines =
            ["BUG: key 00000000b0d7b9b4 has not been registered!"] + (0..<200).map { "work as usual, part \($0)" }
        let crashes = detect(lines.joined(separator: "\n"))
        #expect(crashes.map(\.title) == ["BUG: key ADDR has not been registered!"])
        #expect(crashes.first?.corruption == nil)
        #expect(crashes[0].lines.count <= CrashReportBuilder.longestWait + 1)
    }

    @Test("a program's unfinished line before the kernel's does not hide it")
    func tornLines() {
        let lines = Self.oops.console().map { "ok so far... " + $0 }
        #expect(detect(lines: lines).map(\.title) == [Self.oops.title])
    }

    @Test("a program's lines within a report are not part of it")
    func programsBetween() {
        let lines = Self.oops.console()
        let mixed = lines.flatMap { [$0, "Kernel panic - not syncing: says a program"] }
        let crashes = detect(lines: mixed)
        #expect(crashes.map(\.title) == [Self.oops.title])
        #expect(crashes.first?.lines == lines)
        #expect(crashes.first?.firstLine == 1)
        #expect(crashes.first?.lastLine == mixed.count - 1)
    }

    @Test("frames have the symbol, the offset and the size; unreliable ones are marked")
    func frames() throws {
        let frames = try #require(detect(lines: Self.oops.console()).first).frames
        #expect(
            frames.first
                == StackFrame(symbol: "follow_list.constprop.0", offset: 0x12, size: 0x40, isInstructionPointer: true))
        #expect(
            frames.filter(\.isReliable).map(\.function) == [
                "follow_list", "__x64_sys_probe", "do_syscall_64", "entry_SYSCALL_64_after_hwframe",
            ])
        let module = detect("BUG: x\nCall Trace:\n f+0x1/0x2 [ext4]\n g+0x1/0x2 [ext4 0123abcd]\n </TASK>")
        #expect(module.first?.frames.map(\.module) == ["ext4", "ext4"])
    }

    @Test("memory stays bounded")
    func bounds() {
        let opening = stamp(1) + "WARNING: CPU: 0 PID: 1 at f.c:1 f+0x1/0x2"
        let endless = detect(lines: [opening] + Array(repeating: stamp(1) + "more", count: 20_000))
        #expect(endless[0].lines.count == CrashReportBuilder.mostLines)
        #expect(endless[0].corruption != nil)
        let wide = detect(
            lines: [opening] + Array(repeating: stamp(1) + String(repeating: "x", count: 100_000), count: 200))
        #expect(wide[0].lines.reduce(0) { $0 + $1.utf8.count } <= CrashReportBuilder.mostBytes + ConsoleLine.longest)
        let pair = [opening, stamp(1) + "---[ end trace"]
        let many = detect(lines: Array(repeating: pair, count: 1000).flatMap { $0 })
        #expect(many.count == CrashDetector.mostReports + 1)
        let callers = (0..<5000).map { stamp(1, caller: "T\($0)") + "WARNING: CPU: 0 PID: 1 at f.c:1 f+0x1/0x2" }
        #expect(detect(lines: callers).count == CrashDetector.mostReports + 1)
        // A panic is reported after any number of reports, but not endlessly.
        let late =
            Array(repeating: pair, count: 1000).flatMap { $0 } + [stamp(2) + "Kernel panic - not syncing: at last"]
        #expect(detect(lines: late).last?.isFatal == true)
        let panics = Array(repeating: stamp(2) + "Kernel panic - not syncing: again", count: 1000)
        #expect(detect(lines: panics).count <= 2 * CrashDetector.mostReports + 1)
    }

    @Test("reports beyond the bound are one report, so that none is hidden by a hundred known ones")
    func omitted() {
        let warning = [stamp(1) + "WARNING: CPU: 0 PID: 1 at f.c:1 f+0x1/0x2", stamp(1) + "---[ end trace"]
        let others = [
            stamp(2) + "BUG: KASAN: use-after-free in g+0x1/0x2",
            stamp(2) + "WARNING: possible recursive locking detected",
            stamp(3) + "BUG: sleeping function called from invalid context at h.c:2",
        ]
        let said = "more than 100 crash reports, of which the rest is not shown"
        for other in others {
            let lines = Array(repeating: warning, count: CrashDetector.mostReports).flatMap { $0 } + [other, other]
            let titles = detect(lines: lines).map(\.title)
            #expect(Set(titles.dropLast()) == ["WARNING in f"])
            #expect(titles.last == said, "\(other)")
        }
        let within = Array(repeating: warning, count: CrashDetector.mostReports).flatMap { $0 }
        #expect(!detect(lines: within).map(\.title).contains(said))
    }

    @Test("the time for a flood and for a long line is linear in their length")
    func floods() {
        var parser = ConsoleLogParser()
        let line = Array((stamp(1) + "eth0: some words that mean nothing, at: all, CPU: none\n").utf8)
        let chunk = Array(repeatElement(line, count: 1000).joined())
        for _ in 0..<100 { parser.consume(chunk[...]) }
        let long = [UInt8](repeating: UInt8(ascii: "["), count: 1 << 20)
        for _ in 0..<10 { parser.consume(long[...]) }
        parser.consume(Array(("\n" + Self.oops.console().joined(separator: "\n")).utf8)[...])
        #expect(parser.finish().map(\.title) == [Self.oops.title])
    }
}

extension String {
    fileprivate func replacingPID(_ old: Int, with new: Int) -> String {
        split(separator: "PID: \(old) ", omittingEmptySubsequences: false).joined(separator: "PID: \(new) ")
    }
}
