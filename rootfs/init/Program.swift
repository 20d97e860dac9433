import CInit

/// How a program ended, as the host reads it.
enum Ending {
    case exited(Int32)
    case signaled(Int32)
    case timedOut
    case notStarted(String)

    var payload: String {
        switch self {
        case .exited(let code): "exit \(code)"
        case .signaled(let signal): "signal \(signal)"
        case .timedOut: "timeout"
        case .notStarted(let reason): "failed \(reason)"
        }
    }

    /// The ending that waitpid tells.
    init(status: Int32) {
        self = kbuild_exited(status) != 0 ? .exited(kbuild_exit_status(status)) : .signaled(kbuild_term_signal(status))
    }
}

/// A test program that runs as a child of PID 1, its output and events forwarded as they come.
struct RunningProgram {
    private let process: pid_t
    private let processDescriptor: Int32
    private var output: Int32
    private var events: Int32
    private var pendingEvent: [UInt8] = []

    /// The descriptor on which a Swift Testing bundle finds its event stream: the first after the standard ones.
    private static let eventDescriptor: Int32 = 3

    static func run(_ program: Plan.Program, index: Int, channel: inout Channel) -> Ending {
        channel.send("start", "\(index) \(kbuild_monotonic())")
        guard var running = RunningProgram(program) else { return .notStarted(System.lastError) }
        return running.finish(seconds: program.seconds, index: index, channel: &channel)
    }

    /// Sees the program through to its end, its limit counted from now.
    mutating func finish(seconds: Int, index: Int, channel: inout Channel) -> Ending {
        let ending = wait(seconds: seconds, index: index, channel: &channel)
        System.endEverybody()
        drain(index: index, channel: &channel)
        return ending
    }

    /// Whether the program has ended, without taking its end from whoever waits for it.
    var hasEnded: Bool {
        var waiting = pollfd(fd: processDescriptor, events: Int16(POLLIN), revents: 0)
        return poll(&waiting, 1, 0) > 0
    }

    init?(_ program: Plan.Program) {
        guard let output = System.pipe(), let events = System.pipe() else { return nil }
        let process = System.spawn(program, in: "/tmp") { actions in
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
            posix_spawn_file_actions_adddup2(&actions, output.write, 1)
            posix_spawn_file_actions_adddup2(&actions, output.write, 2)
            if case .swift = program.kind {
                posix_spawn_file_actions_adddup2(&actions, events.write, Self.eventDescriptor)
            }
        }
        close(output.write)
        close(events.write)
        guard let process else {
            let error = kbuild_errno()
            close(output.read)
            close(events.read)
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

    private mutating func wait(seconds: Int, index: Int, channel: inout Channel) -> Ending {
        let deadline = seconds > 0 ? kbuild_monotonic() + Int64(seconds) * 1_000_000_000 : Int64.max
        while true {
            var waiting = [
                pollfd(fd: processDescriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: output, events: Int16(POLLIN), revents: 0),
                pollfd(fd: events, events: Int16(POLLIN), revents: 0),
            ]
            let left = deadline == .max ? 1000 : max(0, min(1000, (deadline - kbuild_monotonic()) / 1_000_000 + 1))
            // An ended child of an ended parent becomes ours; a second at most passes before it is reaped.
            _ = poll(&waiting, 3, processDescriptor < 0 ? 20 : Int32(left))
            forwardOutput(index: index, channel: &channel)
            forwardEvents(index: index, channel: &channel)
            var status: Int32 = 0
            while true {
                let ended = waitpid(-1, &status, WNOHANG)
                if ended == process {
                    close(processDescriptor)
                    return Ending(status: status)
                }
                if ended <= 0 { break }
            }
            if kbuild_monotonic() >= deadline {
                close(processDescriptor)
                return .timedOut
            }
        }
    }

    private mutating func drain(index: Int, channel: inout Channel) {
        forwardOutput(index: index, channel: &channel)
        forwardEvents(index: index, channel: &channel)
        if !pendingEvent.isEmpty { channel.send("torn", pendingEvent) }
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
    private mutating func forwardEvents(index: Int, channel: inout Channel) {
        while events >= 0, let bytes = System.readChunk(events) {
            if bytes.isEmpty {
                close(events)
                events = -1
                return
            }
            pendingEvent += bytes
            while let newline = pendingEvent.firstIndex(of: UInt8(ascii: "\n")) {
                channel.send("event", Array(pendingEvent[..<newline]))
                pendingEvent.removeSubrange(...newline)
            }
        }
    }
}
