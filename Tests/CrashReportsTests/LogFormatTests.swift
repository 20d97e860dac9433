// SPDX-License-Identifier: Apache-2.0
import ResultsModel
import Testing

@testable import CrashReports

/// One report in the formats that people attach it in.
@Suite("Formats of logs from elsewhere", .timeLimit(.minutes(30)))
struct LogFormatTests {
    /// The report, and a line before it and one after it.
    private static let lines = [
        "random: crng init done", "------------[ cut here ]------------",
        "WARNING: CPU: 1 PID: 77 at kernel/ring.c:19 ring_push+0x1e/0x40", "Modules linked in:",
        "CPU: 1 PID: 77 Comm: pusher Not tainted 6.6.30 #2", "RIP: 0010:ring_push+0x1e/0x40",
        "Code: 00 00 0f 1f 44 00 00", "RSP: 0018:ffffc900002b3f20 EFLAGS: 00010246", "Call Trace:", " <TASK>",
        " __x64_sys_ring_push+0x16/0x20", " do_syscall_64+0x5b/0x80", " entry_SYSCALL_64_after_hwframe+0x6e/0xd8",
        " </TASK>", "---[ end trace 0000000000000000 ]---", "eth0: link up",
    ]

    private func parse(_ text: String) -> [Crash] {
        var parser = ConsoleLogParser()
        parser.consume(Array(text.utf8)[...])
        let crashes = parser.finish()
        #expect(parser.isKernelLog)
        return crashes
    }

    private func expectTheReport(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) {
        let crashes = parse(text)
        #expect(crashes.map(\.title) == ["WARNING in ring_push"], sourceLocation: sourceLocation)
        #expect(crashes.first?.corruption == nil, sourceLocation: sourceLocation)
        #expect(crashes.first?.firstLine == 2, sourceLocation: sourceLocation)
        #expect(crashes.first?.lastLine == 15, sourceLocation: sourceLocation)
    }

    /// Each form by the prefix of a line; `%` is replaced by two counting digits.
    @Test(
        "a tool's prefix of each line is removed",
        arguments: [
            "", "[   12.3456%] ", "[   12.3456%][   T77] ", "<4>[   12.3456%] ", "<4>", "kern  :warn  : ",
            "kern  :warn  : [   12.3456%] ", "[   12.3456% <    0.000012>] ", "[<    0.0000%>] ", "[  +0.0000%] ",
            "[  +0,0000%] ", "[Tue Feb  3 10:11:% 2026] ", "[mar. févr. 03 10:11:% 2026] ", "[Di Feb  3 10:11:% 2026] ",
            "[火  2月  3 10:11:% 2026] ", "[вт фев  3 10:11:% 2026] ", "2026-02-03T10:11:12,3456%+01:00 ",
            "2026-02-03T10:11:12,3456%-0800 ", "4,1%,123456%,-;", "4,1%,123456%,-,caller=T77;",
            "6.6.30,4,1%,123456%,-;",
            // A user removed the host and the tag.
            "Feb  3 10:11:%  ", "Feb 13 10:11:%  ",
            "Feb  3 10:11:% box kernel: ", "Feb  3 10:11:% box kernel: [   12.3456%] ",
            "2026-02-03T10:11:%+0100 box kernel: ", "[   12.3456%] box kernel: ",
            "2026-02-03T10:11:12.3456%Z ", "2026-02-03T10:11:12.3456%Z [   12.3456%] ", "[2026-02-03T10:11:12.3%Z] ",
            "[2026-02-03 10:11:%] ", "[2026-02-03 10:11:%] [   12.3456%] ", "2026-02-03 10:11:12.3% ",
            "2026-02-03T10:11:12.3456%Z 00O ", "2026-02-03T10:11:12.3456%Z 01E+[   12.3456%] ",
            "boot\tRun it\t2026-02-03T10:11:12.3456%Z ", "boot\tRun it\t2026-02-03T10:11:12.3456%Z [   12.3456%] ",
            "[10:11:%] ", "10:11:12.3% > ", "\u{1B}[1;31m", "\u{1B}]0;minicom\u{07}\u{1B}(B", "\r",
        ])
    func prefixes(prefix: String) {
        let text = Self.lines.enumerated().map { index, line in
            prefix.split(separator: "%", omittingEmptySubsequences: false).joined(separator: "\(10 + index)") + line
        }.joined(separator: "\n")
        expectTheReport(text)
        expectTheReport(text.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\r\n"))
    }

    @Test(
        "dmesg -H has the date on one line and differences on the others, in any language",
        arguments: ["Feb 3", "Mär 6", "2月 3"])
    func human(day: String) {
        expectTheReport(
            Self.lines.enumerated().map { ($0 == 0 ? "[\(day) 18:08] " : "[  +0,0000\(10 + $0)] ") + $1 }.joined(
                separator: "\n"))
    }

    private func quoted(_ text: String) -> String {
        "\"" + text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : "\($0)" }.joined() + "\""
    }

