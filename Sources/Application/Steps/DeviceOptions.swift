// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import KernelConfig
import Project

/// The kernel options that a guest's devices need in addition to those of every guest.
enum DeviceOptions {
    /// The options of a device.
    private struct Need {
        /// Its name in the project file.
        var key: String
        /// Options that must be on.
        var options: [String]
        /// Options that must be off.
        var off: [String] = []
    }

    /// A fragment for each kind of device in the project; kbuild adds the dependencies of the options and tells the
    /// user what it has set.
    static func fragments(for project: Project) throws(Failure) -> [ConfigFragment] {
        var needs: [Need] = []
        if project.network.isUser {
            needs.append(Need(key: "network.type user", options: ["INET", "NETDEVICES", "NET_CORE", "VIRTIO_NET"]))
            // Options that come with them but are not part of kbuild's own configuration: cards that no guest has.
            if project.configBase == .target("tinyconfig") { needs[0].off = ["ETHERNET", "WLAN"] }
        }
        if project.machine.numaNodes > 1 {
            needs.append(Need(key: "machine.numa", options: ["NUMA", "X86_64_ACPI_NUMA"]))
        }
        if project.rootfsType == .host {
            needs.append(Need(key: "rootfs.type host", options: ["OVERLAY_FS", "TMPFS_XATTR"]))
        }
        var fragments: [ConfigFragment] = []
        for need in needs {
            let lines = need.options.map { "CONFIG_\($0)=y\n" } + need.off.map { "# CONFIG_\($0) is not set\n" }
            fragments.append(try ConfigFragment(parsing: lines.joined(), file: need.key).supported(isListed: true))
        }
        return fragments
    }
}

extension ProjectContext {
    /// Refuses devices with which foreign code in the guest could reach beyond its machine: the host's network, files
    /// of the host, and QEMU's own options.
    ///
    /// - Throws: `Failure`: `usage`, and the errors of the look-up of the sandbox.
    func checkDevices() async throws {
        guard let device = project.reachingDevice, try await confinement.rules() != nil else { return }
        throw Failure(
            .usage, "\(device) is not given to a guest that runs code from outside of the project",
            nextStep: "leave it out, or trust that code: --sandbox off")
    }
}

extension Project {
    /// A device with which a guest reaches beyond its machine, by its name in the project file; nil if there is none.
    var reachingDevice: String? {
        if rootfsType == .host { return "rootfs.type host" }
        if network.isUser { return "network.type user" }
        if disks.contains(where: { $0.megabytes == nil }) { return "disks[].file" }
        if !machine.emulatorOptions.isEmpty { return "machine.qemu-options" }
        return nil
    }
}
