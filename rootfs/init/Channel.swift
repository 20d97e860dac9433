// SPDX-License-Identifier: Apache-2.0
import CInit

/// The results channel to the host: numbered, checksummed lines.
///
/// A frame is `RS "kb1" SP sequence SP crc32 SP kind SP payload LF`, where RS is U+001E, the checksum is CRC-32 (IEEE
/// 802.3) over `sequence SP kind SP payload`, in eight hexadecimal digits, and the payload has its backslashes and
/// control characters escaped. On a virtio port each frame is written once. On the serial console the kernel's messages
/// may be printed inside a frame, so each frame is repeated until the host has acknowledged it.
struct Channel {
    let descriptor: Int32
    let isAcknowledged: Bool
    private var sequence = 0
    private var replies: [UInt8] = []
    /// The monotonic clock when a frame was last sent, in nanoseconds.
    private var lastSent: Int64 = 0

    init(descriptor: Int32, isAcknowledged: Bool) {
        self.descriptor = descriptor
        self.isAcknowledged = isAcknowledged
    }

    /// The time for the host's answer to a frame on the serial console before the frame is sent again.
    private static let replyMilliseconds: Int32 = 500
    /// After this many unanswered attempts the host is considered gone.
    private static let attempts = 120

    /// The time without a frame after which a sign of life is sent, in nanoseconds.
    private static let longestQuiet: Int64 = 1_000_000_000

    /// Sends a sign of life to the host when no other frame was sent for a while. A hanging kernel sends none.
    mutating func beat() {
        if kbuild_monotonic() - lastSent >= Self.longestQuiet { send("beat", "") }
    }

    /// Starts again with record 1.
    mutating func restart() { sequence = 0 }

    @discardableResult
    mutating func send(_ kind: String, _ payload: [UInt8]) -> Bool {
        sequence += 1
        lastSent = kbuild_monotonic()
        var covered = Array("\(sequence) ".utf8)
        let kindStart = covered.count
        covered += Array(kind.utf8)
        covered.append(UInt8(ascii: " "))
        escape(payload, into: &covered)
        // A line feed first ends an unfinished line of the kernel.
        var frame: [UInt8] = isAcknowledged ? [UInt8(ascii: "\n")] : []
        frame += [0x1E] + Array("kb1 \(sequence) ".utf8)
        frame += hexadecimal(crc32(covered)) + [UInt8(ascii: " ")]
        frame += covered[kindStart...]
        frame.append(UInt8(ascii: "\n"))

        guard isAcknowledged else { return System.write(descriptor, frame) }
        for _ in 0..<Self.attempts {
            guard System.write(descriptor, frame) else { return false }
            if waitForAcknowledgement() { return true }
        }
        return false
    }

    @discardableResult
    mutating func send(_ kind: String, _ payload: String) -> Bool {
        send(kind, Array(payload.utf8))
    }

    /// Waits until the host has read everything that was sent and answers `bye`: data in transit when the machine ends
    /// is lost. The host enforces the time limit.
    func awaitFarewell() {
        guard !isAcknowledged else { return }
        var pending: [UInt8] = []
        while let chunk = System.readChunk(descriptor), !chunk.isEmpty {
            pending += chunk
            var lines = pending.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            pending = Array(lines.removeLast())
            // Other lines may be for a program that has ended.
            if lines.contains(where: { Array($0).text() == "bye" }) { return }
        }
    }

    /// Waits for `ack SEQUENCE`. Answers to earlier frames are ignored; a `nak` asks to send again at once.
    private mutating func waitForAcknowledgement() -> Bool {
        let deadline = kbuild_monotonic() + Int64(Self.replyMilliseconds) * 1_000_000
        while true {
            while let newline = replies.firstIndex(of: UInt8(ascii: "\n")) {
                let reply = words(Array(replies[..<newline]))
                replies.removeSubrange(...newline)
                guard reply.count == 2, Int(reply[1]) == sequence else { continue }
                if reply[0] == "ack" { return true }
                if reply[0] == "nak" { return false }
            }
            let left = (deadline - kbuild_monotonic()) / 1_000_000
            if left <= 0 { return false }
            var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            if poll(&waiting, 1, Int32(left)) > 0, let bytes = System.readChunk(descriptor) { replies += bytes }
        }
    }

    private func escape(_ bytes: [UInt8], into target: inout [UInt8]) {
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\\"): target += [byte, byte]
            case UInt8(ascii: "\n"): target += [UInt8(ascii: "\\"), UInt8(ascii: "n")]
            case 0..<0x20, 0x7F:
                target += [UInt8(ascii: "\\"), UInt8(ascii: "x")] + hexadecimal(UInt32(byte)).suffix(2)
            default: target.append(byte)
            }
        }
    }
}

private let hexadecimalDigits = Array("0123456789abcdef".utf8)

func hexadecimal(_ value: UInt32) -> [UInt8] {
    (0..<8).map { hexadecimalDigits[Int((value >> (28 - 4 * UInt32($0))) & 15)] }
}

private let crcTable: [UInt32] = (0..<256).map { index in
    var value = UInt32(index)
    for _ in 0..<8 { value = value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1 }
    return value
}

/// CRC-32 as in IEEE 802.3 and zlib.
func crc32(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(~UInt32(0)) { crcTable[Int(($0 ^ UInt32($1)) & 0xFF)] ^ ($0 >> 8) }
}
