// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Glibc
import Processes
import Synchronization
import SystemPackage
import VirtualMachine

@testable import TestSession

/// A function in place of QEMU: it connects to the sockets that the command line names, answers on the monitor as
/// QEMU's protocol wants (docs/interop/qmp-spec.txt of its sources), and sends the frames that init would send.
final class ScriptedEmulator: Sendable {
    /// What a guest does.
    enum Guest: Sendable {
        /// Runs programs that end with these exit codes; each is program 0 of the guest's own plan.
        case runs([Int])
        /// Resets before init has started.
        case resets
        /// QEMU does not start, and says this.
        case fails(String)
        /// Init cannot go on, and says this.
        case stops(String)
        /// Its first program never ends. Its kernel answers each letter of sysrq with a line and with this text.
        case hangs([Character: String])
    }

    private let guests: Mutex<[Guest]>
    private let seen = Mutex<[[String]]>([])
    private let resumed = Mutex<[String]>([])
    private let asked = Mutex("")

    /// The guests in the order in which they start.
    init(_ guests: Guest...) { self.guests = Mutex(guests) }

    /// The arguments of each start so far.
    var starts: [[String]] { seen.withLock { $0 } }
    /// The letters of sysrq that guests which hang have received.
    var letters: String { asked.withLock { $0 } }
    /// What each restored guest was told to do, in lines.
    var orders: [String] { resumed.withLock { $0 } }

