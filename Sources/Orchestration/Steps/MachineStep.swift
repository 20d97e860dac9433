import KernelTree
import Reporting
import SystemPackage
import VirtualMachine

/// A machine to run a session on.
struct MachineCandidate: Sendable {
    var machine: any BootingMachine
    /// The same in the report's terms.
    var reported: RunReport.Machine
    /// Seconds until the guest's init must have spoken.
    var bootLimit: Double
    /// What QEMU is told; nil for user-mode Linux.
    var configuration: MachineConfiguration?
}

extension Pipeline {
    /// The machines for a session: the second is for a guest that does not boot on the first.
    ///
    /// microvm and a kernel that is started directly boot soonest. But that board's clocks and timers are few, a guest may
    /// stall in calibrating them, and the direct way in is little used; so there is the usual way to fall back to.
    func machines(
        accelerator: (accelerator: Accelerator, reason: String), kernel: BuiltKernel, root: RootDevice, shares: [Share]
    ) async throws -> [MachineCandidate] {
        let boot = Double(project.timeouts.boot)
        guard project.architecture != .um else {
            return [umlMachine(kernel: kernel, root: root, shares: shares, bootLimit: boot)]
        }
        let features = try BootFeatures(config: kernel.config)
        let boards: [MachineType]
        switch project.machine.type {
        case .q35: boards = [.q35]
        case .pc: boards = [.pc]
        case .microvm: boards = [.microvm, .q35]
        case .auto, .uml:
            // KVM's guests calibrate nothing, and q35 was made for them.
            let isSafe = accelerator.accelerator == .tcg && features.hasVirtioMMIO
            boards = isSafe ? [.microvm, .q35] : [.q35]
        }
        let kilohertz = boards.contains(.microvm) ? try await TimeStampCounter.kilohertz() : nil
        return boards.enumerated().map { index, board in
            qemuMachine(
                board, accelerator: accelerator, kernel: kernel, features: features,
                bootsDirectly: features.isDirectlyBootable && index == 0, root: root, shares: shares,
                kilohertz: kilohertz,
                // A quarter of the time that a boot may take is many times what one takes on this board.
                bootLimit: index + 1 < boards.count ? min(boot, max(5, boot / 4)) : boot)
        }
    }

    private func qemuMachine(
        _ board: MachineType, accelerator: (accelerator: Accelerator, reason: String), kernel: BuiltKernel,
        features: BootFeatures, bootsDirectly: Bool, root: RootDevice, shares: [Share], kilohertz: Int?,
        bootLimit: Double
    ) -> MachineCandidate {
        let settings = project.machine
        let results: ResultsChannel = settings.results == .serial ? .serial : .virtio
        let configuration = MachineConfiguration(
            type: board, accelerator: accelerator.accelerator, memoryMegabytes: settings.memoryMegabytes,
            cpus: settings.cpus, kernel: bootsDirectly ? kernel.vmlinux : kernel.image, root: root, shares: shares,
            results: results, kernelArguments: settings.kernelArguments, bootsDirectly: bootsDirectly,
            timeStampKilohertz: kilohertz, timerHertz: features.timerHertz)
        return MachineCandidate(
            machine: QEMUMachine(configuration, runner: tools.runner),
            reported: .init(
                type: board.rawValue, accelerator: accelerator.accelerator.rawValue,
                acceleratorReason: accelerator.reason, memoryMegabytes: settings.memoryMegabytes, cpus: settings.cpus,
                rootfs: project.rootfsType.rawValue, results: results.rawValue), bootLimit: bootLimit,
            configuration: configuration)
    }

    private func umlMachine(
        kernel: BuiltKernel, root: RootDevice, shares: [Share], bootLimit: Double
    ) -> MachineCandidate {
        let settings = project.machine
        let configuration = UMLConfiguration(
            kernel: kernel.image, memoryMegabytes: settings.memoryMegabytes, root: root, shares: shares,
            kernelArguments: settings.kernelArguments)
        return MachineCandidate(
            machine: UMLMachine(configuration, runner: tools.runner),
            reported: .init(
                type: settings.type.rawValue, accelerator: "none",
                acceleratorReason: "user-mode Linux is a process of the host",
                // It has one CPU, whatever is asked for.
                memoryMegabytes: settings.memoryMegabytes, cpus: 1, rootfs: project.rootfsType.rawValue,
                results: "ttyS0"), bootLimit: bootLimit)
    }
}
