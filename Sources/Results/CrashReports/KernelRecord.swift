// SPDX-License-Identifier: Apache-2.0
/// A record of the kernel's log in /dev/kmsg's format: `PREFIX,SEQUENCE,MICROSECONDS,FLAGS[,caller=CALLER];TEXT`.
/// Source: Documentation/ABI/testing/dev-kmsg.
package struct KernelRecord: Sendable, Equatable {
    /// The writer: 0 is the kernel. A program's record in /dev/kmsg never has 0.
    var facility: UInt64
    /// From 0, an emergency, to 7, for debugging.
    var level: UInt64
    /// Its number, counted from 0 without gaps.
    package var sequence: UInt64
    /// Its lines in the console's form, with time stamp and caller.
    package var lines: [ConsoleLine]

    /// Whether the kernel itself logged it.
    package var isKernels: Bool { facility == 0 }

    /// Parses a record, without its line feed; nil when it is malformed.
    init?(_ bytes: some Collection<UInt8>) {
        let bytes = Array(bytes)
        guard let end = bytes.firstIndex(of: UInt8(ascii: ";")) else { return nil }
        let fields = String(decoding: bytes[..<end], as: UTF8.self).split(
            separator: ",", omittingEmptySubsequences: false)
        guard fields.count >= 4, let prefix = UInt64(fields[0]), let sequence = UInt64(fields[1]),
            let microseconds = UInt64(fields[2])
        else { return nil }
        facility = prefix >> 3
        level = prefix & 7
        self.sequence = sequence
        // `[%5lu.%06lu]` and `[%6s]` of print_time and print_caller in kernel/printk/printk.c.
        var head = "[\(Self.padded("\(microseconds / 1_000_000)", to: 5, with: " "))"
        head += ".\(Self.padded("\(microseconds % 1_000_000)", to: 6, with: "0"))]"
        if let caller = fields.dropFirst(4).first(where: { $0.hasPrefix("caller=") })?.dropFirst("caller=".count) {
            head += "[\(Self.padded(String(caller), to: 6, with: " "))]"
        }
        let stamp = Array("\(head) ".utf8)
        lines = Self.unescaped(bytes[(end + 1)...])
            .split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { ConsoleLine(stamp + $0) }
    }

    /// The records of a `log` frame's payload; nil when one is malformed.
    package static func records(of payload: [UInt8]) -> [KernelRecord]? {
        var records: [KernelRecord] = []
        for line in payload.split(separator: UInt8(ascii: "\n")) {
            guard let record = KernelRecord(line) else { return nil }
            records.append(record)
        }
        return records
    }

    private static func padded(_ text: String, to width: Int, with fill: Character) -> String {
        String(repeating: fill, count: max(0, width - text.utf8.count)) + text
    }

    /// The kernel writes control characters, backslashes and characters other than ASCII as `\xHH`.
    private static func unescaped(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var plain: [UInt8] = []
        plain.reserveCapacity(bytes.count)
        var index = bytes.startIndex
        while index < bytes.endIndex {
            if bytes[index] == UInt8(ascii: "\\"), index + 3 < bytes.endIndex, bytes[index + 1] == UInt8(ascii: "x"),
                let value = UInt8(String(decoding: bytes[(index + 2)...(index + 3)], as: UTF8.self), radix: 16)
            {
                plain.append(value)
                index += 4
            } else {
                plain.append(bytes[index])
                index += 1
            }
        }
        return plain
    }
}
