// SPDX-License-Identifier: Apache-2.0
import CInit

/// Whether a program has asked PID 1 to end the machine.
private nonisolated(unsafe) var isAskedToEnd = false

/// An interactive program, connected to the host.
///
/// Its output is sent in frames, as for every program. Frames of the kind `errors` contain its standard error, and
/// `ack` frames the number of processed bytes of its input, so that the host may send more. The host sends
/// `ShellRequest`s.
struct Shell {
    private var process: pid_t = 0
    private var processDescriptor: Int32 = -1
    /// The descriptor for its input: the terminal's other end, or a pipe.
    private var input: Int32 = -1
    private var output: Int32 = -1
    private var errors: Int32 = -1
    /// The program's end of its terminal, held open so that the other end stays usable when all programs close theirs
    /// for a time.
    private var terminal: Int32 = -1
    private var pendingInput: [UInt8] = []
    private var pendingRequests: [UInt8] = []
    private var inputEnds = false
    private var mayStart = false
    private var isToEnd = false
    private var rows: UInt16 = 0
    private var columns: UInt16 = 0

    static func run(_ program: Plan.Program, index: Int, channel: inout Channel) -> Ending {
        // The signals that busybox's reboot, halt and poweroff send to PID 1.
        for number in [kbuild_sigterm, kbuild_sigusr1, kbuild_sigusr2] { signal(number) { _ in isAskedToEnd = true } }
        var shell = Shell()
        while !shell.mayStart {
            shell.takeRequests(on: channel.descriptor)
            if shell.isToEnd { return .exited(0) }
        }
        guard shell.start(program) else { return .notStarted(System.lastError) }
        let ending = shell.wait(seconds: program.seconds, channel: &channel)
        System.endEverybody()
        shell.drain(&channel)
        return ending
    }

    // MARK: Start

