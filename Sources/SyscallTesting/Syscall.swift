import CSyscall

/// The largest error number that the kernel returns in place of a result (MAX_ERRNO in include/linux/err.h).
private let largestErrno = 4095

/// What a system call can take for an argument: anything that fits a register.
public protocol SyscallArgument {
    /// The bits that go into the register.
    var syscallArgument: Int { get }
}

extension FixedWidthInteger {
    /// The number itself, sign-extended or zero-extended by its own type, as C does for a `long`.
    public var syscallArgument: Int { Int(truncatingIfNeeded: self) }
}
extension Int: SyscallArgument {}
extension UInt: SyscallArgument {}
extension Int32: SyscallArgument {}
extension UInt32: SyscallArgument {}

extension UnsafeRawPointer: SyscallArgument {
    /// The address.
    public var syscallArgument: Int { Int(bitPattern: self) }
}
extension UnsafeMutableRawPointer: SyscallArgument {
    /// The address.
    public var syscallArgument: Int { Int(bitPattern: self) }
}
extension Optional: SyscallArgument where Wrapped: SyscallArgument {
    /// The value's bits, or zero, so that a nil pointer is NULL.
    public var syscallArgument: Int { self?.syscallArgument ?? 0 }
}

/// Makes a raw system call and returns its result.
///
///     let received = try syscall(SyscallNumbers.__NR_dm510_msgbox_get, buffer.baseAddress, buffer.count)
///
/// - Parameter number: The call's number, from the generated `SyscallNumbers` module.
/// - Throws: `Errno` when the kernel returns an error.
@discardableResult
public func syscall(_ number: Int32, _ arguments: any SyscallArgument...) throws(Errno) -> Int {
    var registers = arguments.map(\.syscallArgument)
    precondition(registers.count <= 6, "a system call takes at most six arguments")
    registers += Array(repeating: 0, count: 6 - registers.count)
    let result = kbuild_syscall6(
        Int(number), registers[0], registers[1], registers[2], registers[3], registers[4], registers[5])
    if result < 0, result >= -largestErrno { throw Errno(Int32(-result)) }
    return result
}
