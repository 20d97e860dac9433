// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Doctor
import FileSystem
import Foundation
import KernelConfig
import KernelMake
import Processes
import Project
import Reporting
import ResultsModel
import SystemPackage
import VirtualMachine

/// A machine to run a session on.
struct MachineCandidate: Sendable {
    var machine: any BootingMachine
    /// The machine in the report's types.
    var reported: RunReport.Machine
    /// Seconds until the guest's init must have sent its first frame.
    var bootLimit: Double
    /// QEMU's configuration; nil for user-mode Linux.
    var configuration: MachineConfiguration?
    /// The runner of its process.
    var runner: CommandRunner
}

/// The accelerator of a run's guests.
struct ChosenAccelerator: Sendable {
    var accelerator: Accelerator
    /// Why it was chosen.
    var reason: String
}

/// The inputs of a guest's machine.
struct GuestRequest: Sendable {
    var accelerator: ChosenAccelerator
    var kernel: BuiltKernel
    var root: RootDevice
    /// The folders that it may mount.
    var shares: [Share]
    /// The folder of the test programs, for a guest that has them on a disk; nil for one that mounts them.
    var programs: FilePath?
    /// Whether KCSAN, if it is on, watches only a few files of the kernel.
    var watchesFewFiles = false
    /// The numbers of the calls whose cost is counted.
    var profiledCalls: [Int] = []

    /// Whether that cost is in instructions, which one CPU of an emulated processor can count.
    var countsInstructions: Bool { !profiledCalls.isEmpty && accelerator.accelerator == .tcg }
}

/// Chooses the machines that a project's guests run on.
struct MachineSelection: Sendable {
    let context: ProjectContext

    private var project: Project { context.project }
    private var tools: ToolContext { context.tools }

    /// The machines for a session: the second is for a guest that does not boot on the first.
    ///
    /// microvm and a directly started kernel boot fastest. But this board has few clocks and timers, a guest may stall
    /// while it calibrates them, and direct starts are rarely used; so the usual board is the fallback.
    ///
    /// - Throws: `Failure` (`infrastructure`) when QEMU is missing; `CancellationError`.
    func machines(for guest: GuestRequest) async throws -> [MachineCandidate] {
        let boot = Double(project.limits.boot)
        let hiding = BootMessages.hiding(project.machine.kernelArguments)
        if !hiding.isEmpty {
            tools.progress(
                .note(
                    "the kernel's command line has \(hiding.joined(separator: " ")), which keeps kernel messages or checks "
                        + "from the console (machine.command-line)"))
        }
        let rules = try await context.confinement.rules()
        guard project.architecture != .um else { return [umlMachine(for: guest, rules, bootLimit: boot)] }
        let emulator = try await emulator()
        let features = try BootFeatures(config: guest.kernel.config)
        let boards: [MachineType]
        switch project.machine.type {
        case .q35: boards = [.q35]
        case .pc: boards = [.pc]
        case .microvm: boards = [.microvm, .q35]
        case .auto, .uml:
            // KVM's guests calibrate nothing, and q35 is made for them.
            let isSafe =
                guest.accelerator.accelerator == .tcg && features.hasVirtioMMIO && project.machine.numaNodes == 1
            boards = isSafe ? [.microvm, .q35] : [.q35]
        }
        // A counter of instructions has 1 GHz of the guest's clock.
        let kilohertz: Int? =
            if guest.countsInstructions { 1_000_000 } else if boards.contains(.microvm) {
                try await TimeStampCounter.kilohertz()
            } else { nil }
        return boards.enumerated().map { index, board in
            let bootsDirectly =
                features.isDirectlyBootable && guest.kernel.bootModules == nil
                && (index == 0 || guest.kernel.image == nil)
            var configuration = MachineConfiguration(
                type: board, accelerator: guest.accelerator.accelerator,
                memoryMegabytes: project.machine.memoryMegabytes,
                cpus: guest.countsInstructions ? 1 : project.machine.cpus,
                kernel: bootsDirectly ? guest.kernel.vmlinux : guest.kernel.bootFile, root: guest.root,
                shares: guest.shares, results: project.machine.results == .serial ? .serial : .virtio,
                kernelArguments: kernelArguments(for: guest), bootsDirectly: bootsDirectly,
                timeStampKilohertz: kilohertz,
                timerHertz: features.timerHertz, filtersSystemCalls: emulator.filtersSystemCalls)
            configuration.disks = project.disks.map { disk in
                switch disk {
                case .empty(let size): .scratch(megabytes: size)
                case .file(let path, let isWritable): .file(path, isWritable: isWritable)
                }
            }
            configuration.countsInstructions = guest.countsInstructions
            configuration.hasUserNetwork = project.network.isUser
            configuration.forwards = project.network.forwards
            configuration.hasHostRoot = project.rootfsType == .host
            configuration.programs = guest.programs
            configuration.numaNodes = project.machine.numaNodes
            configuration.emulatorOptions = project.machine.emulatorOptions
            return qemuMachine(
                configuration, for: guest, rules, version: emulator.version,
                // A quarter of the boot limit is many times a normal boot on this board.
                bootLimit: index + 1 < boards.count ? min(boot, max(5, boot / 4)) : boot)
        }
    }

