// SPDX-License-Identifier: Apache-2.0
import CrashReports
import GuestSession
import KernelConfig
import Processes

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
