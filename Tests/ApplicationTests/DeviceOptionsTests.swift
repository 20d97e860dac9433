// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import KernelConfig
import SystemPackage
import Testing

@testable import Application
@testable import Project

/// The kernel options for a guest's devices, and the devices that untrusted code may not have.
@Suite("Devices of a guest", .timeLimit(.minutes(30)))
struct DeviceOptionsTests {
    private func load(_ text: String) throws -> Project {
        try Project.load(text: text, file: "/p/kbuild.yaml", profile: nil, overrides: [])
    }

    @Test("only a device requires its options, with their dependencies")
    func options() throws {
        #expect(try DeviceOptions.fragments(for: load("kernel: {}\n")).isEmpty)
        let fragments = try DeviceOptions.fragments(for: load("network: {type: user}\nmachine: {numa: 2}\n"))
        #expect(fragments.map(\.file) == ["network.type user", "machine.numa"])
        let entries = fragments.flatMap(\.entries)
        #expect(entries.contains { $0.name == "VIRTIO_NET" && $0.value == .yes })
        #expect(entries.contains { $0.name == "NUMA" && $0.value == .yes })
        #expect(entries.allSatisfy { $0.support == .listed })
        // Unused cards are off in kbuild's own configuration, and are the user's choice in another.
        #expect(entries.contains { $0.name == "WLAN" && $0.value == .no })
        let own = try DeviceOptions.fragments(for: load("network: {type: user}\nkernel: {base: defconfig}\n"))
        #expect(!own.flatMap(\.entries).contains { $0.name == "WLAN" })
    }

    @Test("separate options are read with and without their prefix, and an invalid one is named")
    func alone() throws {
        let fragment = try KernelSteps.options(["CONFIG_A=y", "B=16", "# CONFIG_C is not set"])
        #expect(fragment.entries.map(\.text) == ["CONFIG_A=y", "CONFIG_B=16", "# CONFIG_C is not set"])
        #expect(fragment.entries.allSatisfy { $0.support == .dependencies })
        let failure = #expect(throws: Failure.self) { try KernelSteps.options(["A"]) }
        #expect(failure?.code == .usage && failure?.message.contains("--set") == true)
    }

    @Test(
        "devices that reach beyond the machine are named; an empty disk and NUMA nodes are not",
        arguments: [
            ("network: {type: user}\n", "network.type user"), ("disks: [{file: a}]\n", "disks[].file"),
            ("machine: {qemu-options: [-s]}\n", "machine.qemu-options"),
            ("disks: [{size: 8M}]\nmachine: {numa: 2}\n", nil),
        ])
    func reach(text: String, device: String?) throws {
        #expect(try load(text).reachingDevice == device)
    }
}
