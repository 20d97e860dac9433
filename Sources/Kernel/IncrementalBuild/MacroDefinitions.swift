// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// Every macro definition of some files, under any condition: what code may expand to.
struct MacroDefinitions {
    /// The identifiers in the bodies of a macro's definitions.
    private var bodies: [String: Set<String>] = [:]

    /// Reads files.
    ///
    /// - Throws: `Failure` (`infrastructure`) when one cannot be read; `CancellationError`.
    init(of files: [FilePath]) throws {
        var buffer = ReadBuffer()
        for file in files {
            try Task.checkCancellation()
            try buffer.read(file)
            buffer.withBytes { add($0) }
        }
    }

    /// Removes a macro.
    mutating func remove(_ name: String) { bodies[name] = nil }

    /// Whether code may expand to something with an identifier in it.
    func reach(_ identifier: String, from code: String) -> Bool {
        var seen: Set<String> = []
        var open = Array(Self.identifiers(in: Array(code.utf8)[...]))
        while let name = open.popLast() {
            if name == identifier { return true }
            guard seen.insert(name).inserted, let body = bodies[name] else { continue }
            open += body
        }
        return false
    }

    /// Adds the definitions of a file.
    private mutating func add(_ bytes: UnsafeRawBufferPointer) {
        var start = 0
        while start < bytes.count {
            var end = start
            // A line ends at a newline without a backslash before it.
            while end < bytes.count, bytes[end] != 0x0A || (end > start && bytes[end - 1] == UInt8(ascii: "\\")) {
                end += 1
            }
            var first = start
            while first < end, bytes[first] == 0x20 || bytes[first] == 0x09 { first += 1 }
            if first < end, bytes[first] == UInt8(ascii: "#") {
                let words = Self.identifiers(in: Array(bytes[(first + 1)..<end])[...])
                if words.count > 1, words[0] == "define" { bodies[words[1], default: []].formUnion(words.dropFirst(2)) }
            }
            start = end + 1
        }
    }

    private static func identifiers(in bytes: ArraySlice<UInt8>) -> [String] {
        bytes.split { byte in
            !(byte == UInt8(ascii: "_") || (byte >= 0x30 && byte <= 0x39)
                || (byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A))
        }.map { String(decoding: $0, as: UTF8.self) }
    }
}
