// SPDX-License-Identifier: Apache-2.0

extension StringProtocol where SubSequence == Substring {
    /// The lines without their ends, which are LF or CR LF.
    ///
    /// "\r\n" is one Character in Swift, which a split at the Character "\n" misses, so the bytes are split.
    ///
    /// - Parameter keepsEmpty: Whether empty lines count, including the one after the last line end.
    public func textLines(keepsEmpty: Bool = false) -> [Substring] {
        Substring(self).utf8.split(separator: 0x0A, omittingEmptySubsequences: false).compactMap { bytes in
            let line = bytes.last == 0x0D ? bytes.dropLast() : bytes
            return line.isEmpty && !keepsEmpty ? nil : Substring(line)
        }
    }
}
