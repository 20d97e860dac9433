// SPDX-License-Identifier: Apache-2.0
/// One message of the guest's init: see rootfs/init/Channel.swift for the other end.
///
/// On the wire a frame is `RS "kb1" SP sequence SP crc32 SP kind SP payload LF`, where RS is U+001E, the checksum is
/// CRC-32 (IEEE 802.3) over `sequence SP kind SP payload` in eight hexadecimal digits, and the payload has its
/// backslashes and control characters escaped.
public struct Frame: Equatable, Sendable {
    /// The frame's number, counted from 1.
    public var sequence: Int
    /// What the payload is.
    public var kind: Kind
    /// The payload, unescaped.
    public var payload: [UInt8]

    /// The kinds of frame that init sends.
    public enum Kind: String, Sendable {
        /// The guest waits and can be saved; see rootfs/init/Snapshot.swift.
        case ready
        /// The guest is up: `NAME=VALUE` words.
        case hello
        /// A program starts: its index and the monotonic clock in nanoseconds.
        case start
        /// A record of Swift Testing's event stream, as JSON.
        case event
        /// The unfinished last line of an event stream.
        case truncated
        /// Bytes that the program printed.
        case output
        /// Bytes that an interactive program wrote to its standard error.
        case errors
        /// How many bytes of an interactive program's input init has consumed.
        case ack
        /// A program ended: its index, the clock, and its exit.
        case stop
        /// All programs have run: how many.
        case end
        /// Why init cannot continue.
        case error
        /// A sample of the kernel's taint and of its log's position: see `KernelEvidence`.
        case kernel
        /// Records of the kernel's log, one a line, in /dev/kmsg's format.
        case log
        /// The counters of an object for coverage: the path of its file of counters, a line feed, the counters.
        case coverage
        /// The durations of a call since the last such frame: its number, and `BUCKET:COUNT` for each bucket that grew.
        case calls
        /// The guest is alive, though its program is quiet.
        case beat
        /// The program that reached its limit, by its index, was killed and has not ended: the kernel does not return
        /// from a call of it.
        case stuck
        /// What became of a kernel module: see `ModuleRecord`.
        case module
        /// A sentence for the user about the running program, or about the guest if no program runs.
        case note
    }

    /// The byte that opens a frame: U+001E, record separator.
    public static let marker: UInt8 = 0x1E

    /// The payload as text.
    public var text: String { String(decoding: payload, as: UTF8.self) }

    /// The bytes that init would send, with the marker and the newline.
    public var encoded: [UInt8] {
        let covered = Array("\(sequence) \(kind.rawValue) ".utf8) + Self.escape(payload)
        let checksum = String(CRC32.checksum(of: covered), radix: 16)
        let digits = String(repeating: "0", count: 8 - checksum.count) + checksum
        let number = Array("\(sequence) ".utf8)
        return [Self.marker] + Array("kb1 \(sequence) \(digits) ".utf8) + covered[number.count...] + [0x0A]
    }

    /// The result of parsing a line with a frame's marker.
    enum Parsed: Equatable {
        case frame(Frame)
        /// The checksum or the form is wrong; the number that it claims, if it can be read.
        case damaged(sequence: Int?)
    }

    /// Reads the bytes between the marker and the newline.
    static func parse(_ line: some BidirectionalCollection<UInt8>) -> Parsed {
        let line = line.last == 0x0D ? Array(line.dropLast()) : Array(line)
        let fields = line.split(separator: 0x20, maxSplits: 4, omittingEmptySubsequences: false)
        guard fields.count >= 2, fields[0].elementsEqual("kb1".utf8) else { return .damaged(sequence: nil) }
        let sequence = Int(String(decoding: fields[1], as: UTF8.self))
        guard fields.count == 5, let sequence, sequence > 0,
            let checksum = UInt32(String(decoding: fields[2], as: UTF8.self), radix: 16),
            let kind = Kind(rawValue: String(decoding: fields[3], as: UTF8.self))
        else { return .damaged(sequence: sequence) }
        let covered = Array([fields[1], fields[3], fields[4]].joined(separator: [0x20]))
        guard CRC32.checksum(of: covered) == checksum, let payload = unescape(fields[4]) else {
            return .damaged(sequence: sequence)
        }
        return .frame(Frame(sequence: sequence, kind: kind, payload: payload))
    }

    private static func escape(_ bytes: [UInt8]) -> [UInt8] {
        var escaped: [UInt8] = []
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\\"): escaped += [byte, byte]
            case UInt8(ascii: "\n"): escaped += Array("\\n".utf8)
            case 0..<0x20, 0x7F:
                let digits = String(byte, radix: 16)
                escaped += Array("\\x\(digits.count == 1 ? "0" : "")\(digits)".utf8)
            default: escaped.append(byte)
            }
        }
        return escaped
    }

    private static func unescape(_ bytes: some Collection<UInt8>) -> [UInt8]? {
        var plain: [UInt8] = []
        var iterator = bytes.makeIterator()
        while let byte = iterator.next() {
            guard byte == UInt8(ascii: "\\") else {
                plain.append(byte)
                continue
            }
            switch iterator.next() {
            case UInt8(ascii: "\\"): plain.append(UInt8(ascii: "\\"))
            case UInt8(ascii: "n"): plain.append(0x0A)
            case UInt8(ascii: "x"):
                guard let high = iterator.next(), let low = iterator.next(),
                    let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16)
                else { return nil }
                plain.append(value)
            default: return nil
            }
        }
        return plain
    }
}

/// CRC-32 as in IEEE 802.3 and zlib: polynomial 0xEDB88320 (reflected), initial and final value all ones.
enum CRC32 {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1 }
    }

    static func checksum(of bytes: some Sequence<UInt8>) -> UInt32 {
        ~bytes.reduce(~UInt32(0)) { table[Int(($0 ^ UInt32($1)) & 0xFF)] ^ ($0 >> 8) }
    }
}
