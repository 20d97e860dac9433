// SPDX-License-Identifier: Apache-2.0
import CInit

/// A test program that runs under PID 1, its output and events forwarded as they come.
///
/// It runs in namespaces of its own, as far as the kernel has them: what it mounts, what it leaves in /tmp, /dev/shm
/// and /run, its processes and its IPC objects end with it. A program that is held for a snapshot does not: its guest
/// runs nothing else, and a fork and five mounts more are a part of what a guest takes that wakes for one test.
struct RunningProgram {
    /// The program, or the keeper of its namespaces.
    private let process: pid_t
    private let processDescriptor: Int32
    /// Where the keeper tells how the program ended; -1 when there is none.
    private let account: Int32
    private var output: Int32
    private var events: Int32
    private var pendingEvent: [UInt8] = []

    /// The descriptor on which a Swift Testing bundle finds its event stream: the first after the standard ones.
    private static let eventDescriptor: Int32 = 3

    static func run(
        _ program: Plan.Program, index: Int, channel: inout Channel, log: inout KernelLog
    ) -> Ending {
        channel.send("start", "\(index) \(kbuild_monotonic())")
        log.coverage?.findObjects()
        let isStepped = log.coverage != nil
        guard var running = RunningProgram(program, isApart: true, isStepped: isStepped) else {
            return .notStarted(System.lastError)
        }
        return running.finish(seconds: program.seconds, index: index, channel: &channel, log: &log)
    }

    /// Sees the program through to its end, its limit counted from now.
    mutating func finish(seconds: Int, index: Int, channel: inout Channel, log: inout KernelLog) -> Ending {
        let ending = wait(seconds: seconds, index: index, channel: &channel, log: &log)
        System.endEverybody()
        drain(index: index, channel: &channel, log: &log)
        return ending
    }

    /// Whether the program has ended, without taking its end from whoever waits for it.
    var hasEnded: Bool {
        var waiting = pollfd(fd: processDescriptor, events: Int16(POLLIN), revents: 0)
        return poll(&waiting, 1, 0) > 0
    }

    /// - Parameters:
    ///   - isApart: Whether it gets namespaces of its own.
    ///   - isStepped: Whether each event that it writes waits until the one before it was read. Counters that are read
    ///     before the event that a test has ended are the test's then, and not the next one's.
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
            // An ended child of an ended parent becomes ours; a second at most passes before it is reaped.
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

    /// How the program ended, by what its keeper told.
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
        // (kernel/pid_namespace.c, reboot_pid_ns). The program asked for the machine, so the machine it is.
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
            if log.coverage != nil {
                // The counters are read while the event is still in the pipe: what comes after it waits.
                guard System.isReadable(events) else { return }
                log.coverage?.capture()
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
                // Before the host hears that the test is over, so that what the kernel did is the test's.
                if kbuild_contains(event, event.count, "\"testEnded\"") != 0 { log.sample(&channel, capturing: false) }
                channel.send("event", event)
                pendingEvent.removeSubrange(...newline)
            }
        }
    }
}

extension System {
    /// Ends every process but this one: what a program leaves behind must not disturb the next.
    static func endEverybody() {
        // From PID 1, -1 is everybody else.
        kill(-1, kbuild_sigkill)
        while waitpid(-1, nil, 0) > 0 {}
    }
}
