// SPDX-License-Identifier: Apache-2.0
import CSyscall

/// An error number of the kernel, as a Swift error that prints its symbolic name.
///
///     #expect(throws: Errno.ENODATA) { try syscall(__NR_box_get, &bytes, bytes.count) }
///
/// It has every name of Linux.
public struct Errno: Error, Hashable, Sendable, CustomStringConvertible {
    /// The positive error number.
    public let code: Int32

    /// Wraps an error number.
    public init(_ code: Int32) {
        self.code = code
    }

    /// The symbolic name, such as "EFAULT", or "errno N" for a number that the C library does not know.
    public var description: String {
        kbuild_errno_name(code).map { String(cString: $0) } ?? "errno \(code)"
    }
}

/// Allows an error number as the pattern of a catch: `catch Errno.ENODATA`.
public func ~= (pattern: Errno, error: any Error) -> Bool {
    (error as? Errno) == pattern
}
