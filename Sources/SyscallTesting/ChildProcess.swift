// SPDX-License-Identifier: Apache-2.0
import CSyscall
import Glibc
import Synchronization

/// A process forked from this one, for tests that need another process: calls by another user, calls that end the
/// process, or several processes at once.
///
///     let child = try ChildProcess(user: 1000) { rawSyscall(__NR_gated) == -Int(EPERM) ? 0 : 1 }
///     #expect(try child.wait() == .exited(0))
///
/// A fork copies only one thread, and locks held by other threads stay locked forever. So the child's body must not
/// allocate, print, throw or use a class, an array or a string: it makes calls with `rawSyscall`, computes with
/// integers and pointers, and returns its exit status. It passes results to the parent by that status or through
/// `SharedCounters`.
public struct ChildProcess: Sendable {
    /// How a process ended.
    public enum Ending: Sendable, Hashable {
        /// It exited with this status, from 0 to 255.
        case exited(Int32)
        /// This signal ended it.
        case signaled(Int32)
    }

    /// Its process id.
    public let pid: Int32

    /// Forks a child that runs `body` and ends with the status that it returns.
    ///
    /// - Parameters:
    ///   - user: The user and group id that the child runs as, without supplementary groups and so without
    ///     capabilities; nil for the parent's. A child that cannot change to that user ends by SIGABRT.
    ///   - body: The child's code. See the type's description for what it must not do.
    /// - Throws: `Errno` when the process cannot be forked.
    public init(user: UInt32? = nil, _ body: () -> Int32) throws(Errno) {
        let pid = kbuild_fork()
        guard pid >= 0 else { throw Errno(errno) }
        if pid == 0 {
            if let user, !Self.becomes(Int(user)) { abort() }
            // Not exit(), which would flush the parent's buffers and run its handlers.
            _exit(body())
        }
        self.pid = pid
    }

    /// Groups first, because only a privileged user may change them. The numbers are of x86-64, asm/unistd_64.h.
    private static func becomes(_ user: Int) -> Bool {
        let (setgroups, setresgid, setresuid): (Int32, Int32, Int32) = (116, 119, 117)
        return rawSyscall(setgroups, 0, 0) == 0 && rawSyscall(setresgid, user, user, user) == 0
            && rawSyscall(setresuid, user, user, user) == 0
    }

    /// Waits until the process has ended, and returns how. Call it once.
    ///
    /// - Throws: `Errno` when there is no such child.
    public func wait() throws(Errno) -> Ending {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 {
            guard errno == EINTR else { throw Errno(errno) }
        }
        // The layout of a wait status: the signal's number in the low seven bits, else the exit status in the next
        // byte.
        let signal = status & 0x7F
        return signal == 0 ? .exited(status >> 8 & 0xFF) : .signaled(signal)
    }
}

/// Integers that this process shares with the children that it forks afterwards, all zero at first.
public final class SharedCounters: Sendable {
    private nonisolated(unsafe) let base: UnsafeMutablePointer<Atomic<Int>>
    /// The number of integers.
    public let count: Int

    /// Maps memory for `count` integers.
    ///
    /// - Throws: `Errno` when there is none.
    public init(count: Int) throws(Errno) {
        let size = max(count, 1) * MemoryLayout<Atomic<Int>>.stride
        guard
            let mapping = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
            mapping != MAP_FAILED
        else { throw Errno(errno) }
        base = mapping.bindMemory(to: Atomic<Int>.self, capacity: count)
        for index in 0..<count { (base + index).initialize(to: Atomic(0)) }
        self.count = count
    }

    deinit {
        munmap(base, max(count, 1) * MemoryLayout<Atomic<Int>>.stride)
    }

    /// The integers, for a child: valid as long as this object lives in the parent.
    public var pointer: UnsafeMutablePointer<Atomic<Int>> { base }

    /// The integer at `index`, from 0.
    public subscript(index: Int) -> Int {
        precondition((0..<count).contains(index), "there is no counter \(index)")
        return base[index].load(ordering: .sequentiallyConsistent)
    }
}
