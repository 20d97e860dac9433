// SPDX-License-Identifier: Apache-2.0
import Processes
import SystemPackage

extension MachineConfiguration {
    /// The I/O port of the isa-debug-exit device. 0xF4 is free on all boards.
    static let exitPort = 0xF4
    /// QEMU's exit code when the guest's init ends the machine: `(0x2A << 1) | 1`, which no other path gives.
    public static let exitCodeOfInit: Int32 = 85
    /// QEMU's exit code when the guest panics (`-action panic=exit-failure`).
    public static let exitCodeOfPanic: Int32 = 1
    /// The descriptor from which a restored machine reads the saved state.
    static let stateDescriptor = 3
    /// The name of the results port in the guest.
    static let resultsPortName = "kbuild.results"

    /// The kernel's command line.
    public var kernelCommandLine: String {
        var words = ["console=ttyS0"]
        switch root {
        case .disk: words += ["root=/dev/vda", "ro", "init=/init"]
        case .initramfs: words += ["rdinit=/init"]
        }
        words += [
            BootMessages.level,
            // A panic ends the machine at once; QEMU's -no-reboot makes that an exit.
            "panic=-1",
            // Without the processor's random numbers the first getrandom() waits about a second.
            "random.trust_cpu=on",
            "8250.nr_uarts=1",
            "kbuild.results=\(results.rawValue)",
            "kbuild.exit=\(Self.exitPort)",
        ]
        if hasUserNetwork { words.append(Self.networkArgument) }
        if hasHostRoot { words.append(Self.hostRootArgument) }
        if programs != nil { words.append(Self.programsArgument) }
        if type == .microvm { words += microvmWords }
        return (words + kernelArguments).joined(separator: " ")
    }

    /// The kernel arguments for microvm, which has no timer to calibrate others with.
    private var microvmWords: [String] {
        // Without firmware, a triple fault is the way to reset, and so to end.
        var words = ["reboot=t", "no_timer_check"]
        if let timeStampKilohertz {
            words.append("tsc_early_khz=\(timeStampKilohertz)")
            // Loops per tick, computed from the frequency: measuring them costs 0.1 s a CPU.
            words.append("lpj=\(timeStampKilohertz * 1000 / timerHertz)")
        }
        // An emulated processor does not speculate.
        if accelerator == .tcg { words.append("mitigations=off") }
        return words
    }

    /// The `-machine` option. microvm has a clock, because its guest would wait a second for one; it has neither the
    /// old timers nor the old interrupt controllers, and only the ROM that loads a compressed kernel.
    private var machineOption: String {
        let accelerated = "\(type.rawValue),accel=\(accelerator.rawValue)"
        guard type == .microvm else { return accelerated }
        return accelerated + ",rtc=on,pit=off,pic=off" + (bootsDirectly ? ",x-option-roms=off" : "")
    }

    /// The options that make QEMU give up system calls: an attacker who takes over QEMU cannot start programs, change
    /// user, or change limits. QEMU may be built without this option.
    public static let systemCallFilter = [
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
    ]

    /// How virtio devices are attached.
    private var virtioBus: String { type == .microvm ? "device" : "pci" }

    /// The kinds of guest memory.
    public enum Memory: Sendable, Hashable {
        /// Anonymous memory, which ends with the machine.
        case anonymous
        /// A new file, so that the machine can be saved.
        case saved(MachineSnapshot)
        /// A saved machine's memory, which stays unchanged.
        case restored(MachineSnapshot)
    }

    /// The options for memory in a file. A restored machine must declare the same memory backends, with the same IDs.
    private func memoryArguments(_ memory: Memory) -> [String] {
        func file(_ snapshot: MachineSnapshot, share: String) -> [String] {
            [
                "-object",
                "memory-backend-file,id=ram,size=\(memoryMegabytes)M,mem-path=\(Self.escaped(snapshot.memory)),"
                    + "share=\(share)",
            ]
        }
        return switch memory {
        case .anonymous: []
        case .saved(let snapshot): file(snapshot, share: "on")
        case .restored(let snapshot): file(snapshot, share: "off") + ["-incoming", "defer"]
        }
    }

    /// QEMU with every option that this machine needs and no default device.
    public func command(sockets: MachineSockets, memory: Memory = .anonymous) -> Command {
        var arguments = [
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            // To keep the memory, QEMU pauses at the end, and kbuild ends the machine.
            "-action", memoryDump == nil ? "panic=exit-failure" : "panic=pause,shutdown=pause",
            "-machine", machineOption + (memory == .anonymous ? "" : ",memory-backend=ram"),
            // TCG's "max" has RDRAND; 57-bit addresses would only make page-table walks longer.
            "-cpu", accelerator == .kvm ? "host" : "max,la57=off",
            "-smp", "\(cpus)", "-m", "\(memoryMegabytes)M",
            "-kernel", kernel.string, "-append", kernelCommandLine,
        ]
        // A nanosecond of the guest for each instruction; while all CPUs wait, its clock follows the host's.
        if countsInstructions { arguments += ["-icount", "shift=0"] }
        if filtersSystemCalls { arguments += Self.systemCallFilter }
        arguments += memoryArguments(memory)
        arguments += [
            "-chardev", "socket,id=monitor,path=\(Self.escaped(sockets.monitor))",
            "-mon", "chardev=monitor,mode=control",
        ]
        if waitsForDebugger {
            arguments += [
                "-S", "-chardev", "socket,id=debugger,path=\(Self.escaped(sockets.debugger)),server=on,wait=off",
                "-gdb", "chardev:debugger",
            ]
        }
        switch root {
        case .disk(let image):
            arguments += [
                // Nobody writes to an image of the store; with QEMU's locks on, a machine that is being saved or
                // restored would briefly prevent others from reading it.
                "-drive",
                "if=none,id=root,format=raw,readonly=on,file.locking=off,file=\(Self.escaped(image))",
                "-device", "virtio-blk-\(virtioBus),drive=root",
            ]
        case .initramfs(let archive):
            arguments += ["-initrd", archive.string]
        }
        arguments +=
            diskArguments(sockets, bus: virtioBus) + programsArguments(bus: virtioBus)
            + networkArguments(bus: virtioBus) + numaArguments
        for (index, share) in shares.enumerated() {
            let access = share.isReadOnly ? ",readonly=on" : ""
            arguments += [
                "-fsdev",
                "local,id=share\(index),security_model=\(share.securityModel.rawValue)\(access),"
                    + "multidevs=remap,path=\(Self.escaped(share.path))",
                "-device", "virtio-9p-\(virtioBus),fsdev=share\(index),mount_tag=\(share.tag)",
            ]
        }
        arguments += [
            "-chardev", "socket,id=console,path=\(Self.escaped(sockets.console))", "-serial", "chardev:console",
        ]
        if results == .virtio {
            arguments += [
                "-device", "virtio-serial-\(virtioBus)",
                "-chardev", "socket,id=results,path=\(Self.escaped(sockets.results))",
                "-device", "virtserialport,chardev=results,name=\(Self.resultsPortName)",
            ]
        }
        arguments += ["-device", "isa-debug-exit,iobase=\(Self.exitPort),iosize=4"]
        // Without PCI a panic ends in a reset; the console distinguishes the two.
        if type != .microvm { arguments += ["-device", "pvpanic-pci"] }
        var command = Command("qemu-system-x86_64", arguments + ownArguments)
        if case .restored(let snapshot) = memory { command.descriptors = [snapshot.state] }
        return command
    }

    /// A path within a QEMU option, in which commas are doubled, because a single comma ends the value.
    static func escaped(_ path: FilePath) -> String {
        path.string.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
    }
}
