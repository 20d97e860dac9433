// SPDX-License-Identifier: Apache-2.0
import CrashReports
import VirtualMachine

/// What a guest that reached a limit was doing.
package enum HangEvidence {
    /// A line for each processor: `CPU 1: in dm510_msgbox_put+0x4c, with interrupts off`.
    ///
    /// - Parameter symbols: The kernel's functions; nil when their addresses are not known.
    package static func describe(_ processors: [ProcessorState], symbols: KernelSymbols?) -> [String] {
        processors.map { processor in
            var text = "CPU \(processor.index): "
            if processor.isInProgram {
                text += "in a program, at 0x\(String(processor.address, radix: 16))"
            } else if processor.isHalted {
                text += "idle"
            } else {
                let name = symbols?.name(at: processor.address)
                text += "in \(name ?? "the kernel, at 0x\(String(processor.address, radix: 16))")"
            }
            // A processor that waits with interrupts off waits forever.
            return processor.takesInterrupts ? text : text + ", with interrupts off"
        }
    }
}
