// SPDX-License-Identifier: Apache-2.0
/// A line of a terminal's output as the terminal shows it: without escape sequences, and split at carriage returns,
/// whose parts overwrite each other.
enum ShownLine {
    private static let escape: UInt8 = 0x1B
    private static let bell: UInt8 = 0x07
    private static let backspace: UInt8 = 0x08
    private static let carriageReturn = UInt8(ascii: "\r")

    /// The parts of a line; the terminal shows the last. Empty parts are dropped if another has text, so that there is
    /// always one.
    static func parts(of bytes: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        guard bytes.contains(where: isControl) else { return [bytes] }
        let plain = withoutSequences(bytes)
        let parts = plain.split(separator: carriageReturn).filter { !$0.isEmpty }
        return parts.isEmpty ? [[]] : parts
    }

    /// Whether a byte may change the display at another position than its own.
    private static func isControl(_ byte: UInt8) -> Bool { byte < space && byte != tab }

    /// The line without escape sequences (ECMA-48: CSI, OSC and other strings, and the short ones), with backspaces
    /// applied, and without other control characters except tabs. A sequence that moves to the start of the line, or
    /// erases the line, becomes a carriage return.
    private static func withoutSequences(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var plain: [UInt8] = []
        plain.reserveCapacity(bytes.count)
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            switch byte {
            case escape: skipSequence(bytes, at: &index, &plain)
            case backspace:
                // A character of several bytes is removed as one.
                while let last = plain.last, last & 0xC0 == 0x80 { plain.removeLast() }
                if let last = plain.last, last != carriageReturn { plain.removeLast() }
            case carriageReturn, tab: plain.append(byte)
            default: if !isControl(byte) { plain.append(byte) }
            }
        }
        return plain
    }

    /// Moves `index` to the end of the sequence after its escape character.
    private static func skipSequence(_ bytes: ArraySlice<UInt8>, at index: inout Int, _ plain: inout [UInt8]) {
        guard index < bytes.endIndex else { return }
        let introducer = bytes[index]
        index += 1
        switch introducer {
        case UInt8(ascii: "["):
            let start = index
            while index < bytes.endIndex, !(0x40...0x7E).contains(bytes[index]) { index += 1 }
            guard index < bytes.endIndex else { return }
            let parameters = bytes[start..<index]
            // CHA and CUP to the first column, and EL of the text before the cursor.
            switch bytes[index] {
            case UInt8(ascii: "G"), UInt8(ascii: "H"): plain.append(carriageReturn)
            case UInt8(ascii: "K") where parameters.first == UInt8(ascii: "1") || parameters.first == UInt8(ascii: "2"):
                plain.append(carriageReturn)
            default: break
            }
            index += 1
        case UInt8(ascii: "]"), UInt8(ascii: "P"), UInt8(ascii: "_"), UInt8(ascii: "^"), UInt8(ascii: "X"):
            // A string ends with BEL or ESC \. Text without that end is not a string, and stays.
            var end = index
            while end < bytes.endIndex, bytes[end] != bell, bytes[end] != escape { end += 1 }
            guard end < bytes.endIndex else { return }
            index = bytes[end] == escape ? min(end + 2, bytes.endIndex) : end + 1
        case 0x20...0x2F:
            // nF: intermediate bytes, then a final one, as in ESC ( B.
            while index < bytes.endIndex, (0x20...0x2F).contains(bytes[index]) { index += 1 }
            if index < bytes.endIndex { index += 1 }
        default: break
        }
    }
}
