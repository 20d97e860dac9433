// SPDX-License-Identifier: Apache-2.0
import CSeccomp
import Diagnostics
import Glibc
import SystemPackage

/// The system calls that a confined command is refused: a seccomp filter, which bubblewrap installs right before it
/// starts the command (`bwrap --seccomp`).
///
/// Namespaces hide files, processes and networks from a command. The filter refuses what namespaces do not cover
/// (AF_VSOCK reaches the hypervisor from any network namespace) and the parts of the kernel that no build needs and
/// that have had most of the vulnerabilities. All other calls are allowed. Any call through the 32-bit or the x32 entry
/// ends the process with SIGSYS.
public enum SystemCallFilter: String, Sendable, Hashable, CaseIterable {
    /// For builds, and for tools that read what was built.
    case build
    /// For QEMU and user-mode Linux: the latter traces the processes of its guest and sets up their segments.
    case machine

    /// The result of a refused call.
    enum Refusal: Hashable {
        /// EPERM: the call is not permitted.
        case forbidden
        /// ENOSYS: the kernel lacks the call, so the caller uses a fallback.
        case missing
    }

    /// A call that is refused with any arguments.
    struct RefusedCall {
        var name: String
        var refusal: Refusal
    }

    /// Calls that are refused with any arguments.
    var refused: [RefusedCall] {
        let missing = [
            // Its flags are in memory, which a filter cannot read; glibc falls back to clone.
            "clone3",
            "io_uring_setup", "io_uring_enter", "io_uring_register", "userfaultfd",
        ]
        var forbidden = [
            // Namespaces and mounts.
            "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen",
            "fsconfig",
            "fsmount", "fspick", "mount_setattr", "open_by_handle_at",
            // Keys belong to the user and are not covered by the sandbox's namespaces.
            "add_key", "request_key", "keyctl",
            // Programs in the kernel, and tracing of it.
            "bpf", "perf_event_open", "fanotify_init", "lookup_dcookie", "syslog", "init_module", "finit_module",
            "delete_module", "kexec_load", "kexec_file_load",
            // Other processes' descriptors.
            "pidfd_getfd", "kcmp",
            // The machine.
            "reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "iopl", "ioperm", "settimeofday",
            "clock_settime", "sethostname", "setdomainname", "vhangup", "uselib",
        ]
        if self == .build { forbidden += ["ptrace", "process_vm_readv", "process_vm_writev", "modify_ldt"] }
        return missing.map { RefusedCall(name: $0, refusal: .missing) }
            + forbidden.map { RefusedCall(name: $0, refusal: .forbidden) }
    }

    /// The flags of clone that make a namespace (linux/sched.h); CLONE_NEWTIME works only with unshare and clone3.
    static let namespaceFlags: [UInt64] = [
        0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000,
    ]

    /// The allowed socket families (linux/socket.h): AF_UNIX, and AF_INET and AF_INET6 for the loopback device of the
    /// sandbox's own network.
    static let socketFamilies: [UInt64] = [1, 2, 10]

    /// The requests that insert input into a terminal (TIOCSTI) and control a virtual console (TIOCLINUX):
    /// asm-generic/ioctls.h.
    static let terminalRequests: [UInt64] = [0x5412, 0x541C]

    /// The filter as an array of `struct sock_filter`, in a file without a name.
    ///
    /// - Throws: `Failure` (`infrastructure`) when libseccomp cannot make it.
    func makeFile() throws(Failure) -> FileDescriptor {
        func checked(_ result: Int32, _ what: String) throws(Failure) {
            guard result < 0 else { return }
            throw Failure(
                .infrastructure, "the filter of system calls cannot be made: \(what)",
                details: String(cString: strerror(-result)))
        }
        guard let context = seccomp_init(SCMP_ACT_ALLOW) else {
            throw Failure(.infrastructure, "the filter of system calls cannot be made: libseccomp has no context")
        }
        defer { seccomp_release(context) }
        func add(_ call: String, _ action: UInt32, _ conditions: [scmp_arg_cmp] = []) throws(Failure) {
            let number = seccomp_syscall_resolve_name(call)
            guard number != __NR_SCMP_ERROR else {
                throw Failure(
                    .infrastructure, "libseccomp does not know the system call \(call)",
                    nextStep: "install libseccomp 2.5.4 or newer")
            }
            let result = conditions.withUnsafeBufferPointer {
                seccomp_rule_add_array(context, action, number, UInt32($0.count), $0.baseAddress)
            }
            try checked(result, call)
        }
        let forbidden = kbuild_seccomp_errno(UInt16(EPERM))
        // Calls of i386 and of x32.
        try checked(seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS), "architectures")
        for call in refused {
            try add(call.name, call.refusal == .missing ? kbuild_seccomp_errno(UInt16(ENOSYS)) : forbidden)
        }
        for flag in Self.namespaceFlags {
            try add(
                "clone", forbidden, [scmp_arg_cmp(arg: 0, op: SCMP_CMP_MASKED_EQ, datum_a: flag, datum_b: flag)])
        }
        // The kernel uses the low 32 bits of the family. A register with higher bits set is also above the last family.
        let last = Self.socketFamilies.max() ?? 0
        let unsupported = kbuild_seccomp_errno(UInt16(EAFNOSUPPORT))
        for call in ["socket", "socketpair"] {
            try add(call, unsupported, [scmp_arg_cmp(arg: 0, op: SCMP_CMP_GT, datum_a: last, datum_b: 0)])
            for family in 0..<last where !Self.socketFamilies.contains(family) {
                try add(call, unsupported, [scmp_arg_cmp(arg: 0, op: SCMP_CMP_EQ, datum_a: family, datum_b: 0)])
            }
        }
        for request in Self.terminalRequests {
            let condition = scmp_arg_cmp(arg: 1, op: SCMP_CMP_MASKED_EQ, datum_a: 0xFFFF_FFFF, datum_b: request)
            try add("ioctl", forbidden, [condition])
        }
        let descriptor = kbuild_nameless_file("kbuild-system-call-filter")
        guard descriptor >= 0 else {
            throw Failure(
                .infrastructure, "there is no memory for the filter of system calls",
                details: String(cString: strerror(errno)))
        }
        let file = FileDescriptor(rawValue: descriptor)
        do throws(Failure) {
            try checked(seccomp_export_bpf(context, descriptor), "export")
        } catch {
            try? file.close()
            throw error
        }
        return file
    }
}
