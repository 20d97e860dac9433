// SPDX-License-Identifier: Apache-2.0
import CSyscall

/// The largest error number that the kernel returns in place of a result (MAX_ERRNO in include/linux/err.h).
private let largestErrno = 4095

/// An argument of a system call: a number, a pointer, or memory that lives for the duration of the call: a string with
/// a final NUL, or an array of numbers. Write `&variable` or `&array` for memory that the kernel writes to.
public protocol SyscallArgument {
    /// Calls `body` with the bits for the register. An address is valid until `body` returns.
    func withSyscallArgument<Result>(_ body: (Int) -> Result) -> Result
}

/// An argument that is passed directly in a register.
public protocol SyscallRegister: SyscallArgument {
    /// The bits for the register.
    var syscallArgument: Int { get }
}

extension SyscallRegister {
    /// Calls `body` with `syscallArgument`.
    public func withSyscallArgument<Result>(_ body: (Int) -> Result) -> Result { body(syscallArgument) }
}

extension String: SyscallArgument {
    /// Calls `body` with the address of a copy in UTF-8 that ends with a NUL.
    public func withSyscallArgument<Result>(_ body: (Int) -> Result) -> Result {
        withCString { body(Int(bitPattern: $0)) }
    }
}
extension Array: SyscallArgument where Element: FixedWidthInteger {
    /// Calls `body` with the address of the elements; for an empty array the address is not NULL. The kernel may only
    /// read there.
    public func withSyscallArgument<Result>(_ body: (Int) -> Result) -> Result {
        withUnsafeBufferPointer { body(Int(bitPattern: $0.baseAddress)) }
    }
}

extension FixedWidthInteger {
    /// The number itself, sign-extended or zero-extended by its own type, as C does for a `long`.
    public var syscallArgument: Int { Int(truncatingIfNeeded: self) }
}
extension Int: SyscallRegister {}
extension UInt: SyscallRegister {}
extension Int8: SyscallRegister {}
extension UInt8: SyscallRegister {}
extension Int16: SyscallRegister {}
extension UInt16: SyscallRegister {}
extension Int64: SyscallRegister {}
extension UInt64: SyscallRegister {}
extension Int32: SyscallRegister {}
extension UInt32: SyscallRegister {}

extension UnsafeRawPointer: SyscallRegister {
    /// The address.
    public var syscallArgument: Int { Int(bitPattern: self) }
}
extension UnsafeMutableRawPointer: SyscallRegister {
    /// The address.
    public var syscallArgument: Int { Int(bitPattern: self) }
}
extension UnsafePointer: SyscallRegister {
    /// The address.
    public var syscallArgument: Int { Int(bitPattern: self) }
}
extension UnsafeMutablePointer: SyscallRegister {
    /// The address.
    public var syscallArgument: Int { Int(bitPattern: self) }
}
extension Optional: SyscallArgument where Wrapped: SyscallRegister {}
extension Optional: SyscallRegister where Wrapped: SyscallRegister {
    /// The value's bits, or zero, so that a nil pointer is NULL.
    public var syscallArgument: Int { self?.syscallArgument ?? 0 }
}

/// Makes a raw system call and returns the result register: the result, or a negated error number. It neither allocates
/// nor throws, so a child process may use it (`ChildProcess`); elsewhere `syscall` is more convenient.
public func rawSyscall(_ number: Int32, _ a: Int = 0, _ b: Int = 0, _ c: Int = 0) -> Int {
    kbuild_syscall6(Int(number), a, b, c, 0, 0, 0)
}

/// Makes a raw system call and returns its result.
///
///     try syscall(__NR_box_put, "a message", 10)
///     var bytes = [UInt8](repeating: 0, count: 16)
///     let received = try syscall(__NR_box_get, &bytes, bytes.count)
///
/// - Parameters:
///   - number: The call's number, from the generated `SyscallNumbers` module.
///   - arguments: At most six, in the call's order; missing ones are 0. Numbers, pointers, strings, arrays, and
///     `&variable` or `&array` for memory that the kernel writes to.
/// - Throws: `Errno` when the kernel returns an error.
@discardableResult
public func syscall(_ number: Int32, _ arguments: any SyscallArgument...) throws(Errno) -> Int {
    try call(number, arguments)
}

/// Makes a raw system call with its arguments in memory and registers.
func call(_ number: Int32, _ arguments: [any SyscallArgument]) throws(Errno) -> Int {
    precondition(arguments.count <= 6, "a system call takes at most six arguments")
    var registers = [0, 0, 0, 0, 0, 0]
    /// Each argument's memory is valid until the nested call has returned.
    func pass(_ index: Int) -> Int {
        guard index < arguments.count else {
            return kbuild_syscall6(
                Int(number), registers[0], registers[1], registers[2], registers[3], registers[4], registers[5])
        }
        return arguments[index].withSyscallArgument { bits in
            registers[index] = bits
            return pass(index + 1)
        }
    }
    return try checked(pass(0))
}

/// Makes a system call as a 32-bit program does, by `int 0x80`, and returns its result. The kernel treats the arguments
/// as those of a 32-bit program, so its compat entries can be tested. Memory for the call must have a 32-bit program's
/// layout and be below 4 GiB: `GuardedBuffer(count:isLow:)`.
///
///     let struct32 = try GuardedBuffer(count: 12, isLow: true)
///     try int80(__NR_ia32_memcpy_struct, struct32.bytes.baseAddress)
///
/// - Parameters:
///   - number: The call's number in the i386 table: `__NR_ia32_NAME` of the generated `SyscallNumbers` module.
///   - arguments: At most five, in the call's order; missing ones are 0.
/// - Throws: `Errno` when the kernel returns an error.
/// - Precondition: There are at most five arguments, and each fits 32 bits.
@discardableResult
public func int80(_ number: Int32, _ arguments: any SyscallRegister...) throws(Errno) -> Int {
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

/// Whether the kernel supports `int80`: it may be built without 32-bit programs, which user-mode Linux does not
/// support. A child process tries it, because without support the instruction ends the process.
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
