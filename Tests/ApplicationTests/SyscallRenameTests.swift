// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Authoring

@Suite("syscall rename", .timeLimit(.minutes(30)))
struct SyscallRenameTests {
    private let rename = SyscallRename("box", to: "chest")

    @Test("a spec's name changes, and no other word")
    func spec() {
        let text = "sources: [box.c]\nsyscalls:\n  - name: box\n    arguments: [int box]\n  - name: box_get\n"
        #expect(
            rename.inSpec(text)
                == "sources: [box.c]\nsyscalls:\n  - name: chest\n    arguments: [int box]\n  - name: box_get\n")
        #expect(rename.inSpec("syscalls: [{name: box, arguments: []}]") == "syscalls: [{name: chest, arguments: []}]")
        #expect(rename.inSpec("  - name: \"box\"") == "  - name: \"chest\"")
    }

    @Test("in C only the call's definition changes; helpers, variables and calls with a longer name stay")
    func source() {
        let text = """
            static long box_read(int box);
            SYSCALL_DEFINE1(box, int, box)
            SYSCALL_DEFINE0(box_get)
            COMPAT_SYSCALL_DEFINE2( box, int, a, int, b)
            """
        let expected = """
            static long box_read(int box);
            SYSCALL_DEFINE1(chest, int, box)
            SYSCALL_DEFINE0(box_get)
            COMPAT_SYSCALL_DEFINE2( chest, int, a, int, b)
            """
        #expect(rename.inSource(text) == expected)
    }

    @Test("in a suite the numbers change")
    func suite() {
        #expect(
            rename.inSuite("syscall(__NR_box, box); __NR_ia32_box, __NR_box_get, M.__NR_box")
                == "syscall(__NR_chest, box); __NR_ia32_chest, __NR_box_get, M.__NR_chest")
        #expect(rename.inContract("# box\n`box` box_get mailbox box.") == "# chest\n`chest` box_get mailbox chest.")
        #expect(rename.inSuite("") == "")
    }
}
