// SPDX-License-Identifier: Apache-2.0
/// Names of functions that Rust and C++ compilers encode.
///
/// Sources: the Rust RFC 2603 (`_R`), its older form in the manner of the Itanium C++ ABI (`_ZN...17h<hash>E`), and
/// that ABI. Only the path is decoded; generic arguments are dropped, because a title must be the same for all
/// instances.
enum MangledName {
    /// The path in the source, such as `dm510_box::Box::take`; nil for a name that is not encoded, or in another way.
    static func path(of symbol: Substring) -> String? {
        // One byte decides for nearly every name.
        guard symbol.utf8.first == UInt8(ascii: "_"), symbol.utf8.count < 2048 else { return nil }
        if symbol.hasPrefix("_R") {
            var reader = RustReader(bytes: Array(symbol.utf8.dropFirst(2)))
            guard let path = reader.path(depth: 0), !path.isEmpty else { return nil }
            return path.joined(separator: "::")
        }
        guard symbol.hasPrefix("_Z") else { return nil }
        return itanium(Array(symbol.utf8.dropFirst(2)))
    }

    /// `_Z3addii` is `add`, `_ZN4core3fmt5write17h0123456789abcdefE` is `core::fmt::write`.
    private static func itanium(_ bytes: [UInt8]) -> String? {
        var index = 0
        let isNested = bytes.first == UInt8(ascii: "N")
        if isNested { index = 1 }
        var parts: [String] = []
        while index < bytes.count, let length = number(bytes, &index), length > 0, index + length <= bytes.count {
            parts.append(String(decoding: bytes[index..<(index + length)], as: UTF8.self))
            index += length
            if !isNested { break }
        }
        // The last part of a Rust name is a hash.
        if isNested, let last = parts.last, last.utf8.count == 17, last.hasPrefix("h") { parts.removeLast() }
        return parts.isEmpty ? nil : parts.joined(separator: "::")
    }

    /// A decimal number of at most four digits.
    private static func number(_ bytes: [UInt8], _ index: inout Int) -> Int? {
        var value = 0
        var count = 0
        while index < bytes.count, (0x30...0x39).contains(bytes[index]), count < 4 {
            value = value * 10 + Int(bytes[index] - 0x30)
            index += 1
            count += 1
        }
        return count > 0 ? value : nil
    }

    /// Reads the path of RFC 2603.
    private struct RustReader {
        let bytes: [UInt8]
        var index = 0
        /// Deeper than any real name; a back reference could point to itself.
        private static let deepest = 32

        mutating func path(depth: Int) -> [String]? {
            guard depth < Self.deepest, index < bytes.count else { return nil }
            let tag = bytes[index]
            index += 1
            switch tag {
            case UInt8(ascii: "C"):
                disambiguator()
                return identifier().map { [$0] }
            case UInt8(ascii: "N"):
                guard index < bytes.count else { return nil }
                let space = bytes[index]
                index += 1
                guard var parts = path(depth: depth + 1) else { return nil }
                disambiguator()
                guard let name = identifier() else { return nil }
                // A namespace with a capital letter is one of the compiler's own, such as a closure.
                if space == UInt8(ascii: "C") {
                    parts.append("{closure}")
                } else if !name.isEmpty {
                    parts.append(name)
                }
                return parts
            case UInt8(ascii: "M"):
                // The place of the `impl` is less useful than its type.
                disambiguator()
                guard let place = path(depth: depth + 1) else { return nil }
                let back = index
                if let type = type(depth: depth + 1) { return type }
                index = back
                return place
            case UInt8(ascii: "X"):
                disambiguator()
                guard path(depth: depth + 1) != nil, let type = type(depth: depth + 1), path(depth: depth + 1) != nil
                else { return nil }
                return type
            case UInt8(ascii: "Y"):
                guard let type = type(depth: depth + 1), path(depth: depth + 1) != nil else { return nil }
                return type
            case UInt8(ascii: "I"):
                guard let parts = path(depth: depth + 1) else { return nil }
                // The arguments end with `E`; types with names of their own are skipped as types.
                while index < bytes.count, bytes[index] != UInt8(ascii: "E") {
                    guard argument(depth: depth + 1) else { return nil }
                }
                index += 1
                return parts
            case UInt8(ascii: "B"):
                let place = base62()
                guard place < index else { return nil }
                let back = index
                index = place
                defer { index = back }
                return path(depth: depth + 1)
            default: return nil
            }
        }

