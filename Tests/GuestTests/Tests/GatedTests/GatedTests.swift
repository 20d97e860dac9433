import Glibc
import SyscallNumbers
import SyscallTesting
import Testing

@Suite("gated")
struct GatedTests {
    /// CAP_SYS_BOOT and CAP_SYS_NICE in linux/capability.h.
    private static let (systemBoot, systemNice) = (22, 23)

    @Test("root, who has every capability, may")
    func allowed() throws {
        #expect(try syscall(__NR_gated) == 0)
    }

    @Test("without CAP_SYS_BOOT it is EPERM")
    func denied() {
        #expect(throws: Errno.EPERM) { try withoutCapability(Self.systemBoot) { try syscall(__NR_gated) } }
    }

    @Test("another user, who has no capability, gets EPERM")
    func otherUser() throws {
        let child = try ChildProcess(user: 1000) { rawSyscall(__NR_gated) == -Int(EPERM) ? 0 : 1 }
        #expect(try child.wait() == .exited(0))
    }

    @Test("a child of root is still root")
    func child() throws {
        let child = try ChildProcess { rawSyscall(__NR_gated) == 0 ? 0 : 1 }
        #expect(try child.wait() == .exited(0))
    }

    @Test("another capability does not matter")
    func otherCapability() throws {
        #expect(try withoutCapability(Self.systemNice) { try syscall(__NR_gated) } == 0)
    }

    @Test("dropping it on one thread leaves the others alone")
    func leavesNothingBehind() throws {
        _ = try? withoutCapability(Self.systemBoot) { try syscall(__NR_gated) }
        #expect(try syscall(__NR_gated) == 0)
    }
}
