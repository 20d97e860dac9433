// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// How a machine's CPU runs.
public enum Accelerator: String, Sendable, Hashable, Codable, CaseIterable {
    /// The host's CPU, through Linux's KVM.
    case kvm
    /// QEMU's own translator: slower, works everywhere.
    case tcg
}

/// The accelerator that the user requests.
public enum AcceleratorRequest: String, Sendable, Hashable, Codable, CaseIterable {
    /// KVM if it works, else TCG.
    case auto
    /// KVM or nothing.
    case kvm
    /// TCG, whatever the host can do.
    case tcg
}

/// Whether KVM runs guests on this host.
public enum KVMStatus: Sendable, Hashable {
    /// A guest completed the same work as the start of a kernel.
    case works
    /// This user cannot open KVM here, for this reason.
    case absent(reason: String)
    /// KVM can be opened, but a guest did not complete, for this reason.
    case broken(reason: String)

    /// Why KVM cannot be used; nil when it can.
    public var reason: String? {
        switch self {
        case .works: nil
        case .absent(let reason), .broken(let reason): reason
        }
    }
}

extension KVMStatus: CustomStringConvertible {
    /// One line: "works", "absent: REASON" or "broken: REASON". `init(line:)` reads it back.
    public var description: String {
        switch self {
        case .works: "works"
        case .absent(let reason): "absent: \(reason)"
        case .broken(let reason): "broken: \(reason)"
        }
    }

    /// Reads what `description` wrote; nil for anything else.
    public init?(line: String) {
        let parts = line.split(separator: ": ", maxSplits: 1).map(String.init)
        switch (parts.first, parts.count) {
        case ("works", 1): self = .works
        case ("absent", 2): self = .absent(reason: parts[1])
        case ("broken", 2): self = .broken(reason: parts[1])
        default: return nil
        }
    }
}

/// The accelerator to use, and a note for the user about the choice.
public struct AcceleratorDecision: Sendable, Hashable {
    /// The accelerator.
    public var accelerator: Accelerator
    /// A line that every user should see: KVM was not used, and why. Nil when there is no note.
    public var note: String?

    /// Creates a decision.
    public init(accelerator: Accelerator, note: String? = nil) {
        self.accelerator = accelerator
        self.note = note
    }

    /// Chooses an accelerator.
    ///
    /// - Throws: `Failure` (`infrastructure`) when KVM is requested and does not work: a run that should be fast must
    ///   not silently be slow.
    public static func decide(
        requested: AcceleratorRequest, status: KVMStatus
    ) throws(Failure) -> AcceleratorDecision {
        switch (requested, status) {
        case (.tcg, _):
            return AcceleratorDecision(accelerator: .tcg)
        case (.auto, .works), (.kvm, .works):
            return AcceleratorDecision(accelerator: .kvm)
        case (.auto, .absent(let reason)):
            return AcceleratorDecision(accelerator: .tcg, note: "no KVM (\(reason)): using TCG, which is slower")
        case (.auto, .broken(let reason)):
            return AcceleratorDecision(
                accelerator: .tcg, note: "KVM is present but broken (\(reason)): using TCG, which is slower")
        case (.kvm, .absent(let reason)):
            throw Failure(
                .infrastructure, "KVM was asked for, but it is absent", details: reason,
                nextStep: Self.nextStep(forAbsence: reason))
        case (.kvm, .broken(let reason)):
            throw Failure(
                .infrastructure, "KVM was asked for, but it is broken on this host", details: reason,
                nextStep: "use --accel auto or --accel tcg; on a virtual host, ask for nested virtualisation")
        }
    }

    private static func nextStep(forAbsence reason: String) -> String {
        if reason.hasPrefix(AcceleratorProbe.permissionReason) {
            return "add yourself to the group kvm (sudo usermod -aG kvm $USER) and log in again, or use --accel tcg"
        }
        return "load the module (modprobe kvm_intel or kvm_amd), enable virtualisation in the firmware, "
            + "or use --accel tcg"
    }
}
