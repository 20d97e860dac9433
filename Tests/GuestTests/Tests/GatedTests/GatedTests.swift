// SPDX-License-Identifier: Apache-2.0
import Glibc
import SyscallNumbers
import SyscallTesting
import Testing

@Suite("gated")
struct GatedTests {
    /// CAP_SYS_ADMIN, CAP_SYS_BOOT and CAP_SYS_NICE in linux/capability.h.
    private static let (systemAdmin, systemBoot, systemNice) = (21, 22, 23)

    @Test("root, with every capability, gets 0")
    func allowed() throws {
        #expect(try syscall(__NR_gated) == 0)
    }

    @Test("without CAP_SYS_BOOT it is EPERM")
    func denied() {
        #expect(throws: Errno.EPERM) { try withoutCapability(Self.systemBoot) { try syscall(__NR_gated) } }
    }

    @Test("another user, without capabilities, gets EPERM")
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

    @Test("CAP_SYS_BOOT alone is enough, also for a user who is not root", arguments: [nil, 1000] as [UInt32?])
    func alone(user: UInt32?) throws {
        #expect(try withCapabilities([Self.systemBoot], user: user) { try syscall(__NR_gated) } == 0)
    }

    @Test("all other capabilities together are not")
    func others() {
        let others = [Self.systemAdmin] + (0..<Self.systemBoot) + (Self.systemNice...40)
        #expect(throws: Errno.EPERM) { try withCapabilities(others) { try syscall(__NR_gated) } }
    }

    @Test("a capability that is permitted but not effective does not count")
    func permitted() {
        #expect(throws: Errno.EPERM) {
            try withCapabilities([], permitted: [Self.systemBoot]) { try syscall(__NR_gated) }
        }
    }

    @Test("dropping it on one thread does not affect the others")
    func leavesNothingBehind() throws {
        _ = try? withoutCapability(Self.systemBoot) { try syscall(__NR_gated) }
        #expect(try syscall(__NR_gated) == 0)
    }
}
