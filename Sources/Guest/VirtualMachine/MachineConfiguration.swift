// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A virtual machine's board.
public enum MachineType: String, Sendable, Codable, CaseIterable {
    /// Intel Q35 with PCI Express.
    case q35
    /// Intel 440FX with PCI.
    case pc
    /// A board without PCI and firmware: the fastest to boot. It needs a kernel with CONFIG_PVH and CONFIG_VIRTIO_MMIO,
    /// and under TCG the frequency of the host's time-stamp counter.
    case microvm
}

/// A host folder that the guest mounts over 9p.
public struct Share: Sendable, Hashable {
    /// How the files' owners and modes are stored (QEMU's `security_model`).
    public enum SecurityModel: String, Sendable {
        /// As on the host. Only for folders that the guest cannot write to.
        case none
        /// In extended attributes, so that nothing the guest creates is a real device, link or setuid file.
        case mappedXattr = "mapped-xattr"
    }

    /// The tag by which the guest names it.
    public var tag: String
    /// The folder on the host.
    public var path: FilePath
    /// Whether the guest may only read.
    public var isReadOnly: Bool
    /// Whether what the guest writes has the modes that the guest gives it, so that a program is one on the host too.
    /// Only for guests whose code is trusted: they can leave setuid files and devices.
    public var keepsModes = false

    /// Creates a share.
    public init(tag: String, path: FilePath, isReadOnly: Bool, keepsModes: Bool = false) {
        self.tag = tag
        self.path = path
        self.isReadOnly = isReadOnly
        self.keepsModes = keepsModes
    }

    /// The model that is safe for the folder's direction.
    public var securityModel: SecurityModel { isReadOnly || keepsModes ? .none : .mappedXattr }
}

/// The source of the guest's root file system.
public enum RootDevice: Sendable, Hashable {
    /// A raw disk image, attached read-only.
    case disk(FilePath)
    /// A cpio archive, unpacked into memory.
    case initramfs(FilePath)
}

/// How test results leave the guest.
public enum ResultsChannel: String, Sendable, Codable, CaseIterable {
    /// A separate virtio serial port.
    case virtio
    /// Framed on the serial console, among the kernel's messages.
    case serial
}

/// The inputs of QEMU's command line.
public struct MachineConfiguration: Sendable, Hashable {
    /// The board.
    public var type: MachineType
    /// The accelerator.
    public var accelerator: Accelerator
    /// Guest memory in MiB.
    public var memoryMegabytes: Int
    /// Virtual CPUs.
    public var cpus: Int
    /// The kernel image.
    public var kernel: FilePath
    /// Whether it is an ELF file with a PVH entry, which QEMU loads without firmware.
    public var bootsDirectly: Bool
    /// The root file system.
    public var root: RootDevice
    /// The 9p shares.
    public var shares: [Share]
    /// How results leave the guest.
    public var results: ResultsChannel
    /// Words added to the end of the kernel's command line.
    public var kernelArguments: [String]
    /// The frequency of the host's time-stamp counter in kHz, which microvm's guest cannot measure; nil if the guest
    /// should measure it.
    public var timeStampKilohertz: Int?
    /// The guest's timer interrupts a second (CONFIG_HZ).
    public var timerHertz: Int
    /// Whether QEMU gives up the system calls that it does not need, above all those that start programs.
    public var filtersSystemCalls: Bool
    /// The file for the guest's memory when it crashes, resets or reaches a limit; nil to discard it.
    public var memoryDump: FilePath?
    /// The disks after the root's.
    public var disks: [MachineDisk] = []
    /// A folder that the guest has as a read-only disk with a FAT file system; nil for none.
    public var programs: FilePath?
    /// Whether the guest has QEMU's user network.
    public var hasUserNetwork = false
    /// The ports of the host that lead to the guest.
    public var forwards: [PortForward] = []
    /// How many nodes memory and CPUs are divided among.
    public var numaNodes = 1
    /// Whether init takes the share with `MachineConfiguration.hostRootTag` for its root.
    public var hasHostRoot = false
    /// The user's options, each one of QEMU's with its value.
    public var emulatorOptions: [String] = []
    /// Whether the emulated processor's time-stamp counter counts instructions (`-icount`). It can have one CPU then.
    public var countsInstructions = false
    /// Whether the machine waits at its first instruction for a debugger.
    public var waitsForDebugger = false

    /// Creates a configuration.
    public init(
        type: MachineType, accelerator: Accelerator, memoryMegabytes: Int, cpus: Int, kernel: FilePath,
        root: RootDevice, shares: [Share], results: ResultsChannel, kernelArguments: [String] = [],
        bootsDirectly: Bool = false, timeStampKilohertz: Int? = nil, timerHertz: Int = 250,
        filtersSystemCalls: Bool = false
    ) {
        self.type = type
        self.accelerator = accelerator
        self.memoryMegabytes = memoryMegabytes
        self.cpus = cpus
        self.kernel = kernel
        self.bootsDirectly = bootsDirectly
        self.root = root
        self.shares = shares
        self.results = results
        self.kernelArguments = kernelArguments
        self.timeStampKilohertz = timeStampKilohertz
        self.timerHertz = timerHertz
        self.filtersSystemCalls = filtersSystemCalls
    }
}
