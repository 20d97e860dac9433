// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import SystemPackage
import Testing

@testable import IncrementalBuild
@testable import KernelBuild
@testable import KernelMake

@Suite(.timeLimit(.minutes(30)))
struct MakeStaleTargetsTests {
    @Test func removesTheTargetsOfTheLastMoments() throws {
        let scratch = try Scratch()
        let names = ["early.o", "late.o", "latest.o", "auto.h", "plain.txt"]
        for name in names {
            try scratch.write([name: "x", ".\(name).cmd": "x"], below: "out")
        }
        let out = scratch.root.appending("out")
        try removeAll(out.appending(".plain.txt.cmd"))
        let now = Date(timeIntervalSince1970: 2_000_000_000)
        for (name, age) in zip(names, [60.0, 4, 0, 1, 0]) {
            try scratch.setModificationTime(out.appending(name), now - age)
        }
        #expect(try StaleTargets.removeUnfinished(in: out) == 3)
        #expect(fileExists(out.appending("early.o")))
        #expect(fileExists(out.appending("plain.txt")))
        #expect(!fileExists(out.appending("late.o")))
    }

    @Test func removesObjectsWithoutTheirSource() throws {
        let scratch = try Scratch()
        try scratch.write(["kernel/here.c": ""], below: "tree")
        let tree = scratch.root.appending("tree")
        func record(_ source: String) -> String { "savedcmd := x\n\nsource_kernel/x.o := \(source)\n\ndeps_x := \\\n" }
        try scratch.write(
            [
                "kernel/here.o": "", "kernel/.here.o.cmd": record("../tree/kernel/here.c"),
                "kernel/gone.o": "", "kernel/.gone.o.cmd": record("../tree/kernel/gone.c"),
                "kernel/gone2.o": "", "kernel/.gone2.o.cmd": record("\(tree)/kernel/gone2.c"),
                "kernel/renamed.o": "", "kernel/.renamed.o.cmd": record("../tree/kernel/here.c"),
                "kernel/linked.o": "", "kernel/.linked.o.cmd": "savedcmd := ld -r\n",
                "kernel/bare.o": "", "tools/x/fixdep.o": "", "tools/x/.fixdep.o.cmd": record("fixdep.c"),
            ], below: "out")
        let out = scratch.root.appending("out")
        try StaleTargets.removeOrphans(in: KernelMake(tree: tree, output: out))
        let left = try namesInFolder(out.appending("kernel")).filter { $0.hasSuffix(".o") && !$0.hasPrefix(".") }
        #expect(left == ["bare.o", "here.o", "linked.o", "renamed.o"])
        #expect(fileExists(out.pushing("tools/x/fixdep.o")))
    }

    @Test func anOutputsStateSurvives() throws {
        let scratch = try Scratch()
        var state = BuildState(output: scratch.root)
        #expect(!state.isRunning && !state.isComplete)
        state.isRunning = true
        state.steps = 12
        try state.write()
        #expect(BuildState(output: scratch.root) == state)
    }
}
