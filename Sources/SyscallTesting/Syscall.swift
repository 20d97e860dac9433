// SPDX-License-Identifier: Apache-2.0
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
extension Int8: SyscallArgument {}
extension UInt8: SyscallArgument {}
extension Int16: SyscallArgument {}
extension UInt16: SyscallArgument {}
extension Int64: SyscallArgument {}
extension UInt64: SyscallArgument {}
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
extension UnsafePointer: SyscallArgument {
    /// The address.
    public var syscallArgument: Int { Int(bitPattern: self) }
}
extension UnsafeMutablePointer: SyscallArgument {
    /// The address.
    public var syscallArgument: Int { Int(bitPattern: self) }
}
extension Optional: SyscallArgument where Wrapped: SyscallArgument {
    /// The value's bits, or zero, so that a nil pointer is NULL.
    public var syscallArgument: Int { self?.syscallArgument ?? 0 }
}

/// Makes a raw system call and returns what the kernel left in the result register: the result, or a negated error
/// number. It neither allocates nor throws, so that a child process may use it (`ChildProcess`); elsewhere `syscall` is
/// handier.
public func rawSyscall(_ number: Int32, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0) -> Int {
    kbuild_syscall6(Int(number), a, b, c, 0, 0, 0)
}

/// Makes a raw system call and returns its result.
///
///     let received = try syscall(SyscallNumbers.__NR_dm510_msgbox_get, buffer.baseAddress, buffer.count)
///
/// - Parameters:
///   - number: The call's number, from the generated `SyscallNumbers` module.
///   - arguments: At most six, in the call's order; those left out are 0.
/// - Throws: `Errno` when the kernel returns an error.
@discardableResult
public func syscall(_ number: Int32, _ arguments: any SyscallArgument...) throws(Errno) -> Int {
    var registers = arguments.map(\.syscallArgument)
    precondition(registers.count <= 6, "a system call takes at most six arguments")
    registers += Array(repeating: 0, count: 6 - registers.count)
    let result = kbuild_syscall6(
        Int(number), registers[0], registers[1], registers[2], registers[3], registers[4], registers[5])
    return try checked(result)
}

/// Makes a system call of 32-bit programs, by `int 0x80`, and returns its result. The kernel takes the arguments for
/// those of a 32-bit program, so that its compat entries can be tested from here; what an address points at must have a
/// 32-bit program's layout and lie below 4 GiB: `GuardedBuffer(count:isLow:)`.
///
///     let struct32 = try GuardedBuffer(count: 12, isLow: true)
///     try int80(__NR_ia32_memcpy_struct, struct32.bytes.baseAddress)
///
/// - Parameters:
///   - number: The call's number in the i386 table: `__NR_ia32_NAME` of the generated `SyscallNumbers` module.
///   - arguments: At most five, in the call's order; those left out are 0.
/// - Throws: `Errno` when the kernel returns an error.
/// - Precondition: There are at most five arguments, and each fits 32 bits.
@discardableResult
public func int80(_ number: Int32, _ arguments: any SyscallArgument...) throws(Errno) -> Int {
    precondition(arguments.count <= 5, "int80 passes at most five arguments")
    var registers = arguments.map { argument in
        let bits = argument.syscallArgument
        precondition(
            UInt32(exactly: bits) != nil || Int32(exactly: bits) != nil, "an argument of int80 has more than 32 bits")
        return UInt32(truncatingIfNeeded: bits)
    }
    registers += Array(repeating: 0, count: 5 - registers.count)
    let result = kbuild_int80(
        UInt32(bitPattern: number), registers[0], registers[1], registers[2], registers[3], registers[4])
    return try checked(result)
}

/// Whether the kernel serves `int80`: it may be built without 32-bit programs, and user-mode Linux has none. A child
/// process tries, since the instruction then ends the process.
public let isInt80Available: Bool = {
    let child = try? ChildProcess {
        // getpid: 20 in the i386 table, 39 in the x86-64 one.
        kbuild_int80(20, 0, 0, 0, 0, 0) == rawSyscall(39) ? 0 : 1
    }
    return (try? child?.wait()) == .exited(0)
}()

private func checked(_ result: Int) throws(Errno) -> Int {
    if result < 0, result >= -largestErrno { throw Errno(Int32(-result)) }
    return result
}