    /// Plays the next guest, on a thread of its own: it waits at its sockets.
    func run(_ command: Command) async -> CommandResult {
        seen.withLock { $0.append(command.arguments) }
        let guest = guests.withLock { $0.isEmpty ? .fails("no guest is left") : $0.removeFirst() }
        let sockets = Sockets()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                Thread { continuation.resume(returning: self.play(guest, command.arguments, sockets)) }.start()
            }
        } onCancel: {
            sockets.close()
        }
    }

    /// The connections of a guest, which end with it.
    private final class Sockets: Sendable {
        private struct State {
            var isClosed = false
            var all: [String: Connection] = [:]
        }
        private let state = Mutex(State())

        func add(_ name: String, _ path: String) {
            state.withLock { state in
                if !state.isClosed { state.all[name] = Connection(path) }
            }
        }

        subscript(_ name: String) -> Connection? { state.withLock { $0.all[name] } }

        /// Whoever waits for bytes of a connection sees its end.
        func close() {
            state.withLock { state in
                state.isClosed = true
                for connection in state.all.values { connection.close() }
            }
        }
    }

    private func play(_ guest: Guest, _ arguments: [String], _ sockets: Sockets) -> CommandResult {
        func ended(_ code: Int32, _ errors: String = "") -> CommandResult {
            CommandResult(status: .exited(code), output: "", errors: errors)
        }
        if case .fails(let words) = guest { return ended(1, words) }
        for argument in arguments where argument.hasPrefix("socket,id=") {
            func value(_ name: String) -> String? {
                argument.split(separator: ",").first { $0.hasPrefix(name + "=") }.map {
                    String($0.dropFirst(name.count + 1))
                }
            }
            if let name = value("id"), let path = value("path") { sockets.add(name, path) }
        }
        defer { sockets.close() }
        guard let console = sockets["console"], let results = sockets["results"], let monitor = sockets["monitor"]
        else {
            return ended(1, "a socket is missing")
        }
        monitor.send(#"{"QMP": {"version": {}, "capabilities": []}}"# + "\n")
        let isSaved = arguments.contains { $0.contains(",share=on") }
        let isRestored = arguments.contains("-incoming")
        console.send("Linux version 5.19.7\n")
        var number = 0
        func send(_ kind: Frame.Kind, _ text: String) {
            number += 1
            results.send(Frame(sequence: number, kind: kind, payload: Array(text.utf8)).encoded)
        }
        if isSaved {
            // QEMU makes the file as it maps the guest's memory.
            let options = arguments.first { $0.hasPrefix("memory-backend-file,") }?.split(separator: ",") ?? []
            let path = options.first { $0.hasPrefix("mem-path=") }?.dropFirst("mem-path=".count)
            try? writeAtomically("memory", to: FilePath(String(path ?? "")))
            if case .stops(let words) = guest { send(.error, words) } else { send(.ready, "") }
        }
        if isSaved || isRestored {
            guard answer(monitor, until: isSaved ? "quit" : "cont") else { return ended(1, "the monitor was closed") }
            if isSaved { return ended(0) }
            resumed.withLock { $0.append(results.read(until: "go\n")) }
        }
        switch guest {
        case .resets: return ended(0)
        case .fails, .stops: return ended(1)
        case .hangs(let answers):
            send(.hello, "init=1 release=5.19.7 kernel=Linux")
            send(.start, "0 \(number)")
            Thread {
                while let letter = console.readLetter() {
                    self.asked.withLock { $0.append(letter) }
                    console.send("sysrq: Show it\n" + (answers[letter] ?? ""))
                }
            }.start()
            _ = answer(monitor, until: "quit")
            return ended(0)
        case .runs(let codes):
            send(.hello, "init=1 release=5.19.7 kernel=Linux")
            for (index, code) in codes.enumerated() {
                send(.start, "\(index) \(number)")
                send(.stop, "\(index) \(number) exit \(code)")
            }
            send(.end, "\(codes.count)")
            return ended(MachineConfiguration.exitCodeOfInit)
        }
    }

    /// Answers the monitor's commands up to and with `last`; false when the connection ends before.
    private func answer(_ monitor: Connection, until last: String) -> Bool {
        while let line = monitor.readLine() {
            struct Request: Decodable {
                struct Arguments: Decodable { var uri: String? }
                var execute: String
                var arguments: Arguments?
            }
            guard let request = try? JSONDecoder().decode(Request.self, from: Data(line.utf8)) else { return false }
            monitor.send(
                request.execute == "human-monitor-command"
                    ? #"{"return": "CPU#0\r\nRIP=ffffffff81000000 RFL=00000246 CPL=0 HLT=1\r\n"}"# + "\n"
                    : "{\"return\": {}}\n")
            switch request.execute {
            case "migrate":
                if let path = request.arguments?.uri?.dropFirst("unix:".count), let state = Connection(String(path)) {
                    state.send("the state of the devices")
                    state.close()
                }
                fallthrough
            case "migrate-incoming":
                monitor.send(#"{"event": "MIGRATION", "data": {"status": "completed"}}"# + "\n")
            case last: return true
            default: break
            }
        }
        return false
    }
}

/// A connection to a socket of the host.
private final class Connection: Sendable {
    private let descriptor: FileDescriptor

    /// Nil when nobody listens at `path`.
    init?(_ path: String) {
        // kbuild may close its end first.
        signal(SIGPIPE, SIG_IGN)
        let socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard socket >= 0 else { return nil }
        descriptor = FileDescriptor(rawValue: socket)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let size = MemoryLayout.size(ofValue: address.sun_path)
        guard path.utf8.count < size else { return nil }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        if status != 0 { return nil }
    }

    func send(_ text: String) { send(Array(text.utf8)) }
    func send(_ bytes: [UInt8]) { _ = try? descriptor.writeAll(bytes) }
    /// Ends the connection. The descriptor is closed with the last reference: another thread may be reading it.
    func close() { shutdown(descriptor.rawValue, Int32(SHUT_RDWR)) }

    deinit { try? descriptor.close() }

    /// The next line without its end; nil at the connection's end.
    func readLine() -> String? {
        let line = read(until: "\n")
        return line.hasSuffix("\n") ? String(line.dropLast()) : nil
    }

    /// The next byte; nil at the connection's end.
    func readLetter() -> Character? {
        var byte: [UInt8] = [0]
        let count = try? byte.withUnsafeMutableBytes { try descriptor.read(into: $0) }
        return count == 1 ? Character(UnicodeScalar(byte[0])) : nil
    }

    /// What comes up to and with `end`, or to the connection's end.
    func read(until end: String) -> String {
        var bytes: [UInt8] = []
        var byte: [UInt8] = [0]
        while !bytes.ends(with: end.utf8), (try? byte.withUnsafeMutableBytes { try descriptor.read(into: $0) }) == 1 {
            bytes.append(byte[0])
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension [UInt8] {
    fileprivate func ends(with other: some Collection<UInt8>) -> Bool { suffix(other.count).elementsEqual(other) }
}
