// SPDX-License-Identifier: Apache-2.0
// Made by Packaging/generate-syscall-testing.sh; not edited by hand.
//
// Swift takes `&variable` only for a parameter that is a pointer, so that there is a function for each choice of arguments
// that are. What has no `&` goes to the one in Syscall.swift.

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(_ number: Int32, _ a: UnsafeMutableRawPointer) throws(Errno) -> Int {
    try call(number, [a])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(_ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument) throws(Errno) -> Int {
    try call(number, [a, b])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(_ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer) throws(Errno) -> Int {
    try call(number, [a, b])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(_ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer) throws(Errno) -> Int {
    try call(number, [a, b])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(_ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: any SyscallArgument)
    throws(Errno) -> Int
{
    try call(number, [a, b, c])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(_ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument)
    throws(Errno) -> Int
{
    try call(number, [a, b, c])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(_ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer)
    throws(Errno) -> Int
{
    try call(number, [a, b, c])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: any SyscallArgument, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: any SyscallArgument, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: any SyscallArgument, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: any SyscallArgument, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: any SyscallArgument, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: any SyscallArgument, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: any SyscallArgument, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer, _ f: any SyscallArgument
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: any SyscallArgument, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: any SyscallArgument, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: any SyscallArgument, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: any SyscallArgument, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: any SyscallArgument, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: any SyscallArgument, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: any SyscallArgument, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: any SyscallArgument, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: any SyscallArgument, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: any SyscallArgument, _ e: UnsafeMutableRawPointer, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: any SyscallArgument,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: any SyscallArgument, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: any SyscallArgument, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}

/// Makes a raw system call of which some arguments are written `&variable`.
@_disfavoredOverload
@discardableResult
public func syscall(
    _ number: Int32, _ a: UnsafeMutableRawPointer, _ b: UnsafeMutableRawPointer, _ c: UnsafeMutableRawPointer,
    _ d: UnsafeMutableRawPointer, _ e: UnsafeMutableRawPointer, _ f: UnsafeMutableRawPointer
) throws(Errno) -> Int {
    try call(number, [a, b, c, d, e, f])
}
