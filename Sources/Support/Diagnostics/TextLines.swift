// SPDX-License-Identifier: Apache-2.0

extension StringProtocol where SubSequence == Substring {
    /// The lines without their ends, which are LF or CR LF.
    ///
    /// "\r\n" is one Character of Swift's, so that a split at the Character "\n" passes it over. Bytes are split here.
    ///
    /// - Parameter keepsEmpty: Whether empty lines count, the one after the last end too.
    public func textLines(keepsEmpty: Bool = false) -> [Substring] {
        Substring(self).utf8.split(separator: 0x0A, omittingEmptySubsequences: false).compactMap { bytes in
            let line = bytes.last == 0x0D ? bytes.dropLast() : bytes
            return line.isEmpty && !keepsEmpty ? nil : Substring(line)
        }
    }
}
