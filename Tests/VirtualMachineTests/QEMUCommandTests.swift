// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Glibc
import Processes
import SystemPackage
import Testing

@testable import VirtualMachine

@Suite("QEMU's command line", .timeLimit(.minutes(30)))
struct QEMUCommandTests {
    private func configuration(
        type: MachineType = .q35, accelerator: Accelerator = .tcg, root: RootDevice = .disk("/image"),
        results: ResultsChannel = .virtio, shares: [Share] = []
    ) -> MachineConfiguration {
        MachineConfiguration(
            type: type, accelerator: accelerator, memoryMegabytes: 256, cpus: 2, kernel: "/kernel", root: root,
            shares: shares, results: results, kernelArguments: ["extra=1"])
    }

    private func arguments(_ configuration: MachineConfiguration) -> [String] {
        configuration.command(sockets: MachineSockets(folder: "/run")).arguments
    }

    private func value(_ option: String, in arguments: [String]) -> [String] {
        zip(arguments, arguments.dropFirst()).filter { $0.0 == option }.map(\.1)
    }

    @Test("the accelerator and the board are named", arguments: MachineType.allCases, Accelerator.allCases)
    func machine(type: MachineType, accelerator: Accelerator) {
        let arguments = arguments(configuration(type: type, accelerator: accelerator))
        let option = value("-machine", in: arguments)
        #expect(option.count == 1)
        #expect(
            option[0].split(separator: ",").prefix(2) == [Substring(type.rawValue), "accel=\(accelerator.rawValue)"])
        #expect(value("-cpu", in: arguments) == [accelerator == .kvm ? "host" : "max,la57=off"])
    }

    @Test("a machine whose guest's memory is saved stays when the guest ends; one for a debugger waits for it")
    func observed() {
        var kept = configuration()
        kept.memoryDump = "/dump"
        #expect(value("-action", in: arguments(kept)) == ["panic=pause,shutdown=pause"])
        var debugged = configuration()
        debugged.waitsForDebugger = true
        let arguments = arguments(debugged)
        #expect(arguments.contains("-S"))
        #expect(value("-gdb", in: arguments) == ["chardev:debugger"])
        #expect(
            value("-chardev", in: arguments).contains("socket,id=debugger,path=/run/debugger,server=on,wait=off"))
        #expect(!self.arguments(configuration()).contains("-S"))
    }

    @Test("a machine that counts instructions says so, and another does not")
    func instructions() {
        #expect(value("-icount", in: arguments(configuration())).isEmpty)
        var counting = configuration()
        counting.countsInstructions = true
        #expect(value("-icount", in: arguments(counting)) == ["shift=0"])
    }

    @Test("a folder of programs becomes a read-only disk, which init finds by its serial number")
    func programs() {
        var configuration = configuration()
        configuration.programs = "/run/a,b/guest"
        let arguments = arguments(configuration)
        #expect(
            value("-drive", in: arguments).contains(
                "if=none,id=programs,format=vvfat,readonly=on,dir=/run/a,,b/guest"))
        #expect(value("-device", in: arguments).contains("virtio-blk-pci,drive=programs,serial=kbuild-programs"))
        #expect(value("-append", in: arguments).first?.contains("kbuild.programs=disk") == true)
        #expect(configuration.obstacleToSaving != nil)
    }

    @Test("disks: empty ones beside the sockets, files whose writes are discarded unless they are writable")
    func disks() {
        var configuration = configuration(type: .microvm)
        configuration.disks = [
            .scratch(megabytes: 8), .file("/a,b.img", isWritable: false), .file("/c.qcow2", isWritable: true),
        ]
        let arguments = arguments(configuration)
        #expect(
            value("-drive", in: arguments).suffix(3) == [
                "if=none,id=disk0,format=raw,cache=unsafe,discard=unmap,file=/run/disk0",
                "if=none,id=disk1,format=raw,snapshot=on,file=/a,,b.img",
                "if=none,id=disk2,format=qcow2,file=/c.qcow2",
            ])
        #expect(
            value("-device", in: arguments).filter { $0.contains("drive=disk") } == [
                "virtio-blk-device,drive=disk0", "virtio-blk-device,drive=disk1", "virtio-blk-device,drive=disk2",
            ])
    }

    @Test(
        "the network is QEMU's user network, and ports are open only on the host", arguments: MachineType.allCases)
    func network(type: MachineType) throws {
        var configuration = configuration(type: type)
        #expect(!arguments(configuration).contains("-netdev"))
        configuration.hasUserNetwork = true
        configuration.forwards = try ["2222:22", "udp:53:5353"].map { try #require(PortForward(parsing: $0)) }
        let arguments = arguments(configuration)
        #expect(
            value("-netdev", in: arguments) == [
                "user,id=network,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=udp:127.0.0.1:53-:5353"
            ])
        let device =
            type == .microvm ? "virtio-net-device,netdev=network" : "virtio-net-pci,netdev=network,romfile="
        #expect(value("-device", in: arguments).contains(device))
        #expect(value("-append", in: arguments)[0].contains(" kbuild.network=user "))
    }

    @Test(
        "a forwarded port is a pair of ports, with or without a protocol",
        arguments: [
            ("2222:22", "2222:22"), ("tcp:1:2", "1:2"), ("udp:1:65535", "udp:1:65535"), ("0:1", nil), ("1:65536", nil),
            ("1", nil), ("1:2:3", nil), ("sctp:1:2", nil), ("", nil), (":", nil), ("127.0.0.1:1:2", nil), ("-1:2", nil),
        ])
    func forward(text: String, description: String?) {
        #expect(PortForward(parsing: text)?.description == description)
    }

    @Test("NUMA nodes divide all memory and CPUs; the user's options come last; neither machine is saved")
    func nodes() {
        var configuration = configuration()
        #expect(configuration.obstacleToSaving == nil)
        configuration.numaNodes = 3
        configuration.cpus = 4
        let arguments = arguments(configuration)
        #expect(
            value("-numa", in: arguments) == [
                "node,nodeid=0,cpus=0-1,memdev=node0", "node,nodeid=1,cpus=2-2,memdev=node1",
                "node,nodeid=2,cpus=3-3,memdev=node2",
            ])
        #expect(
            value("-object", in: arguments) == [
                "memory-backend-ram,id=node0,size=86M", "memory-backend-ram,id=node1,size=85M",
                "memory-backend-ram,id=node2,size=85M",
            ])
        #expect(configuration.obstacleToSaving?.contains("machine.numa") == true)
        var own = self.configuration()
        own.emulatorOptions = ["-device virtio-rng-pci,id=a b", "-s"]
        #expect(self.arguments(own).suffix(3) == ["-device", "virtio-rng-pci,id=a b", "-s"])
        #expect(own.obstacleToSaving?.contains("-device virtio-rng-pci") == true)
    }

    @Test("a machine never reboots and a panic is an exit")
    func endings() {
        let arguments = arguments(configuration())
        #expect(arguments.contains("-no-reboot"))
        #expect(value("-action", in: arguments) == ["panic=exit-failure"])
        #expect(value("-device", in: arguments).contains("pvpanic-pci"))
        #expect(value("-append", in: arguments)[0].contains("panic=-1"))
    }

    @Test("a disk is attached read-only and an initramfs is loaded")
    func root() {
        let disk = arguments(configuration())
        #expect(value("-drive", in: disk) == ["if=none,id=root,format=raw,readonly=on,file.locking=off,file=/image"])
        #expect(value("-append", in: disk)[0].contains("root=/dev/vda ro init=/init"))
        let initramfs = arguments(configuration(root: .initramfs("/archive")))
        #expect(value("-initrd", in: initramfs) == ["/archive"])
        #expect(value("-drive", in: initramfs).isEmpty)
        #expect(value("-append", in: initramfs)[0].contains("rdinit=/init"))
    }

    @Test("scratch disks follow the root, each a new file of its size in the machine's folder")
    func scratchDisks() throws {
        var configuration = configuration()
        configuration.disks = [.scratch(megabytes: 300), .file("/kept", isWritable: true), .scratch(megabytes: 1)]
        let drives = value("-drive", in: arguments(configuration))
        #expect(drives.count == 4)
        #expect(drives[1] == "if=none,id=disk0,format=raw,cache=unsafe,discard=unmap,file=/run/disk0")
        #expect(value("-device", in: arguments(configuration)).contains("virtio-blk-pci,drive=disk2"))
        let folder = try PrivateFolder()
        defer { folder.remove() }
        let sockets = MachineSockets(folder: folder.path)
        try sockets.createScratchDisks(configuration.disks.map(\.scratchMegabytes))
        var status = stat()
        #expect(stat(sockets.scratchDisk(0).string, &status) == 0)
        #expect(status.st_size == 300 << 20)
        #expect(status.st_blocks == 0)
        #expect(throws: Failure.self) { try sockets.createScratchDisks([1]) }
    }

    @Test("programs are shared read-only; files in writable shares are mapped")
    func shares() {
        let arguments = arguments(
            configuration(shares: [
                Share(tag: "programs", path: "/p,q", isReadOnly: true),
                Share(tag: "shared", path: "/s", isReadOnly: false),
            ]))
        #expect(
            value("-fsdev", in: arguments) == [
                "local,id=share0,security_model=none,readonly=on,multidevs=remap,path=/p,,q",
                "local,id=share1,security_model=mapped-xattr,multidevs=remap,path=/s",
            ])
        #expect(value("-device", in: arguments).contains("virtio-9p-pci,fsdev=share1,mount_tag=shared"))
    }

    @Test("the results port exists when it is used, and the guest's command line names it")
    func results() {
        let virtio = arguments(configuration())
        #expect(value("-device", in: virtio).contains("virtserialport,chardev=results,name=kbuild.results"))
        #expect(value("-append", in: virtio)[0].contains("kbuild.results=virtio"))
        let serial = arguments(configuration(results: .serial))
        #expect(!value("-device", in: serial).contains { $0.contains("virtserialport") })
        #expect(value("-append", in: serial)[0].contains("kbuild.results=serial"))
    }

    @Test("the user's kernel arguments come last, so that they have precedence")
    func kernelArguments() {
        #expect(configuration().kernelCommandLine.hasSuffix(" extra=1"))
    }

    @Test(
        "QEMU's exit status determines how the machine ended",
        arguments: [
            (ProcessStatus.exited(85), "", MachineExit.finished),
            (.exited(0), "", .reset),
            (.exited(1), "", .panicked),
            (
                .exited(1), "qemu-system-x86_64: no such device",
                .failed(.exited(1), message: "qemu-system-x86_64: no such device")
            ),
            (.signaled(9), "", .failed(.signaled(9), message: "")),
        ])
    func exits(status: ProcessStatus, errors: String, expected: MachineExit) {
        #expect(QEMUMachine.interpret(CommandResult(status: status, output: "", errors: errors)) == expected)
    }

    @Test("microvm has no PCI, and its guest gets the values that it cannot measure")
    func microvm() throws {
        var configuration = configuration(type: .microvm)
        configuration.timeStampKilohertz = 2_500_000
        configuration.timerHertz = 100
        let arguments = arguments(configuration)
        #expect(!arguments.contains { $0.contains("pci") })
        for device in ["virtio-blk-device,drive=root", "virtio-serial-device"] {
            #expect(value("-device", in: arguments).contains(device), "\(device)")
        }
        let words = value("-append", in: arguments)[0].split(separator: " ")
        for word in ["tsc_early_khz=2500000", "lpj=25000000", "no_timer_check", "reboot=t", "mitigations=off"] {
            #expect(words.contains(Substring(word)), "\(word)")
        }
        #expect(words.last == "extra=1")
        // Under KVM speculation is real.
        let kvm = self.arguments(self.configuration(type: .microvm, accelerator: .kvm))
        #expect(!value("-append", in: kvm)[0].contains("mitigations"))
        #expect(!value("-append", in: self.arguments(self.configuration()))[0].contains("tsc_early_khz"))
    }
}
