// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Glibc
import SystemPackage
import Testing

@testable import PatchedTree
@testable import Patching

@Suite(.timeLimit(.minutes(30))) struct PatchWorkTreeTests {
    private let scratch: PatchScratch
    let work: WorkTree
    let output: FilePath

    init() throws {
        scratch = try PatchScratch()
        let pristine = try writeSmallKernel(to: scratch)
        try linkTree(pristine, to: scratch.path.appending("tree"))
        work = WorkTree(tree: scratch.path.appending("tree"), pristine: pristine)
        output = scratch.path.appending("out")
    }

    private let pristineTime: Int64 = 1_000_000_000 * 1_000_000_000

    func overlay(_ files: [String: String?], sources: [TreeOverlay.AppliedSource] = []) -> TreeOverlay {
        let entries = files.mapValues { text -> TreeOverlay.Entry in
            text.map { .file(.init(bytes: Array($0.utf8), isExecutable: false)) } ?? .deleted
        }
        return TreeOverlay(files: entries, sources: sources, syscalls: [], userFiles: [:], notes: [])
    }

    private func modified(_ path: String) -> Int64? {
        FileStatus(work.tree.pushing(FilePath(path)))?.modified
    }

    /// What make does: an object newer than all that it is made of.
    @discardableResult
    private func compile(_ name: String, in output: FilePath? = nil) throws -> Int64 {
        let object = (output ?? self.output).appending(name)
        try writeAtomically("object", to: object)
        let times = [
            timespec(),
            timespec(tv_sec: Int(nanosecondsNow() / 1_000_000_000), tv_nsec: Int(nanosecondsNow() % 1_000_000_000)),
        ]
        #expect(utimensat(AT_FDCWD, object.string, times, 0) == 0)
        return try #require(FileStatus(object)?.modified)
    }

    @Test func bringsATreeInLineAndBack() throws {
        let pristineBefore = try contents(of: work.pristine)
        let result = try work.synchronize(
            overlay: overlay(["kernel/fork.c": "new\n", "info/a/x.c": "x\n", "Kbuild": nil]), output: output)
        #expect(result.modified == ["kernel/fork.c"])
        #expect(result.added == ["info/a/x.c"])
        #expect(result.removed == ["Kbuild"])
        let tree = try contents(of: work.tree)
        #expect(tree["kernel/fork.c"] == "new\n")
        #expect(tree["info/a/x.c"] == "x\n")
        #expect(tree["Kbuild"] == nil)
        #expect(try contents(of: work.pristine) == pristineBefore)

        try work.synchronize(overlay: .empty, output: output)
        #expect(try contents(of: work.tree) == pristineBefore)
        #expect(!fileExists(work.tree.appending("info")))
        #expect(try contents(of: work.pristine) == pristineBefore)
    }

    @Test func aPlanIsWhatIsThenDoneAndDoesNothing() throws {
        let overlays = [
            overlay(["kernel/fork.c": "new\n", "info/a/x.c": "x\n", "Kbuild": nil]),
            overlay(["kernel/fork.c": "newer\n"]),
            .empty,
        ]
        for overlay in overlays {
            let before = (try contents(of: scratch.path), fileExists(output))
            let planned = try work.planSynchronization(overlay: overlay, output: output)
            #expect(try contents(of: scratch.path) == before.0)
            #expect(fileExists(output) == before.1)
            #expect(try work.synchronize(overlay: overlay, output: output) == planned.changes)
            #expect(!planned.changes.isUnchanged)
            #expect(try work.planSynchronization(overlay: overlay, output: output).changes.isUnchanged)
        }
    }

    @Test func aSecondTimeChangesNothing() throws {
        let overlay = overlay(["kernel/fork.c": "new\n"])
        try work.synchronize(overlay: overlay, output: output)
        let before = FileStatus(work.tree.pushing(FilePath("kernel/fork.c")))
        let manifest = FileStatus(WorkTreeManifest.path(of: work.tree))
        #expect(try work.synchronize(overlay: overlay, output: output).isUnchanged)
        #expect(FileStatus(work.tree.pushing(FilePath("kernel/fork.c"))) == before)
        #expect(FileStatus(WorkTreeManifest.path(of: work.tree)) == manifest)
    }

    @Test func untouchedFilesKeepTheirInodesAndPristineOnesTheirTimes() throws {
        let other = FilePath("kernel/Makefile")
        try work.synchronize(overlay: overlay(["kernel/fork.c": "new\n"]), output: output)
        try work.synchronize(overlay: .empty, output: output)
        let status = try #require(FileStatus(work.tree.pushing(other)))
        #expect(status.isSameInode(as: try #require(FileStatus(work.pristine.pushing(other)))))
        #expect(status.modified == pristineTime)
        #expect(FileStatus(work.pristine.pushing(FilePath("kernel/fork.c")))?.modified == pristineTime)
    }

    @Test func restoredFilesAreNewerThanWhatWasBuiltOfThePatchedOnes() throws {
        try work.synchronize(overlay: overlay(["kernel/fork.c": "new\n"]), output: output)
        let object = try compile("fork.o")
        try work.recordBuild(output: output)
        try work.synchronize(overlay: .empty, output: output)
        #expect(try #require(modified("kernel/fork.c")) > object)
        let rebuilt = try compile("fork.o")
        // Built from the pristine contents now: nothing to do the next time.
        #expect(try work.synchronize(overlay: .empty, output: output).isUnchanged)
        #expect(try #require(modified("kernel/fork.c")) <= rebuilt)
    }

    @Test func aFailedBuildIsNotStartedOver() throws {
        let broken = overlay(["kernel/fork.c": "table\n", "kernel/box.c": "syntax error\n"])
        try work.synchronize(overlay: broken, output: output)
        let object = try compile("fork.o")
        // The build ended early, without recordBuild; the user corrects one file.
        try work.synchronize(overlay: overlay(["kernel/fork.c": "table\n", "kernel/box.c": "fine\n"]), output: output)
        #expect(try #require(modified("kernel/fork.c")) < object)
        #expect(try #require(modified("kernel/box.c")) > object)
    }

    @Test func aKilledBuildDoesNotPassForTheOneBeforeIt() throws {
        let (one, two) = (overlay(["kernel/fork.c": "one\n"]), overlay(["kernel/fork.c": "two\n"]))
        try work.synchronize(overlay: one, output: output)
        try compile("fork.o")
        try work.recordBuild(output: output)
        try work.synchronize(overlay: two, output: output)
        let half = try compile("fork.o")
        // Killed here. fork.o is of "two", so "one" must be newer than it although a finished build had it.
        try work.synchronize(overlay: one, output: output)
        #expect(try #require(modified("kernel/fork.c")) > half)
    }

    @Test func patchesTakenBackAndAppliedAgainWithoutAMakeAreAsOld() throws {
        let (one, two) = (overlay(["kernel/fork.c": "one\n"]), overlay(["kernel/fork.c": "two\n"]))
        try work.synchronize(overlay: one, output: output)
        try work.recordStart(output: output)
        let object = try compile("fork.o")
        try work.recordBuild(output: output)
        for other in [.empty, two, .empty] { try work.synchronize(overlay: other, output: output) }
        #expect(try #require(modified("kernel/fork.c")) > object)
        try work.synchronize(overlay: one, output: output)
        #expect(try #require(modified("kernel/fork.c")) < object)
    }

    @Test func aMakeInBetweenMakesThemNew() throws {
        let (one, two) = (overlay(["kernel/fork.c": "one\n"]), overlay(["kernel/fork.c": "two\n"]))
        try work.synchronize(overlay: one, output: output)
        try work.recordStart(output: output)
        try compile("fork.o")
        try work.recordBuild(output: output)
        try work.synchronize(overlay: two, output: output)
        try work.recordStart(output: output)
        // It failed or was killed, but may have compiled this.
        let half = try compile("fork.o")
        try work.synchronize(overlay: one, output: output)
        #expect(try #require(modified("kernel/fork.c")) > half)
    }

    @Test func outputsShareATreeWithoutDisturbingEachOther() throws {
        let um = scratch.path.appending("out-um")
        let (one, two) = (overlay(["kernel/fork.c": "one\n"]), overlay(["kernel/fork.c": "two\n"]))
        try work.synchronize(overlay: one, output: output)
        let first = try compile("fork.o")
        let stampOfFirst = try #require(modified("kernel/fork.c"))

        try work.synchronize(overlay: two, output: um)
        let second = try compile("fork.o", in: um)

        // Back to the first output with its contents: its own time stamp, so nothing to compile.
        try work.synchronize(overlay: one, output: output)
        #expect(modified("kernel/fork.c") == stampOfFirst)
        #expect(stampOfFirst < first)

        // The second output with the first's contents: it was built of others.
        try work.synchronize(overlay: one, output: um)
        #expect(try #require(modified("kernel/fork.c")) > second)
        // And pristine in the first one.
        try work.synchronize(overlay: .empty, output: output)
        #expect(try #require(modified("kernel/fork.c")) > first)
        #expect(FileStatus(work.pristine.pushing(FilePath("kernel/fork.c")))?.modified == pristineTime)
    }

    @Test func anOutputThatOnlySawThePristineFileGetsItsTimeBack() throws {
        let um = scratch.path.appending("out-um")
        try work.synchronize(overlay: .empty, output: um)
        try work.synchronize(overlay: overlay(["kernel/fork.c": "new\n"]), output: output)
        try work.synchronize(overlay: .empty, output: um)
        #expect(modified("kernel/fork.c") == pristineTime)
    }

    @Test func editsByHandAreUndoneAndWhatWasBuiltOfThemIsStale() throws {
        let overlay = overlay(["kernel/fork.c": "new\n"])
        let um = scratch.path.appending("out-um")
        try work.synchronize(overlay: overlay, output: um)
        try work.synchronize(overlay: overlay, output: output)
        try scratch.write("edited\n", to: "tree/kernel/fork.c")
        let objects = (try compile("fork.o"), try compile("fork.o", in: um))
        try work.synchronize(overlay: overlay, output: output)
        #expect(try scratch.read("tree/kernel/fork.c") == "new\n")
        #expect(try #require(modified("kernel/fork.c")) > objects.0)
        try work.synchronize(overlay: overlay, output: um)
        #expect(try #require(modified("kernel/fork.c")) > objects.1)
        // Offered again, it is trusted again.
        #expect(try work.synchronize(overlay: overlay, output: um).isUnchanged)

        // Edited, built and edited back: the contents tell nothing.
        try scratch.write("edited\n", to: "tree/kernel/fork.c")
        let object = try compile("fork.o", in: um)
        try scratch.write("new\n", to: "tree/kernel/fork.c")
        try work.synchronize(overlay: overlay, output: um)
        #expect(try #require(modified("kernel/fork.c")) > object)
    }

    @Test func aFileEditedBeforeItsFirstPatchIsNotTrusted() throws {
        try work.synchronize(overlay: .empty, output: output)
        try removeAll(work.tree.pushing(FilePath("kernel/fork.c")))
        try scratch.write("edited\n", to: "tree/kernel/fork.c")
        let object = try compile("fork.o")
        try work.synchronize(overlay: overlay(["kernel/fork.c": "line\n"]), output: output)
        #expect(try #require(modified("kernel/fork.c")) > object)
        #expect(try scratch.read("pristine/kernel/fork.c") == smallKernel["kernel/fork.c"])
    }

    @Test func anInterruptedChangeIsNotTrusted() throws {
        let overlay = overlay(["kernel/fork.c": "new\n"])
        try work.synchronize(overlay: overlay, output: output)
        let object = try compile("fork.o")
        // As a kill between the journal and the end leaves it.
        var manifest = try #require(WorkTreeManifest.load(tree: work.tree))
        manifest.files["kernel/fork.c"]?.content = nil
        try manifest.save(tree: work.tree)
        try work.synchronize(overlay: overlay, output: output)
        #expect(try #require(modified("kernel/fork.c")) > object)
    }

    @Test func aLostRecordIsNotTrusted() throws {
        let overlay = overlay(["kernel/fork.c": "new\n"])
        try work.synchronize(overlay: overlay, output: output)
        let object = try compile("fork.o")
        try writeAtomically("{ damaged", to: output.appending(OutputRecord.fileName))
        try work.synchronize(overlay: .empty, output: output)
        #expect(try #require(modified("kernel/fork.c")) > object)
    }

    @Test func aClockSetBackDoesNotMakeAFileOld() throws {
        let overlay = overlay(["kernel/fork.c": "new\n"])
        try work.synchronize(overlay: overlay, output: output)
        var record = try #require(OutputRecord.load(output: output))
        let future = nanosecondsNow() + 3600 * 1_000_000_000
        record.builtAt = future
        try record.save(output: output)
        try work.synchronize(overlay: .empty, output: output)
        #expect(try #require(modified("kernel/fork.c")) > future)
    }

    @Test(
        "the times of the user's files are ignored: only the contents determine what is written",
        arguments: [
            nanosecondsNow() / 1_000_000_000 + 7200, 315_532_800, 0,
        ])
    func timesOfTheUser(seconds: Int64) throws {
        let source = "box/box.c"
        func overlay(_ text: String) throws -> TreeOverlay {
            try scratch.write(text, to: source)
            let times = [timespec(tv_sec: Int(seconds), tv_nsec: 0), timespec(tv_sec: Int(seconds), tv_nsec: 0)]
            #expect(utimensat(AT_FDCWD, scratch.path.pushing(FilePath(source)).string, times, 0) == 0)
            return try TreeOverlay.compute(
                pristine: work.pristine, sources: [try PatchSource.load(scratch.path.appending("box"))])
        }
        try scratch.write(
            "folder: kernel\nsources: [box.c]\nsyscalls:\n  - {name: box, arguments: [int number]}\n",
            to: "box/syscall.yaml")
        let text = "SYSCALL_DEFINE1(box, int, number)\n{\n\treturn number;\n}\n"
        try scratch.write(text, to: source)
        let first = try TreeOverlay.compute(
            pristine: work.pristine, sources: [try PatchSource.load(scratch.path.appending("box"))])
        try work.synchronize(overlay: first, output: output)
        let object = try compile("box.o")
        let before = modified("kernel/box.c")
        #expect(try work.synchronize(overlay: try overlay(text), output: output).isUnchanged)
        #expect(modified("kernel/box.c") == before)
        let changed = try work.synchronize(
            overlay: try overlay(text.replacing("number;", with: "number + 1;")), output: output)
        #expect(changed.modified == ["kernel/box.c"])
        #expect(try #require(modified("kernel/box.c")) > object)
    }

    @Test func refusesATreeThatIsNoCopy() throws {
        try scratch.write("mine\n", to: "tree/kernel/mine.c")
        let failed = failure { try work.synchronize(overlay: .empty, output: output) }
        #expect(failed?.code == .infrastructure)
        #expect(failed?.details?.contains("kernel/mine.c") == true)
        #expect(try scratch.read("tree/kernel/mine.c") == "mine\n")
    }

    @Test func keepsTheExecutableBit() throws {
        let script = TreeOverlay(
            files: ["run.sh": .file(.init(bytes: Array("x".utf8), isExecutable: true))], sources: [], syscalls: [],
            userFiles: [:], notes: [])
        try work.synchronize(overlay: script, output: output)
        #expect(FileStatus(work.tree.appending("run.sh"))?.isExecutable == true)
        #expect(try work.synchronize(overlay: script, output: output).isUnchanged)
    }

    @Test func saysHowFarASourceIsApplied() throws {
        func patch(_ line: Int) -> String {
            "--- a/kernel/fork.c\n+++ b/kernel/fork.c\n@@ -\(line),3 +\(line),3 @@\n line \(line)\n-line \(line + 1)\n+new\n line \(line + 2)\n"
        }
        try scratch.write(patch(10), to: "a.patch")
        try scratch.write(patch(20), to: "b.patch")
        let a = try PatchSource.load(scratch.path.appending("a.patch"))
        let b = try PatchSource.load(scratch.path.appending("b.patch"))
        #expect(try work.status(sources: [a]).map(\.state) == [.notApplied])
        try work.synchronize(overlay: try .compute(pristine: work.pristine, sources: [a]), output: output)
        #expect(try work.status(sources: [a, b]).map(\.state) == [.applied, .notApplied])
        #expect(try work.status(sources: [b]).map(\.state) == [.notApplied, .leftover])
        try scratch.write(patch(12), to: "a.patch")
        #expect(
            try work.status(sources: [try PatchSource.load(scratch.path.appending("a.patch"))]).map(\.state) == [
                .outdated
            ])
        try scratch.write("edited\n", to: "tree/kernel/fork.c")
        #expect(try work.status(sources: [a]).map(\.state) == [.partly(edited: ["kernel/fork.c"])])
        try work.synchronize(overlay: .empty, output: output)
        #expect(try work.status(sources: [a, b]).map(\.state) == [.notApplied, .notApplied])
    }
}
