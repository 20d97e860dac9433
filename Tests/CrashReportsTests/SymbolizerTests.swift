// SPDX-License-Identifier: Apache-2.0
import Fuzzing
import ResultsModel
import Testing

@testable import CrashReports

@Suite("Symbolizer", .timeLimit(.minutes(30)))
struct SymbolizerTests {
    private let symbols = """
        0000000000000000 A __absolute
        ffffffff81000000 T _stext
        ffffffff81000010 t helper
        ffffffff81000030 T alias
        ffffffff81000030 t probe.constprop.0
        ffffffff81000050 a __absolute_between
        ffffffff81000070 t helper
        ffffffff81000080 t twin
        ffffffff81000090 t twin
        ffffffff810000a0 D data
        """

    private func crash(_ frames: StackFrame...) -> Crash {
        var crash = Crash(title: "BUG: x", kind: .bug, isFatal: false, lines: ["x"])
        crash.frames = frames
        return crash
    }

    private func resolve(_ frame: StackFrame) -> Symbolizer.Resolution {
        var symbolizer = Symbolizer([crash(frame)])
        symbolizer.readSymbols(symbols)
        return symbolizer.resolve(frame)
    }

    @Test("two functions of the same name are distinguished by their size")
    func duplicates() {
        #expect(resolve(.init(symbol: "helper", offset: 8, size: 0x20)) == .address(0xffff_ffff_8100_0017))
        #expect(resolve(.init(symbol: "helper", offset: 8, size: 0x10)) == .address(0xffff_ffff_8100_0077))
        #expect(resolve(.init(symbol: "twin", offset: 8, size: 0x10)) == .ambiguous)
    }

