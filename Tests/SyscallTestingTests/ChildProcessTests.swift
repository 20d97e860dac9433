// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Testing

@testable import SyscallTesting

@Suite("Child processes", .timeLimit(.minutes(30)))
struct ChildProcessTests {
    // x86-64 numbers from asm/unistd_64.h.
    private static let (getpid, kill, getuid): (Int32, Int32, Int32) = (39, 62, 102)

    @Test("a child's status is returned", arguments: [Int32(0), 1, 42, 255])
    func status(status: Int32) throws {
        #expect(try ChildProcess { status }.wait() == .exited(status))
    }

    @Test("the signal that ends a child is returned")
    func signal() throws {
        let killed = try ChildProcess {
            Int32(truncatingIfNeeded: rawSyscall(Self.kill, rawSyscall(Self.getpid), Int(SIGKILL)))
        }
        #expect(try killed.wait() == .signaled(SIGKILL))
        #expect(try ChildProcess { abort() }.wait() == .signaled(SIGABRT))
    }

    @Test("a child is a separate process")
    func ownProcess() throws {
        let counters = try SharedCounters(count: 1)
        let pointer = counters.pointer
        let child = try ChildProcess {
            pointer.pointee.store(rawSyscall(Self.getpid), ordering: .sequentiallyConsistent)
            return 0
        }
        #expect(try child.wait() == .exited(0))
        #expect(counters[0] == Int(child.pid))
        #expect(child.pid != Glibc.getpid())
    }

    @Test("children count together in shared memory")
    func shared() throws {
        let counters = try SharedCounters(count: 2)
        let pointer = counters.pointer
        let children = try (0..<4).map { _ in
            try ChildProcess {
                for _ in 0..<1000 { pointer[1].add(1, ordering: .sequentiallyConsistent) }
                return 0
            }
        }
        for child in children { #expect(try child.wait() == .exited(0)) }
        #expect(counters[0] == 0)
        #expect(counters[1] == 4000)
    }

    @Test("a child runs as another user, if permitted, and the parent's user does not change")
    func user() throws {
        let before = geteuid()
        let child = try ChildProcess(user: 65_534) { rawSyscall(Self.getuid) == 65_534 ? 0 : 1 }
        // Without the privilege to change its user the child gives up rather than go on as the wrong one.
        #expect(try child.wait() == (before == 0 ? .exited(0) : .signaled(SIGABRT)))
        #expect(geteuid() == before)
    }

    @Test("waiting twice is an error")
    func waitedFor() throws {
        let child = try ChildProcess { 0 }
        #expect(try child.wait() == .exited(0))
        #expect(throws: Errno(ECHILD)) { try child.wait() }
    }
}
