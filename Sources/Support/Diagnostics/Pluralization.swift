// SPDX-License-Identifier: Apache-2.0
/// "1 file", "2 files": a number with a noun whose plural ends in s.
public func pluralized(_ number: Int, _ what: String) -> String { "\(number) \(what)\(number == 1 ? "" : "s")" }

/// The remark where a list is cut: " ... and 4,211 more issues not shown".
public func cutRemark(_ number: Int, _ what: String) -> String {
    " ... and \(grouped(number)) more \(what)\(number == 1 ? "" : "s") not shown"
}

/// A number with its digits in groups of three: 4,211.
public func grouped(_ number: Int) -> String {
    let digits = String(number.magnitude)
    var result = ""
    for (index, digit) in digits.enumerated() {
        if index > 0, (digits.count - index).isMultiple(of: 3) { result.append(",") }
        result.append(digit)
    }
    return number < 0 ? "-" + result : result
}

extension String {
    /// The text, cut with a remark after so many bytes, between characters.
    public func cut(toBytes most: Int) -> String {
        let bytes = utf8
        guard bytes.count > most else { return self }
        // The start of a character: its later bytes are 10xxxxxx.
        var end = bytes.index(bytes.startIndex, offsetBy: most)
        while end > bytes.startIndex, bytes[end] & 0xC0 == 0x80 { end = bytes.index(before: end) }
        return String(self[..<end]) + cutRemark(bytes.distance(from: end, to: bytes.endIndex), "byte")
    }
}
