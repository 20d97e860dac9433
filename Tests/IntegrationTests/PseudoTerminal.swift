// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import Glibc
import ProjectFixture
import Testing

/// A terminal for a program to run on, and somebody who types.
final class PseudoTerminal {
    /// All that has been printed.
    private(set) var output: [UInt8] = []
    private let master: Int32
    /// Held open, so that the settings can be read when the program has gone.
    private let slave: Int32
    private let name: String
    private var process: pid_t = 0
    private var status: Int32?

    // What Swift's Glibc leaves out: TIOCSPTLCK and TIOCGPTN of asm-generic/ioctls.h, POSIX_SPAWN_SETSID of spawn.h.
    private static let setLock: UInt = 0x4004_5431
    private static let getNumber: UInt = 0x8004_5430
    private static let newSession: Int16 = 0x80

    init(rows: Int, columns: Int) throws {
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        var locked: Int32 = 0
        var number: UInt32 = 0
        guard master >= 0, ioctl(master, Self.setLock, &locked) == 0, ioctl(master, Self.getNumber, &number) == 0
        else {
            throw Failure(.infrastructure, "there is no pseudo-terminal", details: String(cString: strerror(errno)))
        }
        name = "/dev/pts/\(number)"
        slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)
        _ = fcntl(master, F_SETFL, O_NONBLOCK)
        resize(rows: rows, columns: columns)
    }

    deinit {
        if process > 0, status == nil {
            kill(process, SIGKILL)
            waitpid(process, nil, 0)
        }
        close(slave)
        close(master)
    }

    func resize(rows: Int, columns: Int) {
        var size = winsize(ws_row: UInt16(rows), ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(master, UInt(TIOCSWINSZ), &size)
    }

    /// The terminal's settings, to be compared.
    var settings: String {
        var settings = termios()
        tcgetattr(slave, &settings)
        let characters = withUnsafeBytes(of: &settings.c_cc) { Array($0) }
        return "\(settings.c_iflag) \(settings.c_oflag) \(settings.c_cflag) \(settings.c_lflag) \(characters)"
    }

    /// Starts kbuild on the terminal, which becomes its controlling one, for the project in `folder`.
    func start(_ arguments: [String], for folder: String) throws {
        let executable = try Fixture.executable()
        try spawn(executable, [executable] + arguments + ["--project", folder])
    }

    /// Starts kbuild in a folder, as a person does who stands there: with a terminal of this kind, without colours.
    func start(_ arguments: [String], in folder: String) throws {
        let words = [try Fixture.executable()] + arguments
        let script = "cd \"$0\" && export TERM=xterm NO_COLOR=1 && exec \"$@\""
        try spawn("/bin/sh", ["sh", "-c", script, folder] + words)
    }

    private func spawn(_ executable: String, _ arguments: [String]) throws {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_addopen(&actions, 0, name, O_RDWR, 0)
        posix_spawn_file_actions_adddup2(&actions, 0, 1)
        posix_spawn_file_actions_adddup2(&actions, 0, 2)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        posix_spawnattr_setflags(&attributes, Self.newSession)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { words.forEach { free($0) } }
        let error = posix_spawn(&process, executable, &actions, &attributes, &words, environ)
        guard error == 0 else {
            throw Failure(.infrastructure, "cannot start \(executable)", details: String(cString: strerror(error)))
        }
    }

    /// The lines that a person sees when the program has ended: later characters on a line replace earlier ones
    /// (carriage return, and the controls K and ?7 of ECMA-48 and DEC's terminals, which are all that kbuild uses).
    var screen: [String] {
        var lines: [String] = []
        var line: [Character] = []
        var column = 0
        var rest = Substring(String(decoding: output, as: UTF8.self))[...]
        while let character = rest.popFirst() {
            switch character {
            case "\r\n", "\n":
                lines.append(String(line))
                (line, column) = ([], 0)
            case "\r": column = 0
            case "\u{1B}":
                let end = rest.firstIndex { $0.isLetter } ?? rest.endIndex
                if end < rest.endIndex, rest[end] == "K" { line.removeSubrange(min(column, line.count)...) }
                rest = end < rest.endIndex ? rest[rest.index(after: end)...] : ""
            default:
                if column < line.count { line[column] = character } else { line.append(character) }
                column += 1
            }
        }
        if !line.isEmpty { lines.append(String(line)) }
        return lines
    }

    func type(_ text: String) {
        let bytes = Array(text.utf8)
        _ = write(master, bytes, bytes.count)
    }

    func signal(_ number: Int32) { kill(process, number) }

    /// Longer than the slowest machine takes: a test that waits for what does not come must end.
    private static let longestWait: Duration = .seconds(600)

    /// Waits until `text` has been printed, after all that was waited for before.
    func wait(for text: String) async throws {
        let deadline = ContinuousClock.now + Self.longestWait
        while true {
            guard ContinuousClock.now < deadline else {
                throw Failure(
                    .timeout, "kbuild did not print \(text)", details: String(decoding: output, as: UTF8.self))
            }
            read()
            if let range = output.firstRange(of: Array(text.utf8)) {
                output.removeSubrange(..<range.upperBound)
                return
            }
            let hasEnded = reap()
            read()
            if hasEnded, output.firstRange(of: Array(text.utf8)) == nil {
                throw Failure(
                    .infrastructure, "kbuild ended before it printed \(text)",
                    details: String(decoding: output, as: UTF8.self))
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Waits until kbuild has ended; returns its exit code, or less than 0 for a signal.
    func exitCode() async throws -> Int32 {
        let deadline = ContinuousClock.now + Self.longestWait
        while !reap() {
            guard ContinuousClock.now < deadline else { throw Failure(.timeout, "kbuild did not end") }
            read()
            try await Task.sleep(for: .milliseconds(20))
        }
        read()
        guard let status else { return -1 }
        return status & 0x7F == 0 ? (status >> 8) & 0xFF : -(status & 0x7F)
    }

    private func reap() -> Bool {
        if status != nil { return true }
        var status: Int32 = 0
        guard waitpid(process, &status, WNOHANG) == process else { return false }
        self.status = status
        return true
    }

    private func read() {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while case let count = Glibc.read(master, &buffer, buffer.count), count > 0 { output += buffer[..<count] }
    }
}
