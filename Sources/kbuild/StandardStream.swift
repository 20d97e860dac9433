import Diagnostics
import Glibc
import Reporting

/// Where kbuild prints. Only what has been escaped, or is a command of kbuild's own to a CI service, can be printed: this
/// file is the only one that writes to a standard stream, but for what a program in a guest prints there by itself.
enum StandardStream: Int32 {
    case output = 1
    case errors = 2

    /// Whether it is a terminal that shows colours, and the user wants them.
    var usesColor: Bool { isatty(rawValue) == 1 && Self.wantsColor }

    /// Whether the terminal, if there is one, understands control sequences.
    static var isDumb: Bool { variable("TERM") ?? "dumb" == "dumb" }

    // Set but empty counts as not set (no-color.org).
    private static var wantsColor: Bool { !isDumb && variable("NO_COLOR") ?? "" == "" }

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// What can be printed.
    enum Piece {
        /// A text without a line end.
        case text(TerminalText)
        /// A text and a line end.
        case line(TerminalText)
        /// A command to the service that runs the CI job, and a line end.
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

    /// Prints pieces in one go, so that none is seen without the others.
    func write(_ pieces: [Piece]) {
        let usesColor = usesColor
        var text = pieces.map { piece in
            switch piece {
            case .text(let text): text.rendered(usesColor: usesColor)
            case .line(let text): text.rendered(usesColor: usesColor) + "\n"
            case .command(let command): command.line + "\n"
            case .control(let sequences): sequences.description
            }
        }.joined()
        // A raw terminal does not go back to the first column by itself.
        if Terminal.isRaw { text = text.replacing("\n", with: "\r\n") }
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { Glibc.write(rawValue, $0.baseAddress, $0.count) }
            // A reader that has gone away is no reason to stop working.
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }
}
