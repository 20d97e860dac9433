// SPDX-License-Identifier: Apache-2.0
import SyscallNumbers
import SyscallTesting

/// The message box's two calls.
enum Msgbox {
    static func put(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { _ = try put($0.baseAddress, $0.count) }
    }

    @discardableResult
    static func put(_ address: UnsafeRawPointer?, _ count: Int) throws -> Int {
        try syscall(__NR_dm510_msgbox_put, address, count)
    }

    @discardableResult
    static func get(_ address: UnsafeMutableRawPointer?, _ count: Int) throws -> Int {
        try syscall(__NR_dm510_msgbox_get, address, count)
    }

    /// Receives one message of at most `capacity` bytes.
    static func get(capacity: Int = 4096) throws -> [UInt8] {
        var buffer = [UInt8](repeating: 0xA5, count: max(capacity, 1))
        let length = try buffer.withUnsafeMutableBytes { try get($0.baseAddress, capacity) }
        return Array(buffer.prefix(min(length, capacity)))
    }

    /// Takes out whatever an earlier test left behind.
    static func drain() throws {
        var scratch: UInt8 = 0
        while true {
            do {
                try get(&scratch, 0)
            } catch Errno.ENODATA {
                return
            }
        }
    }
}
