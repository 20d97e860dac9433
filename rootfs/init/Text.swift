// SPDX-License-Identifier: Apache-2.0
extension Array where Element == UInt8 {
    /// The pieces between newlines; the part after the last newline is the final piece.
    func lines() -> [[UInt8]] {
        var lines: [[UInt8]] = []
        var line: [UInt8] = []
        for byte in self {
            if byte == UInt8(ascii: "\n") {
                lines.append(line)
                line = []
            } else {
                line.append(byte)
            }
        }
        if !line.isEmpty { lines.append(line) }
        return lines
    }

    func text() -> String { String(decoding: self, as: UTF8.self) }
}

/// The bytes of pairs of hexadecimal digits; empty when there is another character.
func bytes(hexadecimal digits: some RandomAccessCollection<UInt8>) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count / 2)
    var high: UInt8?
    for digit in digits {
        let value: UInt8
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): value = digit - UInt8(ascii: "a") + 10
        default: return []
        }
        if let first = high {
            bytes.append(first << 4 | value)
            high = nil
        } else {
            high = value
        }
    }
    return bytes
}

/// The words of a line: separated by any run of `separator`s.
func words(_ line: [UInt8], separator: UInt8 = UInt8(ascii: " ")) -> [String] {
    line.split(separator: separator).map { String(decoding: $0, as: UTF8.self) }
}
