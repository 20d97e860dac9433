// SPDX-License-Identifier: Apache-2.0
import Glibc
import Testing

@testable import SyscallTesting

@Suite("Kernel memory and capabilities", .timeLimit(.minutes(30)))
struct KernelMemoryTests {
    @Test("a body without a leak gives less than the limit, and runs once if the first attempt is below it")
    func growth() throws {
        var runs = 0
        let growth = try kernelMemoryGrowth(limit: .max) { runs += 1 }
        #expect(runs == 1)
        #expect(growth < .max)
    }

    @Test("a growth counts only when it is measured four times")
    func attempts() throws {
        var runs = 0
        // No growth is below this limit, so no attempt settles it.
        _ = try kernelMemoryGrowth(limit: .min) { runs += 1 }
        #expect(runs == 4)
    }

    @Test("without capabilities a privileged call is refused, on that thread only")
    func capabilities() throws {
        // chroot is 161, and needs CAP_SYS_CHROOT (18), which root's other threads keep.
        let root = Array("/\0".utf8)
        #expect(throws: Errno.EPERM) {
            try withCapabilities([]) { try root.withUnsafeBytes { try syscall(161, $0.baseAddress) } }
        }
        guard getuid() == 0 else { return }
        #expect(throws: Errno.EPERM) {
            try withoutCapability(18) { try root.withUnsafeBytes { try syscall(161, $0.baseAddress) } }
        }
        #expect(try withCapabilities([18]) { try root.withUnsafeBytes { try syscall(161, $0.baseAddress) } } == 0)
        #expect(try withCapabilities([18], user: 1000) { try syscall(102) } == 1000)
    }
}
