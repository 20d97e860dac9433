// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import VirtualMachine

@Suite("User-mode Linux's management console", .timeLimit(.minutes(30)))
struct ManagementConsoleTests {
    @Test("a command is magic, version, length, and a field of 512 bytes")
    func encoding() {
        let bytes = ManagementConsole.encode("sysrq p")
        #expect(bytes.count == 12 + 512)
        #expect(bytes.prefix(12) == [0xBE, 0xBA, 0xFE, 0xCA, 2, 0, 0, 0, 7, 0, 0, 0])
        #expect(bytes[12..<19].elementsEqual("sysrq p".utf8))
        #expect(bytes[19...].allSatisfy { $0 == 0 })
        // The kernel wants room for a NUL.
        #expect(ManagementConsole.encode(String(repeating: "x", count: 600)).count == 12 + 512)
    }
}
