import Glibc
import SyscallNumbers
import SyscallTesting
import Testing

@Suite("six_args and no_args")
struct SixArgsTests {
    @Test("every argument arrives whole, in its place")
    func whole() throws {
        let values: [UInt] = [0x1111_2222_3333_4444, .max, 0, 0x8000_0000_0000_0000, 0x7FFF_FFFF_FFFF_FFFF]
        var seen = [UInt](repeating: 0, count: 7)
        var address: UInt = 0
        let count = try seen.withUnsafeMutableBytes { out in
            address = UInt(bitPattern: out.baseAddress)
            return try syscall(
                __NR_six_args, values[0], values[1], values[2], values[3], values[4], out.baseAddress)
        }
        #expect(count == 6)
        #expect(seen == values + [address, 0])
    }

    @Test("a bad address is EFAULT", arguments: BadPointer.allCases)
    func badAddress(pointer: BadPointer) {
        #expect(throws: Errno.EFAULT) { try syscall(__NR_six_args, 1, 2, 3, 4, 5, pointer.address) }
    }

    @Test("no_args returns the process id, whatever lies in the registers")
    func noArguments() throws {
        #expect(try syscall(__NR_no_args) == Int(getpid()))
        #expect(try syscall(__NR_no_args, 1, 2, 3, 4, 5, 6) == Int(getpid()))
    }
}
