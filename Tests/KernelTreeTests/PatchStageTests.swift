// SPDX-License-Identifier: Apache-2.0
import Foundation
import SystemPackage
import Testing

@testable import PatchedTree
@testable import Patching
@testable import Syscalls

@Suite("Patches one at a time, and the flags of the project's objects", .timeLimit(.minutes(30)))
struct PatchStageTests {
    private let scratch: PatchScratch
    private let pristine: FilePath

    init() throws {
        scratch = try PatchScratch()
        pristine = try writeSmallKernel(to: scratch)
    }

    private func spec(_ name: String, folder: String = "kernel") throws -> PatchSource {
        try scratch.write(
            "folder: \(folder)\nsources: [\(name).c]\nsyscalls: [{name: \(name), arguments: []}]\n",
            to: "\(name)/syscall.yaml")
        try scratch.write(
            "#include <linux/syscalls.h>\nSYSCALL_DEFINE0(\(name))\n{\n\treturn 0;\n}\n", to: "\(name)/\(name).c")
        return try PatchSource.load(scratch.path.appending(name))
    }

    private func text(_ files: [String: OverlayEntry], _ path: String) -> String {
        guard case .file(let file)? = files[path] else { return "" }
        return String(decoding: file.bytes, as: UTF8.self)
    }

    @Test("each spec is a stage on top of the previous one, with its registrations and without kbuild's own flags")
    func specs() throws {
        let sources = [try spec("one"), try spec("two")]
        let stages = try PatchStage.stages(pristine: pristine, sources: sources)
        #expect(stages.map(\.subject) == ["one: add the system call one", "two: add the system call two"])
        #expect(stages[0].files["kernel/two.c"] == nil)
        #expect(text(stages[1].files, "kernel/Makefile").contains("obj-y += two.o"))
        #expect(!text(stages[1].files, "kernel/Makefile").contains("CFLAGS_"))
        // But for the flags the last stage is what is built.
        let overlay = try TreeOverlay.compute(pristine: pristine, sources: sources)
        #expect(Set(overlay.files.keys) == Set(stages[1].files.keys))
        for (path, entry) in overlay.files where path != "kernel/Makefile" { #expect(stages[1].files[path] == entry) }
    }

    @Test(
        "only the objects of the project's files get line numbers when the kernel has no debug information"
    )
    func flags() throws {
        let overlay = try TreeOverlay.compute(
            pristine: pristine, sources: [try spec("one"), try spec("two", folder: "two")])
        let own = text(overlay.files, "kernel/Makefile")
        #expect(own.contains("ifndef CONFIG_DEBUG_INFO\nCFLAGS_one.o += -g1\nendif\n"))
        // A folder of the project's own has its flags there.
        #expect(text(overlay.files, "two/Makefile").contains("CFLAGS_two.o += -g1"))
        #expect(own.contains("CFLAGS_one.o += -Wextra") && !own.contains("-Werror"))
        #expect(own.ranges(of: "CFLAGS_").count == 2)
        let strict = try TreeOverlay.compute(pristine: pristine, sources: [try spec("one")], flags: .fail)
        #expect(text(strict.files, "kernel/Makefile").contains(" -Werror -Wno-error=maybe-uninitialized\n"))
        #expect(strict.digest != overlay.digest)
    }

    @Test("a patch that adds a C file has its flags only if the makefile builds it")
    func series() throws {
        try scratch.write(
            """
            From: A Person <person@example.org>
            Date: Sat, 21 Nov 2026 07:57:03 +0000
            Subject: [PATCH v2 1/1] Add a file

            Why it is there.
            ---
             kernel/new.c | 1 +

            diff --git a/kernel/new.c b/kernel/new.c
            new file mode 100644
            --- /dev/null
            +++ b/kernel/new.c
            @@ -0,0 +1 @@
            +int x;
            """ + "\n", to: "series.patch")
        let source = try PatchSource.load(scratch.path.appending("series.patch"))
        let stages = try PatchStage.stages(pristine: pristine, sources: [source])
        #expect(stages.map(\.subject) == ["Add a file"])
        #expect(stages.first?.author == "A Person <person@example.org>")
        #expect(stages.first?.date == "Sat, 21 Nov 2026 07:57:03 +0000")
        #expect(stages.first?.explanation == "Why it is there.")
        let overlay = try TreeOverlay.compute(pristine: pristine, sources: [source])
        #expect(Array(overlay.files.keys) == ["kernel/new.c"])
    }

    @Test(
        "a subject's tags are removed",
        arguments: [
            ("[PATCH 1/2] x: y", "x: y"), ("[RFC][PATCH] x", "x"), ("x [y]", "x [y]"), ("[open", "[open"),
        ])
    func tags(subject: String, bare: String) {
        #expect(PatchStage.withoutTag(subject) == bare)
        #expect(PatchStage.withoutTag("[PATCH]") == nil)
    }
}
