// SPDX-License-Identifier: Apache-2.0
/// The host's requests to an interactive program, one on each line of the results port.
///
///     size ROWS COLUMNS     the terminal's size
///     go                    the program may start
///     in HEXADECIMAL        bytes for its standard input
///     eof                   the end of its standard input
///     close-stream 1        its standard output is no longer read; 2 means its standard error
///     end                   the program must end
enum ShellRequest: Equatable {
    /// A stream that the program writes to.
    enum Stream {
        case output
        case errors
    }

    case start
    case input([UInt8])
    case endOfInput
    case close(Stream)
    case resize(rows: UInt16, columns: UInt16)
    case end

    /// Reads a line without its line feed; nil for an unknown request.
    init?(_ line: [UInt8]) {
        let fields = line.split(separator: UInt8(ascii: " "))
        guard let keyword = fields.first else { return nil }
        switch Array(keyword).text() {
        case "go": self = .start
        case "eof": self = .endOfInput
        case "end": self = .end
        case "in":
            guard fields.count == 2 else { return nil }
            self = .input(bytes(hexadecimal: fields[1]))
        case "close-stream":
            guard fields.count == 2 else { return nil }
            switch Array(fields[1]).text() {
            case "1": self = .close(.output)
            case "2": self = .close(.errors)
            default: return nil
            }
        case "size":
            guard fields.count == 3, let rows = UInt16(Array(fields[1]).text()),
                let columns = UInt16(Array(fields[2]).text())
            else { return nil }
            self = .resize(rows: rows, columns: columns)
        default: return nil
        }
    }
}

/// The host's requests to a restored guest, one on each line of the results port.
///
///     time SECONDS NANOSECONDS      the host's clock
///     seed HEXADECIMAL              random bytes of the host
///     plan NAME                     the plan to run, on the share of test programs
///     filter PATTERN                a pattern for the held program's tests; there may be several
///     go
struct ResumeRequest {
    /// The host's time since 1970.
    var seconds: Int64 = 0
    var nanoseconds: Int64 = 0
    /// For the kernel's random numbers.
    var seed: [UInt8] = []
    var plan = "plan"
    /// The patterns, each with a line feed.
    var filters: [UInt8] = []

    /// The effect of a line on the reading of the request.
    enum Progress {
        case more
        case complete
        case unreadable
    }

    /// Reads a line without its line feed.
    mutating func take(_ line: [UInt8]) -> Progress {
        let space = line.firstIndex(of: UInt8(ascii: " ")) ?? line.count
        let rest = Array(line[min(space + 1, line.count)...])
        switch Array(line[..<space]).text() {
        case "time":
            let fields = words(rest)
            guard fields.count == 2, let seconds = Int64(fields[0]), let nanoseconds = Int64(fields[1])
            else { return .unreadable }
            (self.seconds, self.nanoseconds) = (seconds, nanoseconds)
        case "seed": seed = bytes(hexadecimal: rest)
        case "plan": plan = rest.text()
        case "filter": filters += rest + [UInt8(ascii: "\n")]
        case "go": return .complete
        default: return .unreadable
        }
        return .more
    }
}
