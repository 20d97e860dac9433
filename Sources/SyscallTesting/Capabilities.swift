// SPDX-License-Identifier: Apache-2.0
import Foundation
import Synchronization

/// Runs `body` on a thread that lacks a capability. Linux has capabilities for each thread, so other threads are not
/// affected and nothing has to be restored.
///
/// - Parameters:
///   - capability: Its number, from linux/capability.h, such as 22 for CAP_SYS_BOOT.
///   - body: The code to run on that thread.
/// - Throws: `Errno` when the capability cannot be dropped; what `body` throws.
public func withoutCapability<Result: Sendable>(
    _ capability: Int, _ body: @escaping @Sendable () throws -> Result
) throws -> Result {
    try onOwnThread {
        try changeCapabilities { sets in
            for set in sets.indices { sets[set] &= ~(1 << UInt64(capability)) }
        }
        return try body()
    }
}

/// Runs `body` on a thread with only these capabilities, and optionally as another user. See `withoutCapability`.
///
///     // An ordinary user who may reboot the machine.
///     try withCapabilities([22], user: 1000) { try syscall(__NR_gated) }
///
/// - Parameters:
///   - effective: The numbers, from linux/capability.h, of the capabilities that the kernel checks.
///   - permitted: Further capabilities that the thread could make effective.
///   - user: The user id to run as; nil for the process's.
///   - body: The code to run on that thread.
/// - Throws: `Errno` when the thread's user or capabilities cannot be set; what `body` throws.
public func withCapabilities<Result: Sendable>(
    _ effective: [Int], permitted: [Int] = [], user: UInt32? = nil, _ body: @escaping @Sendable () throws -> Result
) throws -> Result {
    func bits(_ capabilities: [Int]) -> UInt64 { capabilities.reduce(0) { $0 | 1 << UInt64($1) } }
    let (effective, permitted) = (bits(effective), bits(effective) | bits(permitted))
    return try onOwnThread {
        if let user {
            // Raw calls, because the C library's functions change the user of all threads. Numbers: prctl and setresuid
            // of asm/unistd_64.h; 8 is PR_SET_KEEPCAPS of linux/prctl.h, without which a user who is not root keeps
            // none.
            try syscall(157, 8, 1)
            try syscall(117, user, user, user)
        }
        try changeCapabilities { $0 = [effective, permitted, 0] }
        return try body()
    }
}

/// Runs `body` on a thread that ends with it.
private func onOwnThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) throws -> Result {
    let outcome = Mutex<Swift.Result<Result, any Error>?>(nil)
    let done = DispatchSemaphore(value: 0)
    let thread = Thread {
        let result = Swift.Result { try body() }
        outcome.withLock { $0 = result }
        done.signal()
    }
    thread.start()
    done.wait()
    guard let result = outcome.withLock({ $0 }) else { throw Errno.EPERM }
    return try result.get()
}

/// Changes the calling thread's effective, permitted and inheritable sets, in this order, with one bit for each
/// capability.
private func changeCapabilities(_ change: (inout [UInt64]) -> Void) throws(Errno) {
    // struct __user_cap_header_struct { __u32 version; int pid; }, version 3, and two of
    // struct __user_cap_data_struct { __u32 effective, permitted, inheritable; }, the first with the capabilities up
    // to 31: linux/capability.h.
    var header: [UInt32] = [0x2008_0522, 0]
    var words = [UInt32](repeating: 0, count: 6)
    let (capget, capset): (Int32, Int32) = (125, 126)
    let read = header.withUnsafeMutableBytes { header in
        words.withUnsafeMutableBytes { words in
            Swift.Result { () throws(Errno) in try syscall(capget, header.baseAddress, words.baseAddress) }
        }
    }
    _ = try read.get()
    var sets = (0..<3).map { UInt64(words[$0]) | UInt64(words[3 + $0]) << 32 }
    change(&sets)
    for (index, set) in sets.enumerated() {
        words[index] = UInt32(truncatingIfNeeded: set)
        words[3 + index] = UInt32(truncatingIfNeeded: set >> 32)
    }
    let written = header.withUnsafeMutableBytes { header in
        words.withUnsafeMutableBytes { words in
            Swift.Result { () throws(Errno) in try syscall(capset, header.baseAddress, words.baseAddress) }
        }
    }
    _ = try written.get()
}