        private mutating func argument(depth: Int) -> Bool {
            if bytes[index] == UInt8(ascii: "L") {
                index += 1
                _ = base62()
                return true
            }
            if bytes[index] == UInt8(ascii: "K") {
                // A constant: its type, then hexadecimal digits up to `_`.
                index += 1
                guard type(depth: depth) != nil else { return false }
                while index < bytes.count, bytes[index] != UInt8(ascii: "_") { index += 1 }
                index += 1
                return true
            }
            return type(depth: depth) != nil
        }

        private mutating func type(depth: Int) -> [String]? {
            guard depth < Self.deepest, index < bytes.count else { return nil }
            switch bytes[index] {
            case UInt8(ascii: "a")...UInt8(ascii: "z"):
                index += 1
                return ["_"]
            case UInt8(ascii: "R"), UInt8(ascii: "Q"):
                index += 1
                if index < bytes.count, bytes[index] == UInt8(ascii: "L") {
                    index += 1
                    _ = base62()
                }
                return type(depth: depth + 1)
            case UInt8(ascii: "P"), UInt8(ascii: "O"), UInt8(ascii: "S"):
                index += 1
                return type(depth: depth + 1)
            case UInt8(ascii: "A"):
                index += 1
                guard let element = type(depth: depth + 1) else { return nil }
                if index < bytes.count, bytes[index] == UInt8(ascii: "B") {
                    index += 1
                    _ = base62()
                } else {
                    guard type(depth: depth + 1) != nil else { return nil }
                    while index < bytes.count, bytes[index] != UInt8(ascii: "_") { index += 1 }
                    index += 1
                }
                return element
            case UInt8(ascii: "T"):
                index += 1
                while index < bytes.count, bytes[index] != UInt8(ascii: "E") {
                    guard type(depth: depth + 1) != nil else { return nil }
                }
                index += 1
                return ["_"]
            case UInt8(ascii: "B"):
                index += 1
                let place = base62()
                guard place < index else { return nil }
                let back = index
                index = place
                defer { index = back }
                return type(depth: depth + 1)
            default: return path(depth: depth + 1)
            }
        }

        /// `s<base 62>`: the number among several items with the same name.
        private mutating func disambiguator() {
            guard index < bytes.count, bytes[index] == UInt8(ascii: "s") else { return }
            index += 1
            _ = base62()
        }

        /// Digits of base 62 up to `_`: no digits are 0, others mean one more than their value.
        private mutating func base62() -> Int {
            var value = 0
            var count = 0
            while index < bytes.count, bytes[index] != UInt8(ascii: "_") {
                let byte = bytes[index]
                let digit: Int
                switch byte {
                case 0x30...0x39: digit = Int(byte) - 0x30
                case 0x61...0x7A: digit = Int(byte) - 0x61 + 10
                case 0x41...0x5A: digit = Int(byte) - 0x41 + 36
                default: digit = 0
                }
                if count < 9 { value = value * 62 + digit }
                count += 1
                index += 1
            }
            index += 1
            return count == 0 ? 0 : value + 1
        }

        private mutating func identifier() -> String? {
            // `u` marks Punycode.
            if index < bytes.count, bytes[index] == UInt8(ascii: "u") { index += 1 }
            guard let length = MangledName.number(bytes, &index) else { return nil }
            // `_` separates a name that begins with a digit or `_` from its length.
            if index < bytes.count, bytes[index] == UInt8(ascii: "_") { index += 1 }
            guard index + length <= bytes.count else { return nil }
            defer { index += length }
            return String(decoding: bytes[index..<(index + length)], as: UTF8.self)
        }
    }
}
