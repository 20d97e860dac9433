// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import SystemPackage
import Testing

@testable import Patching

@Suite("the editor of a tree in memory", .timeLimit(.minutes(30))) struct TreeEditorTests {
    private let scratch: PatchScratch
    private let pristine: FilePath

    init() throws {
        scratch = try PatchScratch()
        pristine = try writeSmallKernel(to: scratch)
    }

    private let file = OverlayEntry.File(bytes: Array("x\n".utf8), isExecutable: false)

    private func creation(_ path: String) -> String { "--- /dev/null\n+++ b/\(path)\n@@ -0,0 +1 @@\n+x\n" }

    @Test("the time for a patch is linear in the number of its files")
    func manyFiles() throws {
        let count = 20_000
        let patches = try parse((0..<count).map { creation("kernel/many/x\($0).c") }.joined())
        var editor = TreeEditor(pristine: pristine)
        for patch in patches { _ = try editor.apply(patch) }
        #expect(editor.changes.count == count)
    }

    @Test("a folder's name can be used for a file when the last file below it is removed")
    func folderBecomesFile() throws {
        var editor = TreeEditor(pristine: pristine)
        try editor.write("new/a/x.c", file)
        try editor.write("new/a/x.c", file)
        try editor.write("new/a/y.c", file)
        for path in ["new", "new/a"] {
            #expect(failure { try editor.write(path, file) }?.message == "\(path) is a folder, so it cannot be a file")
        }
        try editor.write("new/ab", file)
        editor.delete("new/a/x.c")
        editor.delete("new/a/x.c")
        editor.delete("new/a/never.c")
        #expect(throws: Failure.self) { try editor.write("new/a", file) }
        editor.delete("new/a/y.c")
        try editor.write("new/a", file)
        #expect(failure { try editor.write("new/a/x.c", file) }?.message.contains("new/a is a file") == true)
        editor.delete("new/a")
        try editor.write("new/a/x.c", file)
        #expect(throws: Failure.self) { try editor.write("new/a", file) }
    }

    @Test("a patch that is being applied ends when its task is cancelled, without a change")
    func cancellation() async throws {
        let patches = try parse(creation("kernel/x.c"))
        let pristine = pristine
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            var editor = TreeEditor(pristine: pristine)
            for patch in patches {
                #expect(throws: CancellationError.self) { _ = try editor.apply(patch) }
            }
            return editor.changes.count
        }
        #expect(await task.value == 0)
        #expect(!patches.isEmpty)
    }
}
