// SPDX-License-Identifier: Apache-2.0
import Processes
import SystemPackage

extension MachineConfiguration {
    /// The I/O port of the isa-debug-exit device. 0xF4 is free on all boards.
    static let exitPort = 0xF4
    /// What QEMU exits with when the guest's init ends the machine: `(0x2A << 1) | 1`, which no other path gives.
    public static let exitCodeOfInit: Int32 = 85
    /// What QEMU exits with when the guest panics (`-action panic=exit-failure`).
    public static let exitCodeOfPanic: Int32 = 1
    /// The descriptor that one who wakes reads the saved state from.
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
        if type == .microvm { words += microvmWords }
        return (words + kernelArguments).joined(separator: " ")
    }

    /// What a kernel on microvm has to be told, for lack of a timer to calibrate others with.
    private var microvmWords: [String] {
        // Without firmware to ask, a triple fault is the way to reset, hence to end.
        var words = ["reboot=t", "no_timer_check"]
        if let timeStampKilohertz {
            words.append("tsc_early_khz=\(timeStampKilohertz)")
            // Loops per tick, which follow from it: measuring them costs 0.1 s a CPU.
            words.append("lpj=\(timeStampKilohertz * 1000 / timerHertz)")
        }
        // An emulated processor speculates nothing.
        if accelerator == .tcg { words.append("mitigations=off") }
        return words
    }

    /// The `-machine` option. microvm has a clock, without which its guest waits a second for one, neither of the old
    /// timers and interrupt controllers, and no ROM but to load a compressed kernel.
    private var machineOption: String {
        let accelerated = "\(type.rawValue),accel=\(accelerator.rawValue)"
        guard type == .microvm else { return accelerated }
        return accelerated + ",rtc=on,pit=off,pic=off" + (bootsDirectly ? ",x-option-roms=off" : "")
    }

    /// The options by which QEMU gives up system calls: a guest that takes over the process can start no program,
    /// become nobody else, and change no limit. QEMU may be built without it.
    public static let systemCallFilter = [
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
    ]

    /// How virtio devices are attached.
    private var virtioBus: String { type == .microvm ? "device" : "pci" }

    /// What the guest's memory is.
    public enum Memory: Sendable, Hashable {
        /// Anonymous: it goes with the machine.
        case anonymous
        /// A new file, so that the machine can be saved.
        case saved(MachineSnapshot)
        /// A saved machine's, which stays as it is.
        case restored(MachineSnapshot)
    }

    /// The options for memory that is a file. One who wakes has to have the blocks of the one who was saved, by name.
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
            // Memory that is to be kept has to stay: kbuild ends the machine then.
            "-action", memoryDump == nil ? "panic=exit-failure" : "panic=pause,shutdown=pause",
            "-machine", machineOption + (memory == .anonymous ? "" : ",memory-backend=ram"),
            // TCG's "max" has RDRAND; 57-bit addresses would only make page-table walks longer.
            "-cpu", accelerator == .kvm ? "host" : "max,la57=off",
            "-smp", "\(cpus)", "-m", "\(memoryMegabytes)M",
            "-kernel", kernel.string, "-append", kernelCommandLine,
        ]
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
                // Nobody writes to an image of the store; a machine that is being saved or restored keeps others from
                // reading it for a moment, with QEMU's locks on.
                "-drive",
                "if=none,id=root,format=raw,readonly=on,file.locking=off,file=\(Self.escaped(image))",
                "-device", "virtio-blk-\(virtioBus),drive=root",
            ]
        case .initramfs(let archive):
            arguments += ["-initrd", archive.string]
        }
        for index in scratchMegabytes.indices {
            arguments += [
                "-drive",
                // Nothing of it outlives the machine, so that nothing has to reach a disk of the host's.
                "if=none,id=scratch\(index),format=raw,cache=unsafe,discard=unmap,"
                    + "file=\(Self.escaped(sockets.scratchDisk(index)))",
                "-device", "virtio-blk-\(virtioBus),drive=scratch\(index)",
            ]
        }
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
        // Without PCI a panic ends in a reset; the console tells the two apart.
        if type != .microvm { arguments += ["-device", "pvpanic-pci"] }
        var command = Command("qemu-system-x86_64", arguments)
        if case .restored(let snapshot) = memory { command.descriptors = [snapshot.state] }
        return command
    }

    /// A path within a QEMU option, where a comma ends the value unless it is doubled.
    private static func escaped(_ path: FilePath) -> String {
        path.string.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
    }
}
