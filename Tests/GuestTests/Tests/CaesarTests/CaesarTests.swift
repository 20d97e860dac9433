// SPDX-License-Identifier: Apache-2.0
import SyscallNumbers
import SyscallTesting
import Testing

@Suite("caesar")
struct CaesarTests {
    /// The longest string that the call takes, as documented in kernel/caesar.
    static let bound = 4095
    static let alphabet = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 .,;-_@[`{ \u{E9}"

    private func caesar(_ text: String, op: Int32 = 0, rot: Int32) throws -> String {
        let input = Array(text.utf8) + [0]
        var output = [UInt8](repeating: 0xA5, count: input.count + 8)
        let result = try input.withUnsafeBytes { input in
            try output.withUnsafeMutableBytes { output in
                try syscall(__NR_caesar, input.baseAddress, output.baseAddress, op, rot)
            }
        }
        #expect(result == 0)
        #expect(output[input.count - 1] == 0)
        #expect(output[input.count...].allSatisfy { $0 == 0xA5 })
        return String(decoding: output[..<(input.count - 1)], as: UTF8.self)
    }

    /// The cipher again, in Swift.
    private func expected(_ text: String, _ rot: Int) -> String {
        let bytes = text.utf8.map { byte -> UInt8 in
            let first: UInt8
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"): first = UInt8(ascii: "a")
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): first = UInt8(ascii: "A")
            default: return byte
            }
            return first + UInt8(((Int(byte - first) + rot) % 26 + 26) % 26)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test(
        "letters rotate, case is kept, other bytes stay",
        arguments: [0, 1, 3, 13, 25, 26, 27, 1000, -1, -13, -27, Int32.max, .min])
    func rotations(rot: Int32) throws {
        #expect(try caesar(Self.alphabet, rot: rot) == expected(Self.alphabet, Int(rot)))
        #expect(try caesar(Self.alphabet, op: 1, rot: rot) == expected(Self.alphabet, -Int(rot)))
    }

    @Test("an encrypted string decrypts to the original", arguments: [Int32(1), 5, 100, -7])
    func roundTrip(rot: Int32) throws {
        #expect(try caesar(caesar(Self.alphabet, rot: rot), op: 1, rot: rot) == Self.alphabet)
    }

    @Test("the empty string is a string")
    func empty() throws {
        #expect(try caesar("", rot: 3).isEmpty)
    }

    @Test("a string may be rotated in place")
    func inPlace() throws {
        var text = Array("Hello".utf8) + [0]
        try text.withUnsafeMutableBytes { _ = try syscall(__NR_caesar, $0.baseAddress, $0.baseAddress, 0, 1) }
        #expect(text == Array("Ifmmp".utf8) + [0])
    }

    @Test("another operation is EINVAL, before the addresses are checked", arguments: [Int32(2), -1, .max, .min])
    func operations(op: Int32) {
        #expect(throws: Errno.EINVAL) { try caesar("text", op: op, rot: 1) }
        #expect(throws: Errno.EINVAL) { try syscall(__NR_caesar, 0, 0, op, 1) }
    }

    @Test("read-only memory is not a valid place for the result")
    func readOnlyDestination() throws {
        let target = try GuardedBuffer(count: 4)
        try target.makeReadOnly()
        let text = Array("abc\0".utf8)
        #expect(throws: Errno.EFAULT) {
            try text.withUnsafeBytes { _ = try syscall(__NR_caesar, $0.baseAddress, target.bytes.baseAddress, 0, 1) }
        }
        #expect(target.bytes.allSatisfy { $0 == 0 })
    }

    @Test("a bad address is EFAULT", arguments: BadPointer.allCases)
    func badAddresses(pointer: BadPointer) {
        var buffer = [UInt8](repeating: 0, count: 16)
        #expect(throws: Errno.EFAULT) {
            try buffer.withUnsafeMutableBytes { _ = try syscall(__NR_caesar, pointer.address, $0.baseAddress, 0, 1) }
        }
        #expect(throws: Errno.EFAULT) {
            try buffer.withUnsafeMutableBytes { _ = try syscall(__NR_caesar, $0.baseAddress, pointer.address, 0, 1) }
        }
    }

    @Test("a string that runs into an unreadable page is EFAULT; one that ends before it is not")
    func guardPage() throws {
        let buffer = try GuardedBuffer(count: 4)
        for index in 0..<4 { buffer.bytes[index] = UInt8(ascii: "a") }
        var output = [UInt8](repeating: 0, count: 16)
        #expect(throws: Errno.EFAULT) {
            try output.withUnsafeMutableBytes {
                _ = try syscall(__NR_caesar, buffer.bytes.baseAddress, $0.baseAddress, 0, 1)
            }
        }
        buffer.bytes[3] = 0
        try output.withUnsafeMutableBytes {
            _ = try syscall(__NR_caesar, buffer.bytes.baseAddress, $0.baseAddress, 0, 1)
        }
        #expect(output.prefix(4) == [98, 98, 98, 0])
    }

    @Test("the documented bound is accepted; one byte more is E2BIG")
    func bound() throws {
        let longest = String(repeating: "x", count: Self.bound)
        #expect(try caesar(longest, rot: 1) == String(repeating: "y", count: Self.bound))
        #expect(throws: Errno.E2BIG) { try caesar(longest + "x", rot: 1) }
    }
}
