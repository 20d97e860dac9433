// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// Programs that try, in the sandbox that builds and machines get, what its filter of system calls refuses.
@Suite("system call filter", .tags(.guest), .costly, .timeLimit(.minutes(60)))
struct SystemCallFilterTests {
    private let folder: FilePath
    private let runner: CommandRunner

    init() throws {
        runner = CommandRunner(supervisor: FilePath(try Fixture.executable()))
        folder = FilePath(NSTemporaryDirectory()).appending("kbuild-filter-\(UUID().uuidString)")
        try createFolder(folder)
    }

    /// Each line of the probe's output: what was tried, and the name of the error.
    private static let probe = #"""
        #define _GNU_SOURCE
        #include <errno.h>
        #include <fcntl.h>
        #include <sched.h>
        #include <signal.h>
        #include <stdint.h>
        #include <stdio.h>
        #include <string.h>
        #include <sys/ioctl.h>
        #include <sys/socket.h>
        #include <sys/syscall.h>
        #include <sys/wait.h>
        #include <unistd.h>

        static void tell(const char *what, long result) {
            printf("%s %s\n", what, result >= 0 ? "ok" : strerrorname_np(errno));
            fflush(stdout);
        }
        #define TRY(name, ...) (errno = 0, tell(#name, syscall(SYS_##name, ##__VA_ARGS__)))
        #define FAMILY(number) (errno = 0, tell("socket-" #number, syscall(SYS_socket, number, SOCK_DGRAM, 0)))

        // How a child ends that enters the kernel by another way than x86-64's own.
        static void entry(const char *what, int is32Bit) {
            pid_t child = fork();
            if (child == 0) {
                long result = 20; // getpid of i386
                if (is32Bit) __asm__ volatile("int $0x80" : "+a"(result) : : "memory");
                else result = syscall(0x40000000 + SYS_getpid);
                _exit(result > 0 ? 0 : 1);
            }
            int status = 0;
            waitpid(child, &status, 0);
            printf("%s %s\n", what, WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : WEXITSTATUS(status) ? "failed" : "ok");
        }

        int main(void) {
            char page[4096] = {0};
            uint64_t clone_arguments[11] = {0x10000000, [4] = SIGCHLD};
            FAMILY(0); FAMILY(1); FAMILY(2); FAMILY(10); FAMILY(15); FAMILY(16); FAMILY(17); FAMILY(38); FAMILY(40); FAMILY(44);
            // The kernel looks at 32 bits alone.
            errno = 0; tell("socket-wide", syscall(SYS_socket, 0x100000000 + 40, SOCK_STREAM, 0));
            errno = 0; tell("socketpair", syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, page));
            TRY(keyctl, 0, -3, 1); TRY(add_key, "user", "x", "y", 1, -3); TRY(request_key, "user", "x", 0, -3);
            TRY(io_uring_setup, 4, page); TRY(io_uring_enter, -1, 0, 0, 0, 0, 0); TRY(io_uring_register, -1, 0, 0, 0);
            TRY(bpf, 5, page, sizeof page); TRY(perf_event_open, page, 0, -1, -1, 0); TRY(userfaultfd, 1);
            TRY(unshare, 0x10000000); TRY(unshare, 0x80); TRY(setns, -1, 0);
            errno = 0; tell("clone-user", syscall(SYS_clone, 0x10000000 | SIGCHLD, 0, 0, 0, 0));
            errno = 0; tell("clone-mount", syscall(SYS_clone, 0x00020000 | SIGCHLD, 0, 0, 0, 0));
            TRY(clone3, clone_arguments, sizeof clone_arguments);
            TRY(mount, "none", "/tmp", "tmpfs", 0, 0); TRY(umount2, "/tmp", 2); TRY(fsopen, "tmpfs", 0);
            TRY(open_tree, -100, "/tmp", 1); TRY(pivot_root, "/tmp", "/tmp"); TRY(chroot, "/tmp");
            TRY(open_by_handle_at, -100, page, 0); TRY(kexec_load, 0, 0, 0, 0); TRY(finit_module, -1, "", 0);
            TRY(pidfd_getfd, -1, 0, 0); TRY(kcmp, getpid(), getpid(), 0, 0, 0); TRY(syslog, 10, 0, 0);
            
