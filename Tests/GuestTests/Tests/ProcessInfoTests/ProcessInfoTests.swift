import SyscallNumbers
import SyscallTesting
import Testing

@Suite("getProcessInfo")
struct ProcessInfoTests {
    @Test("it returns 0 and says hello in the kernel's log, once a call")
    func hello() throws {
        var result = -1
        let log = try kernelLog { result = try syscall(__NR_getProcessInfo) }
        #expect(result == 0)
        #expect(log.filter { $0 == "getProcessInfo - hey there" }.count == 1)
    }

    @Test("without the call the log has no such line")
    func silence() throws {
        let log = try kernelLog {}
        #expect(!log.contains("getProcessInfo - hey there"))
    }
}
