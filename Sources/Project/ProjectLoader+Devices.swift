// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import SystemPackage
import VirtualMachine
import Yams

/// The devices of a guest besides its root: disks, network, and raw QEMU options.
extension ProjectLoader {
    /// Reads an entry of `disks`.
    func disk(_ node: Node, index: Int, path: (String) -> FilePath) throws(Failure) -> Project.Disk {
        let place = "disks[\(index)]"
        let isWritable = node["writable"]?.string.flatMap(Schema.flag)
        switch (node["size"]?.string.flatMap(megabytes(in:)), node["file"]?.string) {
        case (let size?, nil):
            guard isWritable == nil else {
                throw error("\(place).writable goes with file; an empty disk is always writable", at: node["writable"])
            }
            return .empty(megabytes: size)
        case (nil, let file?): return .file(path(file), isWritable: isWritable ?? false)
        default: throw missing("either size, such as 300M, or file", in: place, node)
        }
    }

    /// Reads `network`.
    func network(_ node: Node?) throws(Failure) -> Project.Network {
        guard let node else { return .init() }
        var forwards: [PortForward] = []
        for entry in node["forward"]?.sequence ?? [] {
            guard let text = entry.string, let forward = PortForward(parsing: text) else {
                throw error(
                    "network.forward \(entry.string ?? "") is not HOST:GUEST with ports from 1 to 65535, such as 2222:22 "
                        + "or udp:5353:53", at: entry)
            }
            if let other = forwards.first(where: { $0.host == forward.host && $0.isUDP == forward.isUDP }) {
                throw error("network.forward has port \(other.host) of the host twice", at: entry)
            }
            forwards.append(forward)
        }
        let type = node["type"]?.string
        if type == "none", !forwards.isEmpty {
            throw error("network.forward needs network.type user", at: node["forward"])
        }
        // A forwarded port implies a network.
        return .init(isUser: type == "user" || !forwards.isEmpty, forwards: forwards)
    }

    /// Finds devices that conflict with each other or with the machine.
    func checkDevices(_ node: Node, _ disks: [Project.Disk], _ network: Project.Network) throws(Failure) {
        let machine = node["machine"]
        let type = machine?["type"]?.string
        let numa = machine?["numa"]?.string.flatMap { Int($0) } ?? 1
        if type == Project.MachineChoice.uml.rawValue {
            if network.isUser {
                throw error("network.type user goes with QEMU, not with user-mode Linux", at: node["network"])
            }
            if numa > 1 { throw error("machine.numa goes with QEMU, not with user-mode Linux", at: machine?["numa"]) }
            if let options = machine?["qemu-options"] {
                throw error("machine.qemu-options goes with QEMU, not with user-mode Linux", at: options)
            }
            if disks.contains(where: { $0.megabytes == nil }) {
                throw error("disks[].file goes with QEMU; user-mode Linux takes disks with size", at: node["disks"])
            }
        }
        if numa > 1 {
            if type == Project.MachineChoice.microvm.rawValue {
                throw error("machine.numa goes with q35 and pc: microvm has no table of nodes", at: machine?["numa"])
            }
            let (cpus, memory) = (
                machine?["cpus"]?.string.flatMap { Int($0) } ?? 2,
                machine?["memory"]?.string.flatMap(megabytes(in:)) ?? 512
            )
            guard cpus >= numa, memory >= numa * 64 else {
                throw error(
                    "machine.numa \(numa) needs a CPU and 64 MiB a node; the machine has \(pluralized(cpus, "CPU")) and "
                        + "\(memory) MiB", at: machine?["numa"])
            }
        }
        for (index, option) in (machine?["qemu-options"]?.sequence ?? []).enumerated() {
            guard let text = option.string, text.hasPrefix("-") else {
                throw error(
                    "machine.qemu-options[\(index)] does not begin with a dash; write an option with its value, such as "
                        + "\"-device virtio-rng-pci\"", at: option)
            }
        }
        let isOfOneGuest =
            node["isolate"]?.string != Project.Isolation.test.rawValue
            && (node["guests"]?.string.flatMap { Int($0) } ?? 1) == 1
        guard !isOfOneGuest else { return }
        if disks.contains(where: { if case .file(_, isWritable: true) = $0 { true } else { false } }) {
            throw error(
                "disks[].writable goes with one guest: several would write to one file (isolate, guests)",
                at: node["disks"])
        }
        if !network.forwards.isEmpty {
            throw error(
                "network.forward goes with one guest: several cannot have one port (isolate, guests)",
                at: node["network"])
        }
    }
}
