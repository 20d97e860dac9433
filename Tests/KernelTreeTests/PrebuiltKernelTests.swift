// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import SystemPackage
import Testing

@testable import KernelSource

/// Kernels that kbuild boots and does not build.
@Suite("prebuilt kernels", .timeLimit(.minutes(30)))
struct PrebuiltKernelTests {
    private static let here: FilePath = "/home/me/project"

    @Test(
        "an image's path, a release and a package are recognised",
        arguments: [
            (
                "/boot/vmlinuz-6.1.0-56-amd64",
                .installed(image: "/boot/vmlinuz-6.1.0-56-amd64", release: "6.1.0-56-amd64")
            ),
            (
                "6.1.0-56-cloud-amd64",
                .installed(image: "/boot/vmlinuz-6.1.0-56-cloud-amd64", release: "6.1.0-56-cloud-amd64")
            ),
            (
                "6.12.57+deb13-amd64",
                .installed(image: "/boot/vmlinuz-6.12.57+deb13-amd64", release: "6.12.57+deb13-amd64")
            ),
            (
                "/lib/modules/6.9.4-200.fc40.x86_64/vmlinuz",
                .installed(image: "/lib/modules/6.9.4-200.fc40.x86_64/vmlinuz", release: "6.9.4-200.fc40.x86_64")
            ),
            ("../vmlinuz-5.10", .installed(image: "/home/me/vmlinuz-5.10", release: "5.10")),
            ("linux-image-6.1.deb", .package("/home/me/project/linux-image-6.1.deb")),
            ("/tmp/a.deb", .package("/tmp/a.deb")),
            ("in-tree:/home/me/linux", .inTree("/home/me/linux")),
        ] as [(String, PrebuiltKernel)])
    func recognised(text: String, kernel: PrebuiltKernel) throws {
        #expect(try KernelSource(parsing: text, relativeTo: Self.here) == .prebuilt(kernel))
        // Its description is read as the same kernel, from anywhere.
        #expect(try KernelSource(parsing: "\(kernel)", relativeTo: "/") == .prebuilt(kernel))
    }

    @Test(
        "a source stays a source",
        arguments: ["linux-source-6.1", "./linux", "/src/linux-6.1", "linux-6.1.tar.xz", "6.1.tar.gz", "git+/r#v6.1"])
    func sources(text: String) throws {
        if case .prebuilt = try KernelSource(parsing: text, relativeTo: Self.here) {
            Issue.record("\(text) is a source")
        }
    }

    @Test(
        "other words, and a digest of a built kernel, are refused",
        arguments: ["in-tree:", "vmlinuz-6.1", ".deb", "6", "6.1 x", "6.1/x y"])
    func refused(text: String) {
        if case .prebuilt? = try? KernelSource(parsing: text, relativeTo: Self.here) {
            Issue.record("\(text) is no built kernel")
        }
        #expect(throws: Failure.self) {
            try KernelSource(
                parsing: "6.1.0-1-amd64", sha256: String(repeating: "0", count: 64), relativeTo: Self.here)
        }
    }

    @Test("modules are loaded after what they need; built-in and missing ones are left out")
    func order() {
        let index = ModuleIndex(
            dependencies: """
                kernel/fs/9p/9p.ko: kernel/net/9p/9pnet.ko kernel/fs/netfs/netfs.ko
                kernel/net/9p/9pnet.ko:
                kernel/net/9p/9pnet_virtio.ko.xz: kernel/net/9p/9pnet.ko kernel/drivers/virtio/virtio.ko.xz
                kernel/drivers/virtio/virtio.ko.xz:
                kernel/fs/netfs/netfs.ko:
                kernel/fs/fat/vfat.ko: kernel/fs/fat/fat.ko
                kernel/fs/fat/fat.ko:
                kernel/fs/nls/nls_cp437.ko:
                kernel/a/loop-a.ko: kernel/a/loop-b.ko
                kernel/a/loop-b.ko: kernel/a/loop-a.ko

                """, builtin: "kernel/fs/ext4/ext4.ko\nkernel/drivers/char/virtio_console.ko\n",
            softDependencies:
                "# Soft dependencies.\nsoftdep vfat pre: nls-cp437\nsoftdep 9p post: x\nsoftdep fat pre: gone post: y\n"
        )
        #expect(
            index.loadOrder(of: ["9pnet_virtio", "9p", "ext4", "nothing", "9pnet_virtio"]) == [
                "kernel/net/9p/9pnet.ko", "kernel/drivers/virtio/virtio.ko.xz", "kernel/net/9p/9pnet_virtio.ko.xz",
                "kernel/fs/netfs/netfs.ko", "kernel/fs/9p/9p.ko",
            ])
        let fat = index.loadOrder(of: ["vfat"])
        #expect(fat.last == "kernel/fs/fat/vfat.ko")
        #expect(Set(fat.dropLast()) == ["kernel/fs/fat/fat.ko", "kernel/fs/nls/nls_cp437.ko"])
        // A cycle, which depmod refuses to write, does not hang kbuild.
        #expect(index.loadOrder(of: ["loop_a"]) == ["kernel/a/loop-b.ko", "kernel/a/loop-a.ko"])
        #expect(index.has("ext4") && index.has("loop_b") && !index.has("nothing"))
        #expect(ModuleIndex(builtIn: "").loadOrder(of: ["vfat"]) == [])
    }

    @Test("the files of an unpacked package are found; a package without a kernel, or with two, is refused")
    func package() throws {
        let root = FilePath(NSTemporaryDirectory()).appending("kbuild-package-\(UUID().uuidString)")
        defer { try? removeAll(root) }
        try createFolder(root.appending("boot"))
        #expect {
            try PrebuiltKernelFiles(unpackedIn: root, package: "/x/meta.deb")
        } throws: { error in
            (error as? Failure)?.message.contains("has no kernel") == true
        }
        let release = "6.1.0-9-amd64"
        try writeAtomically("image", to: root.pushing("boot").appending("vmlinuz-\(release)"))
        // The configuration is missing.
        #expect(throws: Failure.self) { try PrebuiltKernelFiles(unpackedIn: root, package: "/x/a.deb") }
        try writeAtomically("CONFIG_X=y\n", to: root.pushing("boot").appending("config-\(release)"))
        var files = try PrebuiltKernelFiles(unpackedIn: root, package: "/x/a.deb")
        #expect(files.release == release)
        #expect(files.modules == nil)
        let modules = root.pushing("lib/modules").appending(release)
        try createFolder(modules)
        try writeAtomically("kernel/a.ko:\n", to: modules.appending("modules.dep"))
        files = try PrebuiltKernelFiles(unpackedIn: root, package: "/x/a.deb")
        #expect(files.modules == modules)
        #expect(files.config == root.pushing("boot").appending("config-\(release)"))
        try writeAtomically("image", to: root.pushing("boot").appending("vmlinuz-6.2"))
        #expect(throws: Failure.self) { try PrebuiltKernelFiles(unpackedIn: root, package: "/x/a.deb") }
    }
}
