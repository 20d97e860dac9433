// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Measurement

@Suite struct StatisticsTests {
    @Test func medians() {
        #expect(Summary([]) == nil)
        #expect(Summary([3])?.median == 3)
        #expect(Summary([9, 1, 2])?.median == 2)
        #expect(Summary([4, 1, 2, 9])?.median == 3)
        #expect(Summary([4, 1, 2, 9])?.minimum == 1)
        #expect(Summary([4, 1, 2, 9])?.maximum == 9)
    }

    @Test(arguments: [
        (0.0, "0.000"), (0.1234, "0.123"), (0.9999, "1.000"), (1.239, "1.24"), (12.34, "12.3"), (150, "150"),
        (-0.5, "-0.500"), (-0.0001, "0.000"), (.infinity, "?"), (2.05, "2.05"),
    ])
    func figures(value: Double, text: String) {
        #expect(figure(value) == text)
    }
}

@Suite struct VerdictTests {
    @Test func targets() {
        #expect(Verdict.of(2.5, atMost: 2.5) == .met)
        #expect(Verdict.of(2.6, atMost: 2.5) == .missed)
        #expect(Verdict.of(2, atMost: 2.5, stretch: 1.2) == .metNotStretch)
        #expect(Verdict.of(1, atMost: 2.5, stretch: 1.2) == .met)
        #expect(Verdict.met.and(.missed) == .missed)
        #expect(Verdict.missed.and(.met) == .missed)
        #expect(Verdict.met.and(.met) == .met)
        #expect(Verdict.metNotStretch.and(.met) == .metNotStretch)
    }
}

@Suite struct ResultsTests {
    private func row(_ id: String, _ verdict: Verdict, measured: String = "") -> RowResult {
        RowResult(
            id: id, path: "path of \(id)", target: "1 s", measured: measured, verdict: verdict, commands: ["run \(id)"],
            notes: ["note"], date: "a day")
    }

    @Test func tableIsAligned() {
        var table = Table(["a", "long header"])
        table.add(["x | y\nz"])
        table.add(["", "b", "surplus"])
        #expect(
            table.text == """
                | a        | long header |
                |----------|-------------|
                | x \\| y z |             |
                |          | b           |
                """)
    }

    @Test func rowsOfAnEarlierRunStay() {
        let old = Results(machine: ["m"], rows: [row("b", .met, measured: "old"), row("a", .met, measured: "old")])
        let new = Results(machine: ["m"], rows: [row("b", .missed, measured: "new"), row("a", .notMeasured)])
        let merged = old.merged(with: new, order: ["a", "b", "c"])
        #expect(merged.rows.map(\.id) == ["a", "b"])
        #expect(merged.rows.map(\.measured) == ["old", "new"])
    }

    @Test func figuresOfAnotherMachineAreNotMixed() {
        let old = Results(machine: ["m"], rows: [row("a", .met)])
        let new = Results(machine: ["n"], rows: [row("b", .met)])
        #expect(old.merged(with: new, order: ["a", "b"]) == new)
    }

    @Test func aRowThatMissesSaysWhy() {
        let causes = Results.causes(in: "# Causes\n\n## a\n\nThe disk.\nIt is slow.\n\n## b\nNever.\n")
        #expect(causes == ["a": "The disk.\nIt is slow.", "b": "Never."])
        let document = Results(machine: ["m"], rows: [row("a", .missed), row("b", .met)]).document(causes: causes)
        #expect(document.contains("    run a\n\n- note\n\nWhy: The disk.\nIt is slow.\n"))
        #expect(!document.contains("Never."))
    }
}

@Suite struct ProcessTests {
    @Test func guestsAreToldFromTheirStarters() {
        #expect(ProcessTree.isGuest(["/usr/bin/qemu-system-x86_64", "-m", "128M", "-kernel", "/x"]))
        #expect(!ProcessTree.isGuest(["qemu-system-x86_64", "--version"]))
        #expect(ProcessTree.isGuest(["/store/kernel/0/image", "mem=128M", "uml_dir=/tmp/x"]))
        #expect(!ProcessTree.isGuest(["/bin/kbuild", "supervise", "/usr/bin/qemu-system-x86_64"]))
        #expect(!ProcessTree.isGuest(["/bin/kbuild", "supervise", "/store/image", "uml_dir=/tmp/x"]))
        #expect(!ProcessTree.isGuest([]))
    }

    @Test func guestMemoryIsLeftOut() {
        let maps = """
            7f00-7f10 rw-p 00000000 00:00 0
            Size:             131072 kB
            Pss:               70000 kB
            7f20-7f30 rw-p 00000000 00:00 0
            Size:                 64 kB
            Pss:                  33 kB
            """
        #expect(ProcessTree.memoryOption(in: ["qemu", "-m", "128M"]) == 131072)
        #expect(ProcessTree.proportionalShare(inMaps: maps, withoutMappingOf: 131072) == 33)
        #expect(ProcessTree.proportionalShare(inMaps: maps, withoutMappingOf: nil) == 70033)
    }

    @Test func commandsCanBePasted() {
        let invocation = Invocation(["/a/b/kbuild", "--x", "it's", ""], in: "/", environment: ["CC": "ccache gcc"])
        #expect(
            invocation.text([("/a/b/kbuild", "kbuild"), ("/a", "A")]) == "CC='ccache gcc' kbuild --x 'it'\\''s' ''")
    }

    @Test func codesAndOutputComeBack() throws {
        let folder = try Folder()
        let script = "echo out; echo error >&2; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 3"
        let measured = try Invocation(["sh", "-c", script], in: folder.path).run(keepingOutputIn: folder.path)
        #expect(measured.code == 3)
        #expect(measured.output == "out\n")
        #expect(measured.errors == "error\n")
        #expect(measured.cpu > 0)
        #expect(!measured.reachedLimit)
        let killed = try Invocation(["sh", "-c", "kill -9 $$"], in: folder.path).run(keepingOutputIn: folder.path)
        #expect(killed.code == 137)
        #expect(throws: RunError.self) {
            try Invocation(["no-such-program"], in: folder.path).run(keepingOutputIn: folder.path)
        }
    }

    @Test func aLimitEndsTheCommand() throws {
        let folder = try Folder()
        let measured = try Invocation(["sleep", "60"], in: folder.path, limit: 0.2).run(keepingOutputIn: folder.path)
        #expect(measured.reachedLimit)
        #expect(measured.code == 128 + 15)
    }

    @Test func memoryIsThatOfTheWholeFamily() throws {
        let folder = try Folder()
        let script = "head -c 1000 /dev/zero | { sleep 0.3; cat >/dev/null; }"
        let measured = try Invocation(["sh", "-c", script], in: folder.path, watch: .memory)
            .run(keepingOutputIn: folder.path)
        #expect(try #require(measured.peakMemory) > 0)
        #expect(try #require(measured.ownPeakMemory) > 0)
    }
}
