// SPDX-License-Identifier: Apache-2.0
import CrashReports
import KernelConfig
import Processes
import TestSession
import VirtualMachine

/// What a guest that ran into a limit was doing.
enum HangEvidence {
    /// A line for each processor: `CPU 1: in dm510_msgbox_put+0x4c, with interrupts off`.
    ///
    /// - Parameter symbols: The kernel's functions; nil when their addresses are not known.
    static func describe(_ processors: [ProcessorState], symbols: KernelSymbols?) -> [String] {
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
            // Who waits without them waits for ever.
            return processor.takesInterrupts ? text : text + ", with interrupts off"
        }
    }
}

extension Pipeline {
    /// What a guest that ran into a limit was doing, line by line; empty when it could not be asked.
    func evidence(of result: SessionResult, kernel: BuiltKernel) async -> [String] {
        guard !result.processors.isEmpty else { return [] }
        var symbols: KernelSymbols?
        let runner = await readingRunner(of: kernel)
        // A kernel that moves itself at boot does not say by how much.
        if let features = try? BootFeatures(config: kernel.config), !features.movesItself,
            let text = try? await runner?.output(of: Command("nm", ["-n", kernel.vmlinux.string]))
        {
            symbols = KernelSymbols(parsing: text)
        }
        return HangEvidence.describe(result.processors, symbols: symbols)
    }

    /// What runs tools that read a built kernel, which its patches' author may have made to harm them; nil when they are to
    /// be confined and cannot be.
    private func readingRunner(of kernel: BuiltKernel) async -> CommandRunner? {
        do {
            let rules = try await confinement.rules()?.kernel
            return tools.runner.confined(by: rules?.build(readable: [kernel.vmlinux], writable: []))
        } catch {
            return nil
        }
    }
}
