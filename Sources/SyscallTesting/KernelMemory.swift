// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Runs `body`, which should not leak, and returns by how many bytes the kernel's own memory grew meanwhile. Let it
/// repeat the calls often, so that a leak adds up to twice `limit` or more:
///
///     let growth = try kernelMemoryGrowth(limit: 8 << 20) {
///         for _ in 0..<4096 { _ = try? syscall(__NR_caesar, nil, nil, 0, 1) }
///     }
///     #expect(growth < 8 << 20)
///
/// The kernel also allocates for other processes and may keep freed memory for a while. So a growth of `limit` or more
/// must be repeatable: the least of four attempts is returned, or the first below `limit`.
///
/// It counts unreclaimable slabs and memory from vmalloc, from which kmalloc and kvmalloc allocate.
///
/// - Parameters:
///   - limit: The least growth in bytes that counts as a leak.
///   - body: The code to check for leaks.
/// - Throws: `Errno` when /proc/meminfo cannot be read; what `body` throws.
public func kernelMemoryGrowth(limit: Int, during body: () throws -> Void) throws -> Int {
    var least = Int.max
    for _ in 0..<4 where least >= limit {
        let before = try kernelMemory()
        try body()
        least = min(least, try kernelMemory() - before)
    }
    return least
}

/// The bytes that the kernel has allocated for itself.
private func kernelMemory() throws(Errno) -> Int {
    let descriptor = open("/proc/meminfo", O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Errno(errno) }
    defer { close(descriptor) }
    // About 1.5 KiB, which the kernel returns in one read if the buffer is large enough.
    var buffer = [UInt8](repeating: 0, count: 16384)
    let count = read(descriptor, &buffer, buffer.count)
    guard count >= 0 else { throw Errno(errno) }
    // "SUnreclaim:         1234 kB": Documentation/filesystems/proc.rst.
    let kibibytes = String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n").reduce(0) { sum, line in
        let words = line.split(separator: " ")
        guard words.count >= 2, ["SUnreclaim:", "VmallocUsed:"].contains(words[0]) else { return sum }
        return sum + (Int(words[1]) ?? 0)
    }
    return kibibytes << 10
}