            // PTRACE_ATTACH to a process that is not there: asking to be traced would stop this one at its next signal.
            TRY(ptrace, 16, 0x7FFFFFFF, 0, 0); TRY(process_vm_readv, getpid(), 0, 0, 0, 0, 0);
            errno = 0; tell("ioctl-tiocsti", ioctl(0, 0x5412, "x"));
            errno = 0; tell("ioctl-wide", syscall(SYS_ioctl, 0, 0x100005412, "x"));
            errno = 0; tell("fork", fork() == 0 ? (_exit(0), 0) : wait(NULL));
            entry("entry-32", 1);
            entry("entry-x32", 0);
            return 0;
        }
        """#

    /// What the probe says in the sandbox.
    ///
    /// - Parameter filter: Nil for a sandbox without one. Never outside of any: there root's calls would be made.
    private func answers(_ filter: SystemCallFilter?) async throws -> [String: String] {
        let source = folder.appending("probe.c")
        try writeAtomically(Self.probe, to: source)
        let program = folder.appending("probe")
        _ = try await runner.output(of: Command("gcc", ["-O1", "-o", program.string, source.string]))
        let sandbox = Sandbox(
            identity: Sandbox.identity(for: folder.string), readable: [program], limits: .machine,
            ownsFolders: false, filter: filter ?? .build)
        var command = sandbox.wrapping(Command(program.string), executable: program, path: "/usr/bin:/bin")
        if filter == nil {
            let option = try #require(command.arguments.firstIndex(of: "--seccomp"))
            command.arguments.removeSubrange(option...(option + 1))
            command.systemCallFilter = nil
        }
        let output = try await runner.output(of: command)
        let pairs = output.split(separator: "\n").map { $0.split(separator: " ", maxSplits: 1).map(String.init) }
        return Dictionary(
            pairs.map { ($0[0], $0.count > 1 ? $0[1] : "") }, uniquingKeysWith: { "\($0), \($1)" })
    }

    /// What both filters refuse, with the error, and what they let through.
    private static let expected: [String: String] = [
        "socket-0": "EAFNOSUPPORT", "socket-1": "ok", "socket-2": "ok", "socket-15": "EAFNOSUPPORT",
        "socket-16": "EAFNOSUPPORT", "socket-17": "EAFNOSUPPORT", "socket-38": "EAFNOSUPPORT",
        "socket-40": "EAFNOSUPPORT", "socket-44": "EAFNOSUPPORT", "socket-wide": "EAFNOSUPPORT", "socketpair": "ok",
        "keyctl": "EPERM", "add_key": "EPERM", "request_key": "EPERM",
        "io_uring_setup": "ENOSYS", "io_uring_enter": "ENOSYS", "io_uring_register": "ENOSYS",
        "bpf": "EPERM", "perf_event_open": "EPERM", "userfaultfd": "ENOSYS",
        "unshare": "EPERM, EPERM", "setns": "EPERM", "clone-user": "EPERM", "clone-mount": "EPERM", "clone3": "ENOSYS",
        "mount": "EPERM", "umount2": "EPERM", "fsopen": "EPERM", "open_tree": "EPERM", "pivot_root": "EPERM",
        "chroot": "EPERM", "open_by_handle_at": "EPERM", "kexec_load": "EPERM", "finit_module": "EPERM",
        "pidfd_getfd": "EPERM", "kcmp": "EPERM", "syslog": "EPERM", "ioctl-tiocsti": "EPERM", "ioctl-wide": "EPERM",
        "fork": "ok", "entry-32": "Bad system call", "entry-x32": "Bad system call",
    ]

    @Test(
        "each call is refused to builds and machines; forks, socket pairs and the loopback device are allowed",
        arguments: SystemCallFilter.allCases)
    func refused(filter: SystemCallFilter) async throws {
        defer { try? removeAll(folder) }
        let answers = try await answers(filter)
        for (call, expected) in Self.expected.sorted(by: { $0.key < $1.key }) {
            #expect(answers[call] == expected, "\(call)")
        }
        // User-mode Linux traces its guest's processes.
        #expect(answers["ptrace"] == (filter == .build ? "EPERM" : "ESRCH"))
        #expect((answers["process_vm_readv"] == "EPERM") == (filter == .build))
    }

    @Test("without the filter the kernel answers: the probe works, and the namespaces alone are not enough")
    func probeSees() async throws {
        defer { try? removeAll(folder) }
        let answers = try await answers(nil)
        #expect(answers["socket-16"] == "ok")
        #expect(answers["ptrace"] == "ESRCH")
        #expect(answers["clone3"] != "ENOSYS")
        #expect(answers["entry-x32"] != "Bad system call")
        for call in ["keyctl", "setns", "pidfd_getfd"] { #expect(answers[call] != "EPERM", "\(call)") }
    }
}
