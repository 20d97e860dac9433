// SPDX-License-Identifier: Apache-2.0
import SyscallTesting
import Testing

@Suite("unused system-call numbers")
struct UnregisteredTests {
    @Test("they are ENOSYS", arguments: [Int32(335), 500, 511, 600, 4095, .max, -1])
    func unregistered(number: Int32) {
        #expect(throws: Errno.ENOSYS) { try syscall(number) }
    }
}
