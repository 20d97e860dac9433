// SPDX-License-Identifier: Apache-2.0
import CInit

/// A test program that runs under PID 1, whose output and events are forwarded at once.
///
/// It runs in its own namespaces, if the kernel has them: its mounts, its files in /tmp, /dev/shm and /run, its
/// processes and its IPC objects end with it. A program that is held for a snapshot does not, because its guest runs
/// nothing else, and a fork and five mounts would slow down a guest that is restored for one test.
struct RunningProgram {
    /// The process ID of the program, or of the keeper of its namespaces.
    private let process: pid_t
    private let processDescriptor: Int32
    /// The pipe on which the keeper reports how the program ended; -1 without a keeper.
    private let account: Int32
    private var output: Int32
    private var events: Int32
    private var pendingEvent: [UInt8] = []

    /// The descriptor on which a Swift Testing bundle finds its event stream: the first after the standard ones.
    private static let eventDescriptor: Int32 = 3

    static func run(
        _ program: Plan.Program, index: Int, channel: inout Channel, log: inout KernelLog
    ) -> Ending {
        log.coverage?.findObjects()
        guard var running = RunningProgram(program, isApart: true, isStepped: log.isStepped) else {
            return .notStarted(System.lastError)
        }
        return running.finish(seconds: program.seconds, index: index, channel: &channel, log: &log)
    }

    /// The time for killed processes to end, in nanoseconds. One that takes longer waits in the kernel, where no signal
    /// reaches it.
    private static let mostTimeToDie: Int64 = 1_500_000_000

    /// Waits for the program's end, with its limit counted from now.
    mutating func finish(seconds: Int, index: Int, channel: inout Channel, log: inout KernelLog) -> Ending {
        let ending = wait(seconds: seconds, index: index, channel: &channel, log: &log)
        if case .timedOut = ending, !System.hasStuckChild, !System.endEverybody(within: Self.mostTimeToDie) {
            channel.send("stuck", "\(index)")
        }
        System.endEverybody()
        drain(index: index, channel: &channel, log: &log)
        return ending
    }

    /// Whether the program has ended, without reaping it.
    var hasEnded: Bool {
        var waiting = pollfd(fd: processDescriptor, events: Int16(POLLIN), revents: 0)
        return poll(&waiting, 1, 0) > 0
    }

    /// - Parameters:
    ///   - isApart: Whether the program gets its own namespaces.
    ///   - isStepped: Whether each event that it writes waits until the previous one was read. Then the counters that
    ///     are read before a test's end event contain nothing of the next test.
    init?(_ program: Plan.Program, isApart: Bool, isStepped: Bool) {
        guard let output = System.pipe(), let events = System.pipe() else { return nil }
        if isStepped, kbuild_hold_one_packet(events.write) != 0 { return nil }
        var ends = [output.write, events.write]
        let process: pid_t?
        if isApart, let account = System.pipe() {
            let null = kbuild_open("/dev/null", O_RDONLY | O_CLOEXEC)
            var streams = [null, output.write, output.write, -1]
            if case .swift = program.kind { streams[3] = events.write }
            process = System.spawnApart(program, streams: streams, account: account.write)
            self.account = account.read
            ends += [account.write, null]
        } else {
            process = System.spawn(program, in: "/tmp") { actions in
                posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
                posix_spawn_file_actions_adddup2(&actions, output.write, 1)
                posix_spawn_file_actions_adddup2(&actions, output.write, 2)
                if case .swift = program.kind {
                    posix_spawn_file_actions_adddup2(&actions, events.write, Self.eventDescriptor)
                }
            }
            account = -1
        }
        let error = kbuild_errno()
        for end in ends where end >= 0 { close(end) }
        guard let process else {
            for end in [output.read, events.read, account] where end >= 0 { close(end) }
            kbuild_set_errno(error)
            return nil
        }
        self.process = process
        processDescriptor = kbuild_pidfd_open(process)
        self.output = output.read
        self.events = events.read
        _ = kbuild_set_nonblocking(output.read)
        _ = kbuild_set_nonblocking(events.read)
    }