    private mutating func start(_ program: Plan.Program) -> Bool {
        let process: pid_t?
        if case .terminal = program.kind {
            var name = [CChar](repeating: 0, count: 64)
            output = kbuild_open_terminal(&name, name.count)
            guard output >= 0 else { return false }
            terminal = kbuild_open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)
            input = output
            setSize()
            process = System.spawn(program, in: "/tmp") { actions in
                // The first terminal that a session leader opens becomes its controlling terminal.
                posix_spawn_file_actions_addopen(&actions, 0, name, O_RDWR, 0)
                posix_spawn_file_actions_adddup2(&actions, 0, 1)
                posix_spawn_file_actions_adddup2(&actions, 0, 2)
            }
        } else {
            guard let input = System.pipe(), let output = System.pipe(), let errors = System.pipe() else {
                return false
            }
            process = System.spawn(program, in: "/tmp") { actions in
                posix_spawn_file_actions_adddup2(&actions, input.read, 0)
                posix_spawn_file_actions_adddup2(&actions, output.write, 1)
                posix_spawn_file_actions_adddup2(&actions, errors.write, 2)
            }
            (self.input, self.output, self.errors) = (input.write, output.read, errors.read)
            let error = kbuild_errno()
            for end in [input.read, output.write, errors.write] { close(end) }
            kbuild_set_errno(error)
        }
        guard let process else { return false }
        self.process = process
        processDescriptor = kbuild_pidfd_open(process)
        for descriptor in [input, output, errors] where descriptor >= 0 { _ = kbuild_set_nonblocking(descriptor) }
        return true
    }

    private func setSize() {
        guard terminal >= 0, rows > 0, columns > 0 else { return }
        kbuild_set_terminal_size(output, rows, columns)
    }

    // MARK: Input and output

    private mutating func wait(seconds: Int, channel: inout Channel) -> Ending {
        let deadline = seconds > 0 ? kbuild_monotonic() + Int64(seconds) * 1_000_000_000 : Int64.max
        while true {
            // poll ignores a descriptor of -1.
            var waiting = [
                pollfd(fd: processDescriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: output, events: Int16(POLLIN), revents: 0),
                pollfd(fd: errors, events: Int16(POLLIN), revents: 0),
                pollfd(fd: channel.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: pendingInput.isEmpty ? -1 : input, events: Int16(POLLOUT), revents: 0),
            ]
            _ = poll(&waiting, 5, processDescriptor < 0 ? 20 : 1000)
            if waiting[3].revents != 0 { takeRequests(on: channel.descriptor) }
            let taken = writeInput()
            if taken > 0 { channel.send("ack", "\(taken)") }
            forwardOutput(&channel)
            if isToEnd || isAskedToEnd { return .exited(0) }
            var status: Int32 = 0
            while true {
                let ended = waitpid(-1, &status, WNOHANG)
                if ended == process { return Ending(status: status) }
                if ended <= 0 { break }
            }
            if kbuild_monotonic() >= deadline { return .timedOut }
        }
    }

    /// Reads the host's requests, and waits for one if necessary.
    private mutating func takeRequests(on descriptor: Int32) {
        guard let chunk = System.readChunk(descriptor), !chunk.isEmpty else {
            // The host is gone.
            isToEnd = true
            return
        }
        pendingRequests += chunk
        var lines = pendingRequests.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        pendingRequests = Array(lines.removeLast())
        for line in lines {
            if let order = ShellRequest(Array(line)) { obey(order) }
        }
    }

    private mutating func obey(_ order: ShellRequest) {
        switch order {
        case .start: mayStart = true
        case .input(let bytes): pendingInput += bytes
        case .endOfInput:
            inputEnds = true
            // The host's terminal is gone.
            if terminal >= 0 { isToEnd = true }
        case .end: isToEnd = true
        // The program gets SIGPIPE, as from the kernel.
        case .close(.output): drop(&output)
        case .close(.errors): drop(&errors)
        case .resize(let rows, let columns):
            (self.rows, self.columns) = (rows, columns)
            setSize()
        }
    }

    /// Passes the input on to the program; returns the number of bytes that were accepted, or discarded without a
    /// reader.
    private mutating func writeInput() -> Int {
        let before = pendingInput.count
        while input >= 0, !pendingInput.isEmpty {
            let count = pendingInput.withUnsafeBytes { write(input, $0.baseAddress, $0.count) }
            if count > 0 {
                pendingInput.removeFirst(count)
            } else if kbuild_errno() == EAGAIN {
                return before - pendingInput.count
            } else if kbuild_errno() != EINTR {
                // The reader is gone.
                if terminal < 0 { drop(&input) } else { pendingInput = [] }
            }
        }
        if input < 0 { pendingInput = [] }
        if inputEnds, terminal < 0 { drop(&input) }
        return before - pendingInput.count
    }

    private mutating func forwardOutput(_ channel: inout Channel) {
        forward(&output, as: "output", &channel)
        forward(&errors, as: "errors", &channel)
    }

    private func forward(_ descriptor: inout Int32, as kind: String, _ channel: inout Channel) {
        // One piece at a time: endless output must not delay the host's requests.
        guard descriptor >= 0, let bytes = System.readChunk(descriptor) else { return }
        if bytes.isEmpty { drop(&descriptor) } else { channel.send(kind, bytes) }
    }

    /// Closes a descriptor if it is open.
    private func drop(_ descriptor: inout Int32) {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    // MARK: End

    /// Forwards the rest of the output after the last writer has ended.
    private mutating func drain(_ channel: inout Channel) {
        drop(&terminal)
        // A terminal may still deliver output; the reader has to wait for all of it, until a read fails.
        for descriptor in [output, errors] where descriptor >= 0 { _ = kbuild_set_blocking(descriptor) }
        for (descriptor, kind) in [(output, "output"), (errors, "errors")] where descriptor >= 0 {
            while let bytes = System.readChunk(descriptor), !bytes.isEmpty { channel.send(kind, bytes) }
        }
        if input != output { drop(&input) }
        drop(&output)
        drop(&errors)
        if processDescriptor >= 0 { drop(&processDescriptor) }
    }
}
