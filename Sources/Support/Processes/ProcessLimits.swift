// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import FileSystem
import Glibc

/// The limits of this process (setrlimit(2)) that kbuild cannot work within.
///
/// Libraries that kbuild uses trap or wait forever when they cannot get a descriptor or a thread, so the limits are
/// checked before any work begins.
public enum ProcessLimits {
    /// The least number of descriptors: a generous estimate for a build with one guest, not a measured need. With 16
    /// kbuild was seen to hang, with 12 to trap.
    public static let leastDescriptors: UInt64 = 128
    /// The descriptors of one guest, an estimate: its sockets, the pipes of its process and of that process's
    /// supervisor, its files.
    static let descriptorsPerGuest: UInt64 = 32
    /// The most descriptors that kbuild asks for: programs that it starts may loop over all possible descriptors.
    private static let mostDescriptors: UInt64 = 65536
    /// The least number of processes and threads that the user may still start, an estimate: kbuild's own threads,
    /// make's jobs with their compilers, QEMU's threads.
    static let leastProcesses: UInt64 = 64
    /// The least address space in bytes, with which `kbuild doctor` worked in a test. Address space is not memory: each
    /// thread has 8 MiB for its stack, and each library is mapped.
    static let leastAddressSpace: UInt64 = 2 << 30

    /// The current limits.
    struct Found: Equatable {
        var descriptors: UInt64
        /// Processes that the user may still start; nil for no limit.
        var processes: UInt64?
        var addressSpace: UInt64
    }

    /// Raises the limit on descriptors as far as that is allowed, opens standard streams that are closed, and has a
    /// file that grows beyond the limit on files fail with EFBIG instead of a signal.
    ///
    /// - Throws: `Failure` (`infrastructure`) when a limit is too low to work within.
    public static func prepare() throws(Failure) {
        openStandardStreams()
        signal(SIGXFSZ, SIG_IGN)
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur < rlim_t(mostDescriptors)
        {
            limit.rlim_cur = min(limit.rlim_max, rlim_t(mostDescriptors))
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        if let failure = failure(
            Found(
                descriptors: value(RLIMIT_NOFILE), processes: processesLeft(), addressSpace: value(RLIMIT_AS)))
        {
            throw failure
        }
    }

    /// Checks that this many guests can run at once.
    ///
    /// - Throws: `Failure` (`infrastructure`) when they would need more descriptors than the process may open.
    public static func check(guests: Int) throws(Failure) {
        let wanted = leastDescriptors + UInt64(max(0, guests)) * descriptorsPerGuest
        let descriptors = value(RLIMIT_NOFILE)
        guard descriptors < wanted else { return }
        throw Failure(
            .infrastructure, "\(guests) guests at once need \(wanted) descriptors, and kbuild may open \(descriptors)",
            nextStep: "ulimit -n \(wanted), or run fewer guests at once")
    }

    static func failure(_ found: Found) -> Failure? {
        if found.descriptors < leastDescriptors {
            return Failure(
                .infrastructure,
                "kbuild may open \(found.descriptors) files at once and needs \(leastDescriptors) (RLIMIT_NOFILE)",
                nextStep: "ulimit -n \(leastDescriptors * 8)")
        }
        if let left = found.processes, left < leastProcesses {
            return Failure(
                .infrastructure,
                "this user may start \(left) more processes and threads, and kbuild needs \(leastProcesses) (RLIMIT_NPROC)",
                nextStep: "raise the limit (ulimit -u), or end some of the user's processes")
        }
        if found.addressSpace < leastAddressSpace {
            return Failure(
                .infrastructure,
                "kbuild may map \(found.addressSpace >> 20) MiB and needs \(leastAddressSpace >> 20) MiB (RLIMIT_AS)",
                nextStep: "ulimit -v unlimited")
        }
        return nil
    }

    private static func value(_ resource: __rlimit_resource) -> UInt64 {
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0 ? UInt64(limit.rlim_cur) : .max
    }

    /// The rest of the user's limit on processes, which counts the threads of all the user's processes and does not
    /// apply to root; nil for no limit.
    private static func processesLeft() -> UInt64? {
        let limit = value(__RLIMIT_NPROC)
        // The usual limit is in the thousands, and the count takes a while.
        guard geteuid() != 0, limit < 1024 else { return nil }
        return limit - min(limit, threads(of: getuid()))
    }

    private static func threads(of user: uid_t) -> UInt64 {
        guard let folder = opendir("/proc") else { return 0 }
        defer { closedir(folder) }
        var count: UInt64 = 0
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name.allSatisfy(\.isNumber) else { continue }
            // The owner of a process's folder is its user. `task` holds a folder for each thread, beside "." and "..".
            guard let status = FileStatus("/proc/\(name)/task", followsLink: true), status.owner == user else {
                continue
            }
            count += UInt64(max(1, Int(status.links) - 2))
        }
        return count
    }

    /// Opens /dev/null in place of a closed standard stream. Otherwise the first file that kbuild opens would get its
    /// number, and output would be written to that file.
    private static func openStandardStreams() {
        for stream in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(stream, F_GETFD) < 0 && errno == EBADF {
            // The lowest number that is free, which is the stream's.
            _ = open("/dev/null", stream == STDIN_FILENO ? O_RDONLY : O_WRONLY)
        }
    }
}
