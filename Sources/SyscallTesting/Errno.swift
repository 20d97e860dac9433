// SPDX-License-Identifier: Apache-2.0
import CSyscall
import Glibc

/// An error number of the kernel, as a Swift error that prints its symbolic name.
///
///     #expect(throws: Errno.ENODATA) { try syscall(number, ...) }
public struct Errno: Error, Hashable, Sendable, CustomStringConvertible {
    /// The positive error number.
    public let code: Int32

    /// Wraps an error number.
    public init(_ code: Int32) {
        self.code = code
    }

    /// Operation not permitted.
    public static let EPERM = Errno(Glibc.EPERM)
    /// Bad file descriptor.
    public static let EBADF = Errno(Glibc.EBADF)
    /// Argument list too long; used for a length beyond a documented bound.
    public static let E2BIG = Errno(Glibc.E2BIG)
    /// Out of memory.
    public static let ENOMEM = Errno(Glibc.ENOMEM)
    /// Bad address.
    public static let EFAULT = Errno(Glibc.EFAULT)
    /// Invalid argument.
    public static let EINVAL = Errno(Glibc.EINVAL)
    /// Function not implemented: no such system call.
    public static let ENOSYS = Errno(Glibc.ENOSYS)
    /// No data available.
    public static let ENODATA = Errno(Glibc.ENODATA)
    /// Message too long.
    public static let EMSGSIZE = Errno(Glibc.EMSGSIZE)
    /// Cannot assign requested address.
    public static let EADDRNOTAVAIL = Errno(Glibc.EADDRNOTAVAIL)

    /// The symbolic name, such as "EFAULT", or "errno N" for one that the C library does not know.
    public var description: String {
        kbuild_errno_name(code).map { String(cString: $0) } ?? "errno \(code)"
    }
}

/// Lets an error number stand as the pattern of a catch: `catch Errno.ENODATA`.
public func ~= (pattern: Errno, error: any Error) -> Bool {
    (error as? Errno) == pattern
}
