// SPDX-License-Identifier: Apache-2.0
import SyscallNumbers
import SyscallTesting
import Testing

@Suite("getProcessInfo")
struct ProcessInfoTests {
    @Test("it returns 0 and writes its line to the kernel's log once for each call, at level info")
    func hello() throws {
        var result = -1
        let log = try kernelMessages { result = try syscall(__NR_getProcessInfo) }
        #expect(result == 0)
        // 6 is KERN_INFO.
        #expect(log.filter { $0.text.contains("hey") } == [KernelMessage(level: 6, text: "getProcessInfo - hey there")])
    }

    @Test("it writes the line at every call, for any number of calls")
    func everyTime() throws {
        // More than the ten in five seconds that a rate limit lets through.
        let log = try kernelLog {
            for _ in 0..<25 {
                let result = try syscall(__NR_getProcessInfo)
                #expect(result == 0)
            }
        }
        #expect(log.filter { $0 == "getProcessInfo - hey there" }.count == 25)
    }

    @Test("without the call the log has no such line")
    func silence() throws {
        let log = try kernelLog {}
        #expect(!log.contains("getProcessInfo - hey there"))
    }
}
