// SPDX-License-Identifier: Apache-2.0
import CSyscall
import Glibc
import Synchronization

/// A process forked from this one, for what only another process can show: calls of another user, calls that end the
/// process, or several processes at once.
///
///     let child = try ChildProcess(user: 1000) { rawSyscall(__NR_gated) == -Int(EPERM) ? 0 : 1 }
///     #expect(try child.wait() == .exited(0))
///
/// A fork copies one thread and leaves locks that others hold locked for ever. So the child's body must not
/// allocate, print, throw or touch a class, an array or a string: it makes calls with `rawSyscall`, computes with
/// integers and pointers, and returns its exit status. What it finds out reaches the parent by that status or through
/// `SharedCounters`.
public struct ChildProcess: Sendable {
    /// How a process ended.
    public enum Ending: Sendable, Hashable {
        /// By itself, with this status from 0 to 255.
        case exited(Int32)
        /// By this signal.
        case signaled(Int32)
    }

    /// Its process id.
    public let pid: Int32

    /// Forks a child that runs `body` and ends with the status that it returns.
    ///
    /// - Parameters:
    ///   - user: The user and group id that the child runs as, without supplementary groups and so without
    ///     capabilities; nil for the parent's. A child that cannot become that user ends by SIGABRT.
    ///   - body: What the child does. See the type's description for what it may not do.
    /// - Throws: `Errno` when the process cannot be forked.
    public init(user: UInt32? = nil, _ body: () -> Int32) throws(Errno) {
        let pid = kbuild_fork()
        guard pid >= 0 else { throw Errno(errno) }
        if pid == 0 {
            if let user, !Self.becomes(Int(user)) { abort() }
            // Not exit(): the parent's buffers and handlers are the parent's to run.
            _exit(body())
        }
        self.pid = pid
    }

    /// Gives up groups first, as only a privileged user may. The numbers are of x86-64, asm/unistd_64.h.
    private static func becomes(_ user: Int) -> Bool {
        let (setgroups, setresgid, setresuid): (Int32, Int32, Int32) = (116, 119, 117)
        return rawSyscall(setgroups, 0, 0) == 0 && rawSyscall(setresgid, user, user, user) == 0
            && rawSyscall(setresuid, user, user, user) == 0
    }

    /// Waits until the process has ended, and says how. Call it once.
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
    /// How many there are.
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
