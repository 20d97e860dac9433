// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import PatchedTree
import Project
import ResultsModel
import Syscalls
import VirtualMachine

/// The system calls whose cost is counted in the guests.
///
/// Where QEMU emulates the processor, time says more of the host than of the call, so that the guests count
/// instructions instead: `-icount` makes the time-stamp counter advance by one for each.
enum CallProfiling {
    /// The names of the added calls by their numbers in the table for x86-64 programs.
    static func names(_ overlay: TreeOverlay) -> [Int: String] {
        Dictionary(
            overlay.syscalls.filter { [.common, .x64].contains($0.abi) }.map { ($0.number, $0.name.text) },
            uniquingKeysWith: { first, _ in first })
    }

    /// The unit of costs on a machine.
    static func unit(_ machine: RunReport.Machine?) -> CallProfile.Unit {
        machine?.accelerator == Accelerator.tcg.rawValue ? .instructions : .nanoseconds
    }

    /// What of a project changes the costs besides the calls.
    static func conditions(_ project: Project) -> [String] {
        let profile = project.profile.map { ["profile \($0)"] } ?? []
        return profile + project.checks.map { "check \($0.rawValue)" } + (project.coverage == nil ? [] : ["coverage"])
    }

    /// The word on the kernel's command line that makes init count; see rootfs/init/CallTimes.swift.
    static func kernelArguments(_ numbers: [Int], unit: CallProfile.Unit) -> [String] {
        guard !numbers.isEmpty else { return [] }
        let word = unit == .instructions ? "instructions" : "time"
        return ["kbuild.calls=" + ([word] + numbers.map(String.init)).joined(separator: ",")]
    }
}

extension KernelSteps {
    /// Checks that there is a call to profile.
    ///
    /// - Throws: `Failure` (`usage`) when there is none.
    func checkCallProfile(_ overlay: TreeOverlay) throws(Failure) {
        guard context.project.profilesCalls, CallProfiling.names(overlay).isEmpty else { return }
        throw Failure(
            .usage, "there is no system call to profile: the patches add none", nextStep: "leave out --profile-calls")
    }
}