    private mutating func wait(seconds: Int, index: Int, channel: inout Channel, log: inout KernelLog) -> Ending {
        let deadline = seconds > 0 ? kbuild_monotonic() + Int64(seconds) * 1_000_000_000 : Int64.max
        while true {
            var waiting = [
                pollfd(fd: processDescriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: output, events: Int16(POLLIN), revents: 0),
                pollfd(fd: events, events: Int16(POLLIN), revents: 0),
                pollfd(fd: log.descriptor, events: Int16(POLLIN), revents: 0),
            ]
            let left = deadline == .max ? 1000 : max(0, min(1000, (deadline - kbuild_monotonic()) / 1_000_000 + 1))
            // An orphaned zombie becomes a child of init, which reaps it within a second.
            _ = poll(&waiting, 4, processDescriptor < 0 ? 20 : Int32(left))
            if waiting[3].revents != 0 { log.forward(&channel) }
            forwardOutput(index: index, channel: &channel)
            forwardEvents(index: index, channel: &channel, log: &log)
            channel.beat()
            var status: Int32 = 0
            while true {
                let ended = waitpid(-1, &status, WNOHANG)
                if ended == process {
                    close(processDescriptor)
                    return ending(status: status)
                }
                if ended <= 0 { break }
            }
            if kbuild_monotonic() >= deadline {
                close(processDescriptor)
                return .timedOut
            }
        }
    }

    /// How the program ended, by its keeper's message.
    private func ending(status: Int32) -> Ending {
        guard account >= 0 else { return Ending(status: status) }
        defer { close(account) }
        var report = kbuild_account()
        if kbuild_read_account(account, &report) != 0 {
            if report.kind == 0 { return Ending(status: report.value) }
            kbuild_set_errno(report.value)
            return .notStarted(System.lastError)
        }
        // In a namespace of process IDs reboot(2) ends the keeper by a signal instead of the machine
        // (kernel/pid_namespace.c, reboot_pid_ns). The program meant the machine, so the machine is rebooted or ended.
        if kbuild_exited(status) == 0 {
            if kbuild_term_signal(status) == kbuild_sighup { reboot(Int32(bitPattern: UInt32(RB_AUTOBOOT))) }
            if kbuild_term_signal(status) == kbuild_sigint { reboot(Int32(bitPattern: UInt32(RB_POWER_OFF))) }
        }
        return Ending(status: status)
    }

    private mutating func drain(index: Int, channel: inout Channel, log: inout KernelLog) {
        forwardOutput(index: index, channel: &channel)
        forwardEvents(index: index, channel: &channel, log: &log)
        if !pendingEvent.isEmpty { channel.send("truncated", pendingEvent) }
        if output >= 0 { close(output) }
        if events >= 0 { close(events) }
    }

    private mutating func forwardOutput(index: Int, channel: inout Channel) {
        while output >= 0, let bytes = System.readChunk(output) {
            if bytes.isEmpty {
                close(output)
                output = -1
            } else {
                channel.send("output", bytes)
            }
        }
    }

    /// Forwards whole lines of the event stream.
    private mutating func forwardEvents(index: Int, channel: inout Channel, log: inout KernelLog) {
        while events >= 0 {
            if log.isStepped {
                // The counters are read while the event is still in the pipe, which blocks the next event.
                guard System.isReadable(events) else { return }
                log.capture()
            }
            guard let bytes = System.readChunk(events) else { return }
            if bytes.isEmpty {
                close(events)
                events = -1
                return
            }
            pendingEvent += bytes
            while let newline = pendingEvent.firstIndex(of: UInt8(ascii: "\n")) {
                let event = Array(pendingEvent[..<newline])
                // Sent before the host learns of the test's end, so that the kernel's messages belong to the test.
                if kbuild_contains(event, event.count, "\"testEnded\"") != 0 { log.sample(&channel, capturing: false) }
                channel.send("event", event)
                pendingEvent.removeSubrange(...newline)
            }
        }
    }
}

extension System {
    /// Whether a child may stay in the kernel for ever.
    nonisolated(unsafe) static var hasStuckChild = false

    /// Ends every other process: a program's leftovers must not disturb the next program.
    static func endEverybody() {
        // From PID 1, -1 means all other processes.
        kill(-1, kbuild_sigkill)
        // A child whose call of the kernel does not return cannot be reaped.
        while waitpid(-1, nil, hasStuckChild ? WNOHANG : 0) > 0 {}
    }

    /// As `endEverybody()`, but false when some process has not ended after some nanoseconds.
    static func endEverybody(within nanoseconds: Int64) -> Bool {
        kill(-1, kbuild_sigkill)
        let deadline = kbuild_monotonic() + nanoseconds
        while true {
            let ended = waitpid(-1, nil, WNOHANG)
            // There are no more children.
            if ended < 0 { return true }
            if ended > 0 { continue }
            if kbuild_monotonic() >= deadline { return false }
            _ = poll(nil, 0, 20)
        }
    }
}
