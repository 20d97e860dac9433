// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// A name that C, make and a POSIX shell all read as one plain word: letters, digits and `_` of ASCII, no digit first.
///
/// Text from a patch, a table or a spec reaches generated C, makefiles and shell variables only as this type: only a
/// check makes one, so no generator can receive unchecked text.
public struct CIdentifier: Sendable, Hashable {
    /// The name.
    public let text: String

    /// The longest accepted name, in bytes: a symbol of the kernel has at most 511 (KSYM_NAME_LEN), and the prefixes of
    /// a call's name (`__x64_compat_sys_`, `__NR_ia32_`) and of the wrappers count too.
    public static let maximumLength = 255

    /// Nil for text that is not an identifier.
    public init?(_ text: String) {
        guard let first = text.utf8.first, !Self.isDigit(first), text.utf8.count <= Self.maximumLength,
            text.utf8.allSatisfy(Self.isByte)
        else { return nil }
        self.text = text
    }

    /// Whether an identifier may contain a byte, though perhaps not as the first.
    public static func isByte(_ byte: UInt8) -> Bool {
        isDigit(byte) || byte == UInt8(ascii: "_")
            || byte < 128 && (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte & 0xDF)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
}

extension CIdentifier: CustomStringConvertible {
    /// The name.
    public var description: String { text }
}

extension CIdentifier: Comparable {
    /// By their bytes.
    public static func < (left: CIdentifier, right: CIdentifier) -> Bool { left.text < right.text }
}

extension CIdentifier: Codable {
    /// Reads and checks a text.
    ///
    /// - Throws: `DecodingError` for a text that is not an identifier: the contents of a file are checked as well.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let identifier = CIdentifier(text) else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "\(text.quotedForMessage) is not a C identifier")
        }
        self = identifier
    }

    /// Writes the text.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

extension String {
    /// The text in double quotes for a message: everything except printable ASCII as `\u{...}`, and cut at 80
    /// characters.
    ///
    /// It comes from a patch, which may contain a terminal's control sequences.
    var quotedForMessage: String {
        let limit = 80
        let shown = unicodeScalars.prefix(limit).map { $0.escaped(asASCII: true) }.joined()
        return "\"\(shown)\(unicodeScalars.count > limit ? "..." : "")\""
    }
}
