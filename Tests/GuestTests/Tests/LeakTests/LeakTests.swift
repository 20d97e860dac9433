// SPDX-License-Identifier: Apache-2.0
import SyscallNumbers
import SyscallTesting
import Testing

/// Failing calls that got as far as allocating must free what they took. It takes a kernel with kmemleak, so it runs
/// with the profile `checks`.
@Suite("Leaks", .enabled(if: isKmemleakAvailable, "this kernel has no kmemleak"))
struct LeakTests {
    /// The calls that allocate, and how each fails after it did.
    enum Call: String, CaseIterable, Sendable {
        case memcpyFromBadSource, memcpyToBadDestination
        case memcpyStructFromBadSource, memcpyStructToBadDestination
        case msgboxPutFromBadAddress, msgboxGetIntoBadAddress
        case caesarFromBadAddress, caesarToBadAddress

        func fail() throws {
            let bad = BadPointer.unmapped.address
            let text = try GuardedBuffer(count: 64)
            text.bytes.initializeMemory(as: UInt8.self, repeating: 0)
            let good = text.bytes.baseAddress
            func memcpyStruct(_ source: UnsafeRawPointer?, _ destination: UnsafeRawPointer?) throws {
                let words = [Int(bitPattern: source), Int(bitPattern: destination), 64]
                _ = try words.withUnsafeBytes { try syscall(__NR_memcpy_struct, $0.baseAddress) }
            }
            #expect(throws: Errno.EFAULT) {
                switch self {
                case .memcpyFromBadSource: try syscall(__NR_memcpy, bad, good, 64)
                case .memcpyToBadDestination: try syscall(__NR_memcpy, good, bad, 64)
                case .memcpyStructFromBadSource: try memcpyStruct(bad, good)
                case .memcpyStructToBadDestination: try memcpyStruct(good, bad)
                case .msgboxPutFromBadAddress: try syscall(__NR_dm510_msgbox_put, bad, 64)
                case .msgboxGetIntoBadAddress:
                    try syscall(__NR_dm510_msgbox_put, good, 64)
                    try syscall(__NR_dm510_msgbox_get, bad, 64)
                case .caesarFromBadAddress: try syscall(__NR_caesar, bad, good, 0, 1)
                case .caesarToBadAddress: try syscall(__NR_caesar, good, bad, 0, 1)
                }
            }
        }
    }

    @Test("a call that fails does not leak memory")
    func failures() throws {
        // All in one: each question to kmemleak takes seconds.
        let leaks = try kernelLeaks {
            for _ in 0..<4 {
                for call in Call.allCases { try call.fail() }
            }
        }
        #expect(leaks.isEmpty, "\(leaks.joined(separator: "\n"))")
    }
}
