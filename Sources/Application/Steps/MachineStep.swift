// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Doctor
import Foundation
import KernelConfig
import Processes
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
    /// What its process is run by.
    var runner: CommandRunner
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
        let hiding = BootMessages.hiding(project.machine.kernelArguments)
        if !hiding.isEmpty {
            tools.progress(
                .note(
                    "the kernel's command line has \(hiding.joined(separator: " ")), which keeps kernel messages or checks "
                        + "from the console (machine.command-line)"))
        }
        let rules = try await confinement.rules()
        guard project.architecture != .um else {
            let runner = machineRunner(rules, kernel: kernel.bootFile, root: root, shares: shares)
            return [umlMachine(kernel: kernel, root: root, shares: shares, bootLimit: boot, runner: runner)]
        }
        let emulator = try await emulator()
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
                bootsDirectly: features.isDirectlyBootable && (index == 0 || kernel.image == nil), root: root,
                shares: shares,
                kilohertz: kilohertz, emulator: emulator, rules: rules,
                // A quarter of the time that a boot may take is many times what one takes on this board.
                bootLimit: index + 1 < boards.count ? min(boot, max(5, boot / 4)) : boot)
        }
    }

    private func qemuMachine(
        _ board: MachineType, accelerator: (accelerator: Accelerator, reason: String), kernel: BuiltKernel,
        features: BootFeatures, bootsDirectly: Bool, root: RootDevice, shares: [Share], kilohertz: Int?,
        emulator: Emulator, rules: Confinement.Rules?, bootLimit: Double
    ) -> MachineCandidate {
        let settings = project.machine
        let results: ResultsChannel = settings.results == .serial ? .serial : .virtio
        var configuration = MachineConfiguration(
            type: board, accelerator: accelerator.accelerator, memoryMegabytes: settings.memoryMegabytes,
            cpus: settings.cpus, kernel: bootsDirectly ? kernel.vmlinux : kernel.bootFile, root: root,
            shares: shares, results: results, kernelArguments: kernelArguments, bootsDirectly: bootsDirectly,
            timeStampKilohertz: kilohertz, timerHertz: features.timerHertz,
            filtersSystemCalls: emulator.filtersSystemCalls)
        configuration.scratchMegabytes = project.disks
        let devices: [FilePath] = accelerator.accelerator == .kvm ? ["/dev/kvm"] : []
        let runner = machineRunner(
            rules, kernel: configuration.kernel, root: root, shares: shares, devices: devices)
        return MachineCandidate(
            machine: QEMUMachine(configuration, runner: runner),
            reported: .init(
                type: board.rawValue, accelerator: accelerator.accelerator.rawValue,
                acceleratorReason: accelerator.reason, memoryMegabytes: settings.memoryMegabytes, cpus: settings.cpus,
                rootfs: project.rootfsType.rawValue, results: results.rawValue, qemuVersion: emulator.version),
            bootLimit: bootLimit,
            configuration: configuration, runner: runner)
    }

    /// What runs a machine's process, which sees what its guest is made of, the shares, and nothing else.
    private func machineRunner(
        _ rules: Confinement.Rules?, kernel: FilePath, root: RootDevice, shares: [Share], devices: [FilePath] = []
    ) -> CommandRunner {
        guard let rules else { return tools.runner }
        let image: FilePath =
            switch root {
            case .disk(let path), .initramfs(let path): path
            }
        return tools.runner.confined(
            by: rules.machine(
                readable: [kernel, image] + shares.filter(\.isReadOnly).map(\.path),
                writable: shares.filter { !$0.isReadOnly }.map(\.path), devices: devices))
    }

    /// What this QEMU is and can do. It is asked once.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it is missing or too old; `CancellationError`.
    func emulator() async throws -> Emulator {
        let qemu = HostCheck.qemu
        let memo = tools.layout.root.appending("qemu-\(try tools.digest(ofTool: qemu).short)")
        if let bytes = try? readBytes(memo), let known = try? JSONDecoder().decode(Emulator.self, from: Data(bytes)) {
            return known
        }
        let text = try await tools.runner.output(of: Command(qemu, ["--version"]))
        let version = try Emulator.version(in: text)
        let filter = Command(qemu, MachineConfiguration.systemCallFilter + ["-version"])
        let filters = try await tools.runner.capture(filter).status.isSuccess
        if !filters { tools.progress(.note("this QEMU has no filter of system calls (-sandbox); it runs without")) }
        let emulator = Emulator(version: version, filtersSystemCalls: filters)
        try writeAtomically(Array(JSONEncoder().encode(emulator)), to: memo)
        return emulator
    }

    /// The words that this project adds to the kernel's command line; the user's are last.
    private var kernelArguments: [String] {
        KUnitTests.kernelArguments(project.tests) + project.machine.kernelArguments
    }

    private func umlMachine(
        kernel: BuiltKernel, root: RootDevice, shares: [Share], bootLimit: Double, runner: CommandRunner
    ) -> MachineCandidate {
        let settings = project.machine
        var configuration = UMLConfiguration(
            kernel: kernel.bootFile, memoryMegabytes: settings.memoryMegabytes, root: root,
            shares: shares,
            kernelArguments: kernelArguments)
        configuration.scratchMegabytes = project.disks
        return MachineCandidate(
            machine: UMLMachine(configuration, runner: runner),
            reported: .init(
                type: settings.type.rawValue, accelerator: "none",
                acceleratorReason: "user-mode Linux is a process of the host",
                // It has one CPU, whatever is asked for.
                memoryMegabytes: settings.memoryMegabytes, cpus: 1, rootfs: project.rootfsType.rawValue,
                results: "ttyS0"), bootLimit: bootLimit, runner: runner)
    }
}