    @Test("the journal's JSON, one object on each line or one array, and with programs' lines")
    func journal() {
        func record(_ message: String, _ transport: String = "kernel") -> String {
            #"{"__CURSOR":"s=1","PRIORITY":"4","_TRANSPORT":"\#(transport)","MESSAGE":"# + message
                + #","_HOSTNAME":"box"}"#
        }
        expectTheReport(Self.lines.map { record(quoted($0)) }.joined(separator: "\n"))
        // Text with control characters is an array of bytes.
        expectTheReport(
            Self.lines.map { record("[" + $0.utf8.map { "\($0)" }.joined(separator: ",") + "]") }.joined(
                separator: "\n"))
        let whole = record(quoted(Self.lines.joined(separator: "\n")).replacing("\n", with: "\\n"))
        let crash = parse("{}\n" + whole).first
        #expect(crash?.title == "WARNING in ring_push")
        #expect(crash?.firstLine == 2)
        #expect(crash?.lastLine == 2)
        // A program with the same text is not the kernel.
        var parser = ConsoleLogParser()
        parser.consume(Array(Self.lines.map { record(quoted($0), "stdout") }.joined(separator: "\n").utf8)[...])
        #expect(parser.finish().isEmpty)
        #expect(!parser.isKernelLog)
    }

    @Test("dmesg's JSON, and LAVA's output.yaml with the dispatcher's lines between")
    func structured() {
        let dmesg = Self.lines.map { "      \"msg\": " + quoted($0) }.joined(separator: "\n")
        expectTheReport(dmesg)
        func lava(_ level: String, _ text: String, _ message: (String) -> String) -> String {
            "- {\"dt\": \"2026-02-03T10:11:12.345678\", \"lvl\": \"\(level)\", \"msg\": \(message(text))}"
        }
        expectTheReport(Self.lines.map { lava("target", $0, quoted) }.joined(separator: "\n"))
        expectTheReport(Self.lines.map { lava("target", "[   12.345678] " + $0, quoted) }.joined(separator: "\n"))
        expectTheReport(
            Self.lines.map { lava("target", $0) { "'" + $0.replacing("'", with: "''") + "'" } }.joined(separator: "\n"))
        let mixed = Self.lines.flatMap {
            [lava("debug", "end: 2.1 Kernel panic - not syncing", quoted), lava("target", $0, quoted)]
        }
        #expect(parse(mixed.joined(separator: "\n")).map(\.title) == ["WARNING in ring_push"])
    }

    @Test(
        "a program's records in the kernel's log are not trusted",
        arguments: ["12,7,99,-;", "user  :warn  : ", "<12>"])
    func facilities(prefix: String) {
        var parser = ConsoleLogParser()
        parser.consume(Array(Self.lines.map { prefix + $0 }.joined(separator: "\n").utf8)[...])
        #expect(parser.finish().isEmpty)
    }

