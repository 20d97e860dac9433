// SPDX-License-Identifier: Apache-2.0
import CProcess
import Glibc

/// What became of a command, and what it took.
public struct Measured: Sendable {
    /// The exit code; a signal counts as 128 + its number, as shells report it.
    public var code: Int32
    /// Whether it was ended at its limit.
    public var reachedLimit = false
    /// Seconds from its start to its end.
    public var wall: Double
    /// CPU seconds, user and system, of it and of the descendants that were waited for.
    public var cpu: Double
    /// Seconds that its first guest lived, when that was watched and there was one.
    public var guestWall: Double?
    /// The most memory in MiB that it and its descendants held beside guests' RAM, when that was watched.
    public var peakMemory: Double?
    /// The most memory in MiB that the process itself ever held, when memory was watched.
    public var ownPeakMemory: Double?
    /// What it wrote to standard output.
    public var output: String
    /// What it wrote to standard error.
    public var errors: String

    /// The wall time that the guest had no part in.
    public var beyondGuest: Double? { guestWall.map { wall - $0 } }
}

extension Invocation {
    /// How often a guest is looked for: its start is known to within this. A look takes a tenth of it.
    private static let lookInterval: Int32 = 2
    /// How often memory is sampled.
    private static let sampleInterval: Int32 = 20

    /// Runs the command to its end.
    ///
    /// One thread does it all: it sleeps until a process ends, and in between looks around when something is watched.
    ///
    /// - Parameter folder: Where the output is kept meanwhile: files cost the command no reader.
    /// - Throws: `RunError` when it cannot be started.
    public func run(keepingOutputIn folder: String) throws -> Measured {
        let (outputPath, errorsPath) = (folder + "/output", folder + "/errors")
        let start = Self.now()
        let pid = try spawn(outputPath, errorsPath)
        let process = bench_pidfd_open(pid)
        defer { close(process) }
        var measured = Measured(code: 0, wall: 0, cpu: 0, output: "", errors: "")
        observe(pid, process, from: start, &measured)

        var status: Int32 = 0
        var usage = rusage()
        while wait4(pid, &status, 0, &usage) < 0, errno == EINTR {}
        measured.wall = Self.now() - start
        measured.cpu = Self.seconds(usage.ru_utime) + Self.seconds(usage.ru_stime)
        let signal = status & 0x7F
        measured.code = signal == 0 ? (status >> 8) & 0xFF : 128 + signal
        measured.output = String(decoding: ProcessTree.read(outputPath) ?? [], as: UTF8.self)
        measured.errors = String(decoding: ProcessTree.read(errorsPath) ?? [], as: UTF8.self)
        return measured
    }

    /// Watches the process until it has ended, at the latest a little after its limit.
    private func observe(_ pid: pid_t, _ process: Int32, from start: Double, _ measured: inout Measured) {
        var guest: (descriptor: Int32, start: Double)?
        defer { if let guest { close(guest.descriptor) } }
        while true {
            var polled = [pollfd(fd: process, events: Int16(POLLIN), revents: 0)]
            if let guest, measured.guestWall == nil {
                polled.append(pollfd(fd: guest.descriptor, events: Int16(POLLIN), revents: 0))
            }
            let interval: Int32 =
                switch watch {
                case .guest where guest == nil: Self.lookInterval
                case .memory: Self.sampleInterval
                default: 1000
                }
            poll(&polled, nfds_t(polled.count), interval)
            let now = Self.now()
            if polled.count > 1, polled[1].revents != 0, let guest { measured.guestWall = now - guest.start }
            if polled[0].revents != 0 { return }
            if now - start > limit {
                end(pid, process)
                measured.reachedLimit = true
                return
            }
            switch watch {
            case .guest where guest == nil:
                let found = ProcessTree.family(of: pid).first { ProcessTree.isGuest(ProcessTree.arguments(of: $0)) }
                if let found {
                    let descriptor = bench_pidfd_open(found)
                    if descriptor >= 0 { guest = (descriptor, Self.now()) }
                }
            case .memory:
                let all = Double(ProcessTree.memory(of: ProcessTree.family(of: pid))) / 1024
                measured.peakMemory = max(measured.peakMemory ?? 0, all)
                if let own = ProcessTree.peakResident(of: pid) { measured.ownPeakMemory = Double(own) / 1024 }
            default: break
            }
        }
    }

    /// Ends the process: kindly, so that it takes its children along, and then with all its descendants by their IDs.
    private func end(_ pid: pid_t, _ process: Int32) {
        kill(pid, SIGTERM)
        var polled = pollfd(fd: process, events: Int16(POLLIN), revents: 0)
        guard poll(&polled, 1, 10_000) <= 0 else { return }
        for member in ProcessTree.family(of: pid).reversed() { kill(member, SIGKILL) }
    }

    private func spawn(_ output: String, _ errors: String) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let flags = O_WRONLY | O_CREAT | O_TRUNC
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output, flags, 0o600)
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, errors, flags, 0o600)
        bench_add_chdir(&actions, directory)
        // A thread of a runtime's may have signals blocked or ignored, and a child would have them so too.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var (none, all) = (sigset_t(), sigset_t())
        sigemptyset(&none)
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        var variables = Self.ownEnvironment()
        variables.merge(environment) { $1 }
        var argv: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] = variables.map { strdup("\($0)=\($1)") } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var pid: pid_t = 0
        let code = posix_spawnp(&pid, words[0], &actions, &attributes, &argv, &envp)
        guard code == 0 else { throw RunError("cannot start \(words[0]): \(String(cString: strerror(code)))") }
        return pid
    }

    private static func ownEnvironment() -> [String: String] {
        var variables: [String: String] = [:]
        for line in (ProcessTree.read("/proc/self/environ") ?? []).split(separator: 0) {
            let text = String(decoding: line, as: UTF8.self)
            if let equals = text.firstIndex(of: "=") {
                variables[String(text[..<equals])] = String(text[text.index(after: equals)...])
            }
        }
        return variables
    }

    private static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private static func seconds(_ time: timeval) -> Double {
        Double(time.tv_sec) + Double(time.tv_usec) / 1e6
    }
}
