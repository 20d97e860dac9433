// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import SystemPackage
import VirtualMachine

extension Pipeline {
    /// Whether this note on the host was not shown in the last day.
    private func isNews(_ note: String) -> Bool {
        let day = 86_400.0
        let file = tools.layout.root.appending("noted-\(Digest.of(note).short)")
        if let status = FileStatus(file),
            abs(Date().timeIntervalSince1970 - Double(status.modified / 1_000_000_000)) < day
        {
            return false
        }
        // Another step reports a cache that cannot be written.
        if !tools.isDryRun { try? writeAtomically("", to: file) }
        return true
    }

    /// Chooses the accelerator: KVM is used only where it was seen to run a guest.
    ///
    /// - Throws: `Failure` (`infrastructure`) when KVM is asked for and does not work.
    func decideAccelerator() async throws -> (accelerator: Accelerator, reason: String) {
        // User-mode Linux runs on the host's CPU; at most libguestfs's appliance needs an accelerator.
        let isForGuest = project.architecture != .um
        if !isForGuest, !project.rootfsType.isDisk { return (.tcg, "nothing needs one") }
        let requested = project.machine.accelerator
        guard requested != .tcg else { return (.tcg, "asked for") }
        guard let executable = tools.runner.supervisor else {
            throw Failure(.infrastructure, "kbuild cannot find its own executable to probe KVM with")
        }
        let probe = AcceleratorProbe(
            layout: tools.layout, statCache: tools.statCache, runner: tools.runner, executable: executable)
        let decision = try await probe.decide(
            requested: requested, qemu: try tools.runner.locate("qemu-system-x86_64"))
        if isForGuest, let note = decision.note { tools.progress(isNews(note) ? .note(note) : .detail(note)) }
        return (decision.accelerator, decision.note ?? "KVM works")
    }
}
