// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import SystemPackage
import Testing

@testable import PatchedTree
@testable import Patching
@testable import Syscalls

/// The repository's own calls. What needs a whole kernel runs where KBUILD_TEST_KERNELS names unpacked trees,
/// separated by colons.
@Suite(.timeLimit(.minutes(30))) struct PatchContentTests {
    private static let kernels = (ProcessInfo.processInfo.environment["KBUILD_TEST_KERNELS"] ?? "")
        .split(separator: ":").map { FilePath(String($0)) }

    private func source(_ name: String) throws -> PatchSource {
        let root = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent()
        return try PatchSource.load(root.appending("kernel").appending(name))
    }

    @Test func msgboxIsASpecAndMemcpyASeries() throws {
        #expect(try source("msgbox").isSpec)
        let memcpy = try source("memcpy")
        #expect(!memcpy.isSpec)
        guard case .series(let set) = memcpy.content else { return }
        #expect(set.common?.count == 2)
        #expect(set.byVersion["6.12"]?.count == 2)
    }

    @Test func memcpyStructHasAnEntryOfItsOwnFor32BitPrograms() throws {
        let scratch = try PatchScratch()
        let pristine = try writeSmallKernel(to: scratch)
        let overlay = try TreeOverlay.compute(pristine: pristine, sources: [try source("memcpy-struct")])
        #expect(overlay.syscalls.map(\.abi) == [.x64, .i386])
        guard case .file(let table) = overlay.files[SyscallTable.i386] else {
            Issue.record("the i386 table is as it was")
            return
        }
        #expect(String(decoding: table.bytes, as: UTF8.self).contains("compat_sys_memcpy_struct"))
        #expect(overlay.notes.isEmpty)
    }

    @Test func msgboxRegistersInASmallKernel() throws {
        let scratch = try PatchScratch()
        let pristine = try writeSmallKernel(to: scratch)
        let overlay = try TreeOverlay.compute(pristine: pristine, sources: [try source("msgbox")])
        // 32-bit programs have them under the same numbers.
        for abi in [RegisteredSyscall.ABI.common, .i386] {
            let calls = overlay.syscalls.filter { $0.abi == abi }
            #expect(calls.map { "\($0.name) \($0.number)" } == ["dm510_msgbox_put 451", "dm510_msgbox_get 452"])
        }
        #expect(overlay.notes.isEmpty)
    }

    @Test(.enabled(if: !PatchContentTests.kernels.isEmpty), arguments: PatchContentTests.kernels)
    func bothApplyToAWholeKernel(tree: FilePath) throws {
        let version = try KernelVersion(tree: tree)
        let (msgbox, memcpy) = (try source("msgbox"), try source("memcpy"))
        let overlay = try TreeOverlay.compute(pristine: tree, sources: [msgbox, memcpy])
        let native = overlay.syscalls.filter { $0.abi != .i386 }
        let numbers = Dictionary(uniqueKeysWithValues: native.map { ($0.name.text, $0.number) })
        let ia32 = overlay.syscalls.filter { $0.abi == .i386 }
        #expect(Dictionary(uniqueKeysWithValues: ia32.map { ($0.name.text, $0.number) }) == numbers)
        switch version.series {
        case "6.1": #expect(numbers == ["dm510_msgbox_put": 451, "dm510_msgbox_get": 452, "memcpy": 453])
        case "6.12": #expect(numbers == ["dm510_msgbox_put": 464, "dm510_msgbox_get": 465, "memcpy": 463])
        default: #expect(numbers.count == 3)
        }
        #expect(overlay.notes.isEmpty)
        #expect(
            try TreeOverlay.compute(pristine: tree, sources: [memcpy]).syscalls.map(\.name.text) == [
                "memcpy", "memcpy",
            ])
        if let folder = ProcessInfo.processInfo.environment["KBUILD_TEST_WORK"].map({ FilePath($0) }) {
            // A hard-linked copy of the tree, to compile what was applied by hand.
            let work = WorkTree(tree: folder.appending("tree-\(version.series)"), pristine: tree)
            try work.synchronize(overlay: overlay, output: folder.appending("out-\(version.series)"))
            #expect(try work.status(sources: [msgbox, memcpy]).map(\.state) == [.applied, .applied])
        }
    }
}
