// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// The functions of a kernel by their addresses.
public struct KernelSymbols: Sendable {
    private var symbols: [(address: UInt64, name: Substring)] = []

    /// Parses the output of `nm -n` for a vmlinux, or a System.map: address, type and name on each line, by address.
    public init(parsing text: String) {
        for line in text.textLines() {
            let fields = line.split(separator: " ", maxSplits: 2)
            // Only code; absolute and per-CPU symbols have small numbers that are not addresses of instructions.
            guard fields.count == 3, ["t", "T", "w", "W"].contains(fields[1]),
                let address = UInt64(fields[0], radix: 16)
            else { continue }
            symbols.append((address, fields[2]))
        }
    }

    /// The function at an address and the distance from its start, `name+0x1a`; nil outside the kernel's code.
    public func name(at address: UInt64) -> String? {
        var low = 0
        var high = symbols.count
        while low < high {
            let middle = (low + high) / 2
            if symbols[middle].address <= address { low = middle + 1 } else { high = middle }
        }
        // The end of the code after the last symbol is unknown.
        guard low > 0, low < symbols.count else { return nil }
        let (start, name) = symbols[low - 1]
        return "\(name)+0x\(String(address - start, radix: 16))"
    }
}