    @Test("a report on the console and in a later copy of the log is one report")
    func replay() {
        let boot = ["Linux version 6.6.30 (gcc 12.2.0) #2 SMP", "Command line: quiet"].map { "[    0.000000] " + $0 }
        let rest = Self.lines.enumerated().map { "[   12.3456\(10 + $0)] " + $1 }
        let first = boot + ["[    0.512345] pci 0000:00:01.0: found"] + rest
        #expect(parse((first + first).joined(separator: "\n")).map(\.title) == ["WARNING in ring_push"])
        #expect(parse((first + rest + rest).joined(separator: "\n")).map(\.title) == ["WARNING in ring_push"])
        // The same boot line at another time is another boot.
        let again = boot + ["[    0.512399] pci 0000:00:01.0: found"]
        #expect(
            parse((first + again).joined(separator: "\n")).map(\.title) == [
                "WARNING in ring_push", "unexpected kernel reboot",
            ])
        // The same words at another time are another report.
        let later = Self.lines.enumerated().map { "[   13.3456\(10 + $0)] " + $1 }
        #expect(parse((first + later).joined(separator: "\n")).count == 2)
    }

    @Test("other lines within a trace without a marked end do not hide the blamed function")
    func torn() {
        let text = """
            [    5.000001] BUG: sleeping function called from invalid context at mm/slab.c:1
            [    5.000002] CPU: 0 PID: 9 Comm: p Not tainted 4.19.1 #1
            [    5.000003] Call Trace:
            [    5.000004]  dump_stack+0x1/0x2
            [    5.000005] usb 1-1: new device
            [    5.000006]  ___might_sleep+0x1/0x2
            [    5.000007]  ring_grow+0x1/0x2
            [    5.000008]  __x64_sys_ring_grow+0x1/0x2
            [    5.000009] usb 1-1: gone
            """
        let crashes = parse(text)
        #expect(crashes.map(\.title) == ["BUG: sleeping function called from invalid context in ring_grow"])
        #expect(crashes.first?.lines.contains { $0.contains("usb") } == false)
    }

    @Test("a headline that was indented, or lost its time stamp, when the log was pasted")
    func pasted() {
        let oops = """
            BUG: unable to handle kernel paging request at ffffe0f000020000
            PGD 0 P4D 0
            Oops: 0002 [#1] SMP NOPTI
            CPU: 2 PID: 88 Comm: insmod Not tainted 4.19.0 #7
            RIP: 0010:ring_fill+0x9/0x10
            RSP: 0018:ffffbf1c85b3fc88 EFLAGS: 00010206
            """
        let title = "BUG: unable to handle kernel paging request in ring_fill"
        let lines = oops.split(separator: "\n").map(String.init)
        #expect(parse(" " + oops).map(\.title) == [title])
        #expect(parse(lines.map { "    " + $0 }.joined(separator: "\n")).map(\.title) == [title])
        let stamped = lines.dropFirst().map { "[13968.479004] " + $0 }
        #expect(parse((["\t" + lines[0]] + stamped).joined(separator: "\n")).map(\.title) == [title])
    }

    @Test(
        "a log that begins within a report is recognized", arguments: ["", "[   12.345678] ", "Feb  3 10:11:12  "])
    func cut(prefix: String) {
        func begins(_ lines: [String]) -> Bool {
            var parser = ConsoleLogParser()
            parser.consume(Array(lines.map { prefix + $0 }.joined(separator: "\n").utf8)[...])
            #expect(parser.finish().isEmpty)
            return parser.beginsInReport
        }
        #expect(begins(["Call Trace:", " ring_push+0x1e/0x40", "usb 1-1: new device"]))
        #expect(begins([" ? ring_push+0x1e/0x40", "usb 1-1: new device"]))
        #expect(begins(["RIP: 0010:ring_push+0x1e/0x40", "RSP: 0018:ffffc900002b3f20 EFLAGS: 00010246"]))
        #expect(begins(["---[ end trace 0000000000000000 ]---", "usb 1-1: new device"]))
        #expect(!begins(["usb 1-1: new device", "Call Trace:", " ring_push+0x1e/0x40"]))
        #expect(!begins(["ring+0x: text", "usb 1-1: new device"]))
    }

    @Test("a list corruption without a trace is blamed on the headline's function")
    func listWithoutTrace() {
        let text = """
            [    1.000001] ------------[ cut here ]------------
            [    1.000002] WARNING: CPU: 1 PID: 30 at /build/linux-4.5.2/lib/list_debug.c:62 ring_kill+0x56/0x1d0()
            [    1.000003] list_del corruption. next->prev should be ffff8800723eaee8, but was           (null)
            [    1.000004] Modules linked in: ring(E)
            """
        #expect(parse(text).map(\.title) == ["BUG: corrupted list in ring_kill"])
    }

    @Test("a log after a login prompt")
    func prompt() {
        let crashes = parse(
            "box login: Unable to handle kernel paging request at virtual address 00000001\nPC is at f+0x1/0x2")
        #expect(crashes.map(\.title) == ["BUG: unable to handle kernel paging request in f"])
    }

    @Test(
        "a text that is not a kernel's log is not mistaken for one, even if a line or two look like it",
        arguments: [
            "<!DOCTYPE html>\n<html><body>This job's log has expired.</body></html>\n",
            "{\"message\":\"404 Not Found\"}",
            "404: Not Found", "\u{89}PNG\r\n\u{1A}\n", "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code></Error>",
            "\n\n",
            "error: no such job", "Not Found",
            "# A page\n\nnote: this is prose.\nIt goes on for a line\nor two, and is\nnot a log.\n",
        ])
    func foreign(text: String) {
        var parser = ConsoleLogParser()
        parser.consume(Array(text.utf8)[...])
        #expect(parser.finish().isEmpty)
        #expect(!parser.isKernelLog)
    }

    @Test(
        "lines of the syslog protocol, with and without priority and structured data",
        arguments: [
            "<4>1 2026-02-03T10:11:%.123456+01:00 host kernel - - - ", "1 2026-02-03T10:11:%Z host kernel - - - ",
            "<4>1 - host kernel - - [origin ip=\"192.0.2.1\" x=\"a\\]b\"][meta a=\"1\"] ",
        ])
    func syslogProtocol(prefix: String) {
        var number = 10
        let text = Self.lines.map { line in
            number += 1
            return prefix.replacing("%", with: "\(number)") + "[   12.0000\(number)] " + line
        }
        expectTheReport(text.joined(separator: "\n") + "\n")
        // A program's line of the same form is none of the kernel's.
        let program = text.map { $0.replacing(" kernel ", with: " app ") }.joined(separator: "\n")
        var parser = ConsoleLogParser()
        parser.consume(Array(program.utf8)[...])
        #expect(parser.finish().isEmpty && !parser.isKernelLog)
    }

    @Test(
        "pstore's parts in the order of their files, which is backwards, and in the kernel's", arguments: [true, false])
    func storedParts(isBackwards: Bool) {
        let pieces = [Self.lines[..<5], Self.lines[5..<11], Self.lines[11...]]
        let parts = pieces.enumerated().map { index, lines in
            "Oops#1 Part\(pieces.count - index)\n" + lines.map { "<4>[   12.000001] \($0)\n" }.joined()
        }
        let crashes = parse((isBackwards ? parts.reversed() : parts).joined())
        #expect(crashes.map(\.title) == ["WARNING in ring_push"])
        #expect(crashes.first?.corruption == nil)
        // The next dump is another log.
        let two = parts.reversed().joined() + parts.reversed().joined().replacing("Oops#1", with: "Panic#2")
        #expect(parse(two).allSatisfy { $0.title == "WARNING in ring_push" })
    }
}
