import Foundation
import Synchronization

/// Runs `body` on a thread that lacks a capability. Linux keeps capabilities by thread, so nothing else is touched and
/// there is nothing to put back.
///
/// - Parameter capability: Its number, from linux/capability.h, such as 22 for CAP_SYS_BOOT.
/// - Throws: `Errno` when the capability cannot be dropped; what `body` throws.
public func withoutCapability<Result: Sendable>(
    _ capability: Int, _ body: @escaping @Sendable () throws -> Result
) throws -> Result {
    let outcome = Mutex<Swift.Result<Result, any Error>?>(nil)
    let done = DispatchSemaphore(value: 0)
    let thread = Thread {
        let result = Swift.Result {
            try dropCapability(capability)
            return try body()
        }
        outcome.withLock { $0 = result }
        done.signal()
    }
    thread.start()
    done.wait()
    guard let result = outcome.withLock({ $0 }) else { throw Errno.EPERM }
    return try result.get()
}

/// Takes a capability from the calling thread's effective, permitted and inheritable sets.
private func dropCapability(_ capability: Int) throws(Errno) {
    // struct __user_cap_header_struct { __u32 version; int pid; }, version 3, and two of
    // struct __user_cap_data_struct { __u32 effective, permitted, inheritable; }: linux/capability.h.
    var header: [UInt32] = [0x2008_0522, 0]
    var data = [UInt32](repeating: 0, count: 6)
    let (capget, capset): (Int32, Int32) = (125, 126)
    let result = header.withUnsafeMutableBytes { header in
        data.withUnsafeMutableBytes { data in
            Swift.Result { () throws(Errno) in
                _ = try syscall(capget, header.baseAddress, data.baseAddress)
                for set in 0..<3 {
                    let offset = (capability / 32 * 3 + set) * 4
                    let word = data.load(fromByteOffset: offset, as: UInt32.self)
                    data.storeBytes(of: word & ~(1 << UInt32(capability % 32)), toByteOffset: offset, as: UInt32.self)
                }
                _ = try syscall(capset, header.baseAddress, data.baseAddress)
            }
        }
    }
    try result.get()
}
