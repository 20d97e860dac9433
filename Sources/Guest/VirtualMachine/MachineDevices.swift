// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A port of the host that is forwarded to a port of the guest.
public struct PortForward: Sendable, Hashable, CustomStringConvertible {
    /// The port of 127.0.0.1.
    public var host: UInt16
    /// The port of the guest.
    public var guest: UInt16
    /// Whether it is a UDP port instead of a TCP port.
    public var isUDP: Bool

    /// Parses `HOST:GUEST`, `tcp:HOST:GUEST` or `udp:HOST:GUEST`; nil for any other text, and for port 0.
    public init?(parsing text: String) {
        var fields = text.split(separator: ":", omittingEmptySubsequences: false)
        isUDP = fields.first == "udp"
        if isUDP || fields.first == "tcp" { fields.removeFirst() }
        guard fields.count == 2, let host = UInt16(fields[0]), let guest = UInt16(fields[1]), host > 0, guest > 0 else {
            return nil
        }
        (self.host, self.guest) = (host, guest)
    }

    /// The form that `init(parsing:)` reads.
    public var description: String { "\(isUDP ? "udp:" : "")\(host):\(guest)" }

    /// The option of QEMU's user network. Only programs of the host itself can connect.
    var option: String { "hostfwd=\(isUDP ? "udp" : "tcp"):127.0.0.1:\(host)-:\(guest)" }
}

/// A disk after the root's.
public enum MachineDisk: Sendable, Hashable {
    /// An empty disk of this size in MiB, new at the machine's start and removed at its end.
    case scratch(megabytes: Int)
    /// A file of the host. The guest writes to a temporary file of QEMU, unless the file is writable.
    case file(FilePath, isWritable: Bool)

    /// The size of an empty disk in MiB; nil for a file.
    var scratchMegabytes: Int? { if case .scratch(let size) = self { size } else { nil } }
}

extension MachineConfiguration {
    /// The guest's address in QEMU's user network, the gateway and the name server, from QEMU's manual
    /// (docs/system/devices/net.rst). init sets them, without DHCP.
    static let networkArgument = "kbuild.network=user"

    /// The kernel argument that makes init use the host's root as its own.
    static let hostRootArgument = "kbuild.root=host"
    /// The mount tag of the host's root.
    public static let hostRootTag = "hostroot"

    /// The kernel argument that makes init mount the disk with the programs.
    static let programsArgument = "kbuild.programs=disk"
    /// The disk's serial number, by which init finds it.
    static let programsSerial = "kbuild-programs"

    /// Why a machine with these devices cannot be saved and restored; nil if it can.
    public var obstacleToSaving: String? {
        // QEMU refuses to save a machine while a 9p share is mounted.
        if hasHostRoot { return "a machine with the host's root (rootfs.type host) cannot be saved" }
        if programs != nil { return "a machine with the programs on a disk cannot be saved" }
        if numaNodes > 1 { return "a machine with NUMA nodes (machine.numa) cannot be saved" }
        if let option = emulatorOptions.first {
            return "a machine with machine.qemu-options (\(option)) cannot be saved"
        }
        return nil
    }

    /// The options for disks.
    func diskArguments(_ sockets: MachineSockets, bus: String) -> [String] {
        disks.enumerated().flatMap { index, disk in
            let drive: String
            switch disk {
            case .scratch:
                // The contents end with the machine, so nothing must reach a disk of the host.
                drive = "format=raw,cache=unsafe,discard=unmap,file=\(Self.escaped(sockets.scratchDisk(index)))"
            case .file(let path, let isWritable):
                // The format is never probed: a guest could write the header of another format, which names other
                // files.
                let format = path.extension == "qcow2" ? "qcow2" : "raw"
                drive = "format=\(format)\(isWritable ? "" : ",snapshot=on"),file=\(Self.escaped(path))"
            }
            return [
                "-drive", "if=none,id=disk\(index),\(drive)", "-device", "virtio-blk-\(bus),drive=disk\(index)",
            ]
        }
    }

    /// The options for the disk with the programs: QEMU makes the file system of a folder's files (vvfat), which needs
    /// no tool, and any distribution's kernel can mount it.
    func programsArguments(bus: String) -> [String] {
        guard let programs else { return [] }
        return [
            "-drive", "if=none,id=programs,format=vvfat,readonly=on,dir=\(Self.escaped(programs))",
            "-device", "virtio-blk-\(bus),drive=programs,serial=\(Self.programsSerial)",
        ]
    }

    /// The options for the network.
    func networkArguments(bus: String) -> [String] {
        guard hasUserNetwork else { return [] }
        let forwards = forwards.map { "," + $0.option }.joined()
        // A PCI card has a boot ROM, which takes time to load.
        let rom = bus == "pci" ? ",romfile=" : ""
        return ["-netdev", "user,id=network\(forwards)", "-device", "virtio-net-\(bus),netdev=network\(rom)"]
    }

    /// The options that divide memory and CPUs among nodes: the first nodes get the remainder.
    var numaArguments: [String] {
        guard numaNodes > 1 else { return [] }
        func parts(of total: Int) -> [Int] {
            (0..<numaNodes).map { total / numaNodes + ($0 < total % numaNodes ? 1 : 0) }
        }
        var first = 0
        return zip(parts(of: memoryMegabytes), parts(of: cpus)).enumerated().flatMap { node, part in
            let last = first + part.1 - 1
            defer { first = last + 1 }
            return [
                "-object", "memory-backend-ram,id=node\(node),size=\(part.0)M",
                "-numa", "node,nodeid=\(node),cpus=\(first)-\(last),memdev=node\(node)",
            ]
        }
    }

    /// The user's options: each is a QEMU option, with its value after the first blank.
    var ownArguments: [String] {
        emulatorOptions.flatMap { $0.split(separator: " ", maxSplits: 1).map(String.init) }
    }
}
