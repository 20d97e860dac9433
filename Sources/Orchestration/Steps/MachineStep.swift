import Reporting
import SystemPackage
import VirtualMachine

extension Pipeline {
    /// QEMU's board; nil for user-mode Linux.
    private var board: MachineType? {
        switch project.machine.type {
        case .auto, .q35: .q35
        case .pc: .pc
        case .uml: nil
        }
    }

    private var resultsChannel: ResultsChannel {
        project.machine.results == .serial ? .serial : .virtio
    }

    /// The machine that the project asks for.
    func machine(accelerator: Accelerator, kernel: FilePath, root: RootDevice, shares: [Share]) -> any Machine {
        let settings = project.machine
        guard let board else {
            return UMLMachine(
                UMLConfiguration(
                    kernel: kernel, memoryMegabytes: settings.memoryMegabytes, root: root, shares: shares,
                    kernelArguments: settings.kernelArguments), runner: tools.runner)
        }
        return QEMUMachine(
            MachineConfiguration(
                type: board, accelerator: accelerator, memoryMegabytes: settings.memoryMegabytes, cpus: settings.cpus,
                kernel: kernel, root: root, shares: shares, results: resultsChannel,
                kernelArguments: settings.kernelArguments), runner: tools.runner)
    }

    /// The same in the report's terms.
    func reportedMachine(_ decision: (accelerator: Accelerator, reason: String)) -> RunReport.Machine {
        let settings = project.machine
        guard let board else {
            return .init(
                type: settings.type.rawValue, accelerator: "none",
                acceleratorReason: "user-mode Linux is a process of the host",
                // It has one CPU, whatever is asked for.
                memoryMegabytes: settings.memoryMegabytes, cpus: 1, rootfs: project.rootfsType.rawValue,
                results: "ttyS0")
        }
        return .init(
            type: board.rawValue, accelerator: decision.accelerator.rawValue, acceleratorReason: decision.reason,
            memoryMegabytes: settings.memoryMegabytes, cpus: settings.cpus, rootfs: project.rootfsType.rawValue,
            results: resultsChannel.rawValue)
    }
}