    @Test("for a call the line of the call is looked up, not the line it returns to; for a fault the exact line")
    func returns() {
        let symbol = "probe.constprop.0"
        #expect(resolve(.init(symbol: symbol, offset: 8, size: 0x40)) == .address(0xffff_ffff_8100_0037))
        #expect(
            resolve(.init(symbol: symbol, offset: 8, size: 0x40, isInstructionPointer: true))
                == .address(0xffff_ffff_8100_0038))
        #expect(resolve(.init(symbol: symbol, offset: 0, size: 0x40)) == .address(0xffff_ffff_8100_0030))
        #expect(resolve(.init(symbol: "alias", offset: 0, size: 0x40)) == .address(0xffff_ffff_8100_0030))
    }

    @Test("addresses of another build, of a module and of unknown functions get no place")
    func strangers() {
        #expect(resolve(.init(symbol: "helper", offset: 8, size: 0x21)) == .otherBuild)
        #expect(resolve(.init(symbol: "helper", offset: 8, size: 0x20, module: "m")) == .unknown)
        #expect(resolve(.init(symbol: "nowhere", offset: 8, size: 0x20)) == .unknown)
        #expect(resolve(.init(symbol: "helper", offset: 8, size: 0)) == .unknown)
        #expect(!Symbolizer([crash(.init(symbol: "f", offset: 1, size: 2, module: "m"))]).isNeeded)
    }

    @Test("frames of a module are looked up by section in the module's own file, and in no other")
    func modules() {
        let symbols = """
               Num:    Value          Size Type    Bind   Vis      Ndx Name
                12: 0000000000000010    75 FUNC    LOCAL  DEFAULT    2 ring_write
                13: 0000000000000000    30 FUNC    LOCAL  DEFAULT    4 ring_init
                14: 0000000000000060  0x20 FUNC    LOCAL  DEFAULT    2 twin
                15: 0000000000000090    16 FUNC    LOCAL  DEFAULT    2 twin
                16: 0000000000000000    16 OBJECT  LOCAL  DEFAULT    6 ring_size
                17: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND mutex_lock

            """
        func resolve(_ frame: StackFrame) -> Symbolizer.Resolution {
            var symbolizer = Symbolizer([crash(frame)], module: "ring")
            symbolizer.readModuleSymbols(symbols)
            return symbolizer.resolve(frame)
        }
        let frame = StackFrame(symbol: "ring_write", offset: 8, size: 0x50, module: "ring")
        #expect(resolve(frame) == .address(Symbolizer.address(section: 2, offset: 0x17)))
        #expect(Symbolizer.place(of: Symbolizer.address(section: 4, offset: 7)) == .init(section: 4, offset: 7))
        #expect(
            resolve(.init(symbol: "ring_init", offset: 0, size: 0x20, module: "ring"))
                == .address(Symbolizer.address(section: 4, offset: 0)))
        // The printed size reaches to the next symbol; a function that is larger than that is another one.
        #expect(resolve(.init(symbol: "ring_write", offset: 8, size: 0x40, module: "ring")) == .otherBuild)
        #expect(
            resolve(.init(symbol: "twin", offset: 1, size: 0x10, module: "ring"))
                == .address(Symbolizer.address(section: 2, offset: 0x90)))
        #expect(resolve(.init(symbol: "twin", offset: 1, size: 0x30, module: "ring")) == .ambiguous)
        #expect(resolve(.init(symbol: "ring_write", offset: 8, size: 0x50)) == .unknown)
        #expect(resolve(.init(symbol: "mutex_lock", offset: 8, size: 0x50, module: "ring")) == .unknown)

        var report = crash(frame, .init(symbol: "helper", offset: 8, size: 0x20))
        report.lines = [
            "BUG: KASAN: slab-out-of-bounds in ring_write+0x8/0x50 [ring]", " ring_write+0x8/0x50 [ring]",
            " helper+0x8/0x20",
        ]
        #expect(Symbolizer.modules(of: [report]) == ["ring"])
        var crashes = [report]
        var symbolizer = Symbolizer(crashes, module: "ring")
        symbolizer.readModuleSymbols(symbols)
        let address = Symbolizer.address(section: 2, offset: 0x17)
        #expect(symbolizer.addresses(of: crashes) == [address])
        symbolizer.apply(
            [address: [.init(function: "ring_write", file: "/copy/ring.c", line: 12)]], to: &crashes,
            ownFiles: ["/copy/ring.c": "modules/ring/ring.c"])
        #expect(crashes[0].frames.map(\.locations.count) == [1, 0])
        #expect(
            crashes[0].lines == [
                report.lines[0] + " (modules/ring/ring.c:12)", report.lines[1] + " (modules/ring/ring.c:12)",
                report.lines[2],
            ])
    }

    @Test("addr2line's answers become places, the innermost first")
    func answers() {
        let locations = Symbolizer.locations(
            in: """
                0xffffffff81000017
                inlined
                /cache/tree/./kernel/../kernel/probe.h:7 (discriminator 3)
                helper
                /cache/tree/kernel/probe.c:12
                0xffffffff81000037
                ??
                ??:0
                0xffffffff81000077
                helper
                /elsewhere/probe.c:?
                """, root: "/cache/tree")
        #expect(
            locations == [
                0xffff_ffff_8100_0017: [
                    .init(function: "inlined", file: "kernel/probe.h", line: 7),
                    .init(function: "helper", file: "kernel/probe.c", line: 12),
                ]
            ])
        var crashes = [crash(.init(symbol: "helper", offset: 8, size: 0x20), .init(symbol: "gone", offset: 1, size: 2))]
        var symbolizer = Symbolizer(crashes)
        symbolizer.readSymbols(symbols)
        #expect(symbolizer.addresses(of: crashes) == [0xffff_ffff_8100_0017])
        symbolizer.apply(locations, to: &crashes)
        #expect(crashes[0].frames.map(\.locations.count) == [2, 0])
    }

    @Test("an object that ccache took from another project's tree has paths of this tree")
    func otherTree() {
        func file(_ path: String) -> String? {
            Symbolizer.locations(in: "0x1\nf\n\(path):3", root: "/c/projects/1/kernel-9/tree")[1]?.first?.file
        }
        #expect(file("/c/projects/1/kernel-9/tree/kernel/f.c") == "kernel/f.c")
        #expect(file("/c/projects/2/kernel-9/build/x86_64/../../tree/kernel/f.c") == "kernel/f.c")
        #expect(file("/c/projects/2/kernel-8/tree/kernel/f.c") == "/c/projects/2/kernel-8/tree/kernel/f.c")
        #expect(file("/usr/src/tree/kernel/f.c") == "/usr/src/tree/kernel/f.c")
    }

    @Test("each line that names a function gets its place, first the user's own file, by the user's path")
    func lines() {
        let stamp = "[    1.000000][   T77] "
        var report = crash()
        report.lines = [
            stamp + "BUG: KCSAN: data-race in helper / helper",
            stamp + "write to 0xffffffff82000000 of 4 bytes by task 77 on cpu 1:", stamp + " helper+0x8/0x20",
            stamp + "kmemleak:     [<00000000d1c8d2c5>] helper+0x8/0x20",
            stamp + " #0: ffffffff82000000 (lock){+.+.}-{2:2}, at: helper+0x8/0x20",
            stamp + "RIP: 0010:helper+0x8/0x20", stamp + " helper+0x8/0x20 kernel/other.c:1", stamp + " gone+0x8/0x20",
        ]
        var crashes = [report]
        var symbolizer = Symbolizer(crashes)
        #expect(symbolizer.isNeeded)
        symbolizer.readSymbols(symbols)
        #expect(symbolizer.addresses(of: crashes) == [0xffff_ffff_8100_0017, 0xffff_ffff_8100_0018])
        let places: [StackFrame.Location] = [
            .init(function: "kmalloc", file: "include/linux/slab.h", line: 600),
            .init(function: "helper", file: "kernel/probe.c", line: 12),
        ]
        symbolizer.apply(
            [0xffff_ffff_8100_0017: places, 0xffff_ffff_8100_0018: [places[0]]], to: &crashes,
            ownFiles: ["kernel/probe.c": "kernel/probe/probe.c"])
        let own = " (kernel/probe/probe.c:12)"
        let added = zip(report.lines, crashes[0].lines).map { String($1.dropFirst($0.count)) }
        #expect(added == ["", "", own, own, own, " (include/linux/slab.h:600)", "", ""])
    }

    @Test("no answer crashes the symbolizer", arguments: 0..<200 as Range<UInt64>)
    func fuzz(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let pieces = ["0x", "ffffffff81000010", " t ", "helper", "\n", ":", "12", "??", "/", "..", " ", "0", "é", "-1"]
        let text = (0..<60).map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
        var symbolizer = Symbolizer([crash(.init(symbol: "helper", offset: .max, size: .max))])
        symbolizer.readSymbols(text)
        _ = symbolizer.resolve(.init(symbol: "helper", offset: .max, size: 0x20))
        _ = Symbolizer.locations(in: text, root: "/")
    }
}
