// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Glibc
import Reporting

/// A standard stream of kbuild. Output is queued, so that no caller waits for a terminal. Only escaped text, or one of
/// kbuild's own commands to a CI service, can be printed: no other file writes to a standard stream, except for the
/// output of a program in a guest.
enum StandardStream: Int32 {
    case output = 1
    case errors = 2

    /// Whether the stream is a terminal with colours, and the user wants them.
    var usesColor: Bool { isatty(rawValue) == 1 && Self.wantsColor }

    /// Whether the terminal, if there is one, understands control sequences.
    static var isDumb: Bool { variable("TERM") ?? "dumb" == "dumb" }

    // An empty variable counts as not set (no-color.org).
    private static var wantsColor: Bool { !isDumb && variable("NO_COLOR") ?? "" == "" }

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// A piece of output.
    enum Piece {
        /// A text without a line end.
        case text(TerminalText)
        /// A text and a line end.
        case line(TerminalText)
        /// A command to the CI service, and a line end.
        case command(JobCommand)
        /// Control sequences.
        case control(StaticString)
    }

    /// Whether a short line can be written without waiting for a reader.
    var isReady: Bool {
        var ready = pollfd(fd: rawValue, events: Int16(POLLOUT), revents: 0)
        return poll(&ready, 1, 0) > 0 && ready.revents & Int16(POLLOUT) != 0
    }

    /// Prints a text and a line end.
    func write(_ text: TerminalText) { write([.line(text)]) }

    /// Prints pieces together, so that none is visible without the others.
    func write(_ pieces: [Piece], _ kind: OutputQueue.Kind = .result) {
        guard !pieces.isEmpty else { return }
        OutputQueue.standard.add(rendered(pieces), to: rawValue, kind)
    }

    /// Writes bytes unchanged to a file or a program. For a terminal they are escaped.
    func write(exactly bytes: [UInt8]) {
        guard isatty(rawValue) == 1 else { return Self.writeBlocking(rawValue, bytes) }
        let text = String(decoding: bytes, as: UTF8.self)
        write(TerminalText(lines: text.hasSuffix("\n") ? String(text.dropLast()) : text))
    }

    /// Prints pieces before the queued output, for a process that ends at once.
    func writeNow(_ pieces: [Piece]) { Self.writeBlocking(rawValue, Array(rendered(pieces).utf8)) }

    private func rendered(_ pieces: [Piece]) -> String {
        let usesColor = usesColor
        return pieces.map { piece in
            switch piece {
            case .text(let text): text.rendered(usesColor: usesColor)
            case .line(let text): text.rendered(usesColor: usesColor) + "\n"
            case .command(let command): command.line + "\n"
            case .control(let sequences): sequences.description
            }
        }.joined()
    }

    /// Writes all bytes, and waits for a slow reader. A closed reader is not an error.
    static func writeBlocking(_ descriptor: Int32, _ bytes: [UInt8]) {
        // A raw terminal does not return to the first column at a line feed.
        let bytes = Terminal.isRaw ? withCarriageReturns(bytes) : bytes
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if count < 0, errno == EINTR {
                continue
            } else if count < 0, errno == EAGAIN {
                // Another process that shares the descriptor has made it non-blocking.
                var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&ready, 1, -1)
            } else {
                return
            }
        }
    }

    static func withCarriageReturns(_ bytes: [UInt8]) -> [UInt8] {
        bytes.flatMap { $0 == 0x0A ? [0x0D, 0x0A] : [$0] }
    }
}