    private func qemuMachine(
        _ configuration: MachineConfiguration, for guest: GuestRequest, _ rules: Confinement.Rules?,
        version: String, bootLimit: Double
    ) -> MachineCandidate {
        let devices: [FilePath] = configuration.accelerator == .kvm ? ["/dev/kvm"] : []
        let runner = runner(for: guest, rules, kernel: configuration.kernel, devices: devices)
        return MachineCandidate(
            machine: QEMUMachine(configuration, runner: runner),
            reported: .init(
                type: configuration.type.rawValue, accelerator: configuration.accelerator.rawValue,
                acceleratorReason: guest.accelerator.reason, memoryMegabytes: configuration.memoryMegabytes,
                cpus: configuration.cpus,
                rootfs: project.rootfsType.rawValue, results: configuration.results.rawValue, qemuVersion: version),
            bootLimit: bootLimit, configuration: configuration, runner: runner)
    }

    /// The runner of a machine's process, which sees only the guest's parts and the shares.
    private func runner(
        for guest: GuestRequest, _ rules: Confinement.Rules?, kernel: FilePath, devices: [FilePath] = []
    ) -> CommandRunner {
        guard let rules else { return tools.runner }
        let shares = guest.shares
        let image: FilePath =
            switch guest.root {
            case .disk(let path), .initramfs(let path): path
            }
        return tools.runner.confined(
            by: rules.machine(
                readable: [kernel, image] + [guest.programs].compactMap { $0 }
                    + shares.filter(\.isReadOnly).map(\.path),
                writable: shares.filter { !$0.isReadOnly }.map(\.path), devices: devices))
    }

    /// The properties of this QEMU, asked for once.
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

    /// The words that this project adds to the kernel's command line; the user's words are last.
    private func kernelArguments(for guest: GuestRequest) -> [String] {
        let checks = project.checks.flatMap { $0.kernelArguments(watchingFewFiles: guest.watchesFewFiles) }
        let coverage = project.coverage == nil ? [] : ["kbuild.coverage=on"]
        let calls = CallProfiling.kernelArguments(
            guest.profiledCalls, unit: guest.countsInstructions ? .instructions : .nanoseconds)
        return KUnitTests.kernelArguments(project.tests) + checks + coverage + calls + project.machine.kernelArguments
    }

    private func umlMachine(
        for guest: GuestRequest, _ rules: Confinement.Rules?, bootLimit: Double
    ) -> MachineCandidate {
        let settings = project.machine
        let runner = runner(for: guest, rules, kernel: guest.kernel.bootFile)
        var configuration = UMLConfiguration(
            kernel: guest.kernel.bootFile, memoryMegabytes: settings.memoryMegabytes, root: guest.root,
            shares: guest.shares, kernelArguments: kernelArguments(for: guest))
        configuration.scratchMegabytes = project.disks.compactMap(\.megabytes)
        return MachineCandidate(
            machine: UMLMachine(configuration, runner: runner),
            reported: .init(
                type: settings.type.rawValue, accelerator: "none",
                acceleratorReason: "user-mode Linux is a process of the host",
                // User-mode Linux has one CPU, whatever the project requests.
                memoryMegabytes: settings.memoryMegabytes, cpus: 1, rootfs: project.rootfsType.rawValue,
                results: "ttyS0"), bootLimit: bootLimit, runner: runner)
    }

    // MARK: The accelerator

    /// Chooses the accelerator: KVM is used only if it has run a guest.
    ///
    /// - Throws: `Failure` (`infrastructure`) when KVM is requested and does not work.
    func decideAccelerator() async throws -> ChosenAccelerator {
        // User-mode Linux runs on the host's CPU; at most libguestfs's appliance needs an accelerator.
        let isForGuest = project.architecture != .um
        if !isForGuest, !project.rootfsType.isDisk {
            return ChosenAccelerator(accelerator: .tcg, reason: "nothing needs one")
        }
        let requested = project.machine.accelerator
        guard requested != .tcg else { return ChosenAccelerator(accelerator: .tcg, reason: "asked for") }
        guard let executable = tools.runner.supervisor else {
            throw Failure(.infrastructure, "kbuild cannot find its own executable to probe KVM with")
        }
        let probe = AcceleratorProbe(
            layout: tools.layout, statCache: tools.statCache, runner: tools.runner, executable: executable)
        let decision = try await probe.decide(
            requested: requested, qemu: try tools.runner.locate("qemu-system-x86_64"))
        if isForGuest, let note = decision.note { tools.progress(context.isNews(note) ? .note(note) : .detail(note)) }
        return ChosenAccelerator(accelerator: decision.accelerator, reason: decision.note ?? "KVM works")
    }
}
