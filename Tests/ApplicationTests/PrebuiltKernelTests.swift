// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import KernelSource
import Reporting
import ResultsModel
import RootFilesystem
import SystemPackage
import Testing

@testable import Application
@testable import Project

/// A run of a kernel that kbuild does not build: the project's adaptation, the guest's modules, the verdict.
@Suite("runs of prebuilt kernels", .timeLimit(.minutes(30)))
struct PrebuiltRunTests {
    private func load(_ extra: String = "", kernel: String = "6.1.0-56-amd64") throws -> Project {
        try Project.load(
            text: """
                kernel: {source: linux-source-6.1, patches: [kernel/a], uml-config: [uml.config]}
                \(extra)

                """, file: "/p/kbuild.yaml", profile: nil,
            overrides: [ProjectOverride(key: "kernel.source", value: kernel, flag: "--kernel")])
    }

    @Test("nothing is patched, and the guest starts from an archive")
    func adapted() throws {
        let project = try load("rootfs: {type: disk}")
        #expect(
            project.prebuiltKernel == .installed(image: "/boot/vmlinuz-6.1.0-56-amd64", release: "6.1.0-56-amd64"))
        #expect(project.kernel.patches == [])
        #expect(project.absentPatches == ["/p/kernel/a"])
        #expect(project.rootfsType == .initramfs)
        let source = try load("rootfs: {type: disk}", kernel: "linux-source-6.12")
        #expect(source.prebuiltKernel == nil)
        #expect(source.kernel.patches == ["/p/kernel/a"])
        #expect(source.rootfsType == .disk)
    }

    @Test(
        "what only a kernel of kbuild's own has is refused, with the next step",
        arguments: [
            "machine: {type: uml}", "machine: {type: microvm}", "check: memory", "coverage: {collect: on}", "lint: on",
            "rootfs: {type: debian}",
        ])
    func refused(extra: String) {
        #expect {
            try load(extra)
        } throws: { error in
            let failure = error as? Failure
            return failure?.code == .usage && failure?.nextStep != nil
                && failure?.message.contains("a kernel that kbuild does not build") == true
        }
    }

    @Test("patches of the command line, and modules, are refused for a kernel as it is, rather than left out")
    func leftOut() {
        let file: FilePath = "/p/kbuild.yaml"
        func load(_ text: String, _ overrides: [ProjectOverride]) throws -> Project {
            let kernel = ProjectOverride(key: "kernel.source", value: "6.1.0-56-amd64", flag: "--kernel")
            return try Project.load(text: text, file: file, profile: nil, overrides: [kernel] + overrides)
        }
        let text = "kernel: {source: linux-source-6.1}\n"
        #expect {
            try load(text, [ProjectOverride(key: "kernel.patches", .entry("/m.mbox"), flag: "--mbox")])
        } throws: { error in
            (error as? Failure)?.message.hasSuffix("so patches cannot be applied to it") == true
        }
        #expect {
            try load(text + "modules: [{path: modules/ring}]\n", [])
        } throws: { error in
            (error as? Failure)?.message.hasSuffix("so no modules can be built for it") == true
        }
    }

    @Test("--in-tree names the tree of kbuild's own project, and is refused elsewhere")
    func inTree() throws {
        let override = try ProjectOverride.inTree.naming(tree: "/home/me/linux")
        #expect(override.value == .scalar("in-tree:/home/me/linux"))
        let project = try Project.load(
            text: "kernel: {source: /home/me/linux, base: /home/me/linux/.config}\n", file: "/p/kbuild.yaml",
            profile: nil,
            overrides: [override])
        #expect(project.prebuiltKernel == .inTree("/home/me/linux"))
        #expect(throws: Failure.self) { try ProjectOverride.inTree.naming(tree: nil) }
        #expect {
            try Project.load(
                text: "kernel: {source: /l}\ncheck: memory\n", file: "/p/kbuild.yaml", profile: nil,
                overrides: [override])
        } throws: { error in
            (error as? Failure)?.message == "--in-tree builds the tree as it is, so checkers cannot be built into it"
        }
    }

    @Test("a built kernel needs no project, and a relative path is relative to the working directory")
    func withoutProject() {
        func override(_ text: String) -> ProjectOverride {
            ProjectOverride(key: "kernel.source", value: text, flag: "--kernel")
        }
        #expect(Project.namesBuiltKernel(override("6.1.0-56-amd64"), from: "/d"))
        #expect(!Project.namesBuiltKernel(override("linux-source-6.1"), from: "/d"))
        #expect(Project.builtKernel("../a.deb", from: "/d/e") == "/d/a.deb")
        #expect(Project.builtKernel("./linux", from: "/d") == nil)
    }

    @Test("modules go into the archive by one name each, in the order in which init loads them")
    func modules() throws {
        var modules = BootModules()
        modules.folder = "/lib/modules/6.1.0-56-amd64"
        modules.paths = ["kernel/drivers/virtio/virtio.ko", "kernel/fs/9p/9p.ko.xz"]
        var definition = RootFilesystemDefinition()
        modules.add(to: &definition, decompressed: "/cache/x")
        #expect(
            definition.texts[BootModules.list]?.contents
                == "/lib/modules/boot/virtio.ko\n/lib/modules/boot/9p.ko\n")
        #expect(
            definition.files.mapValues(\.source) == [
                "/lib/modules/boot/virtio.ko": "/lib/modules/6.1.0-56-amd64/kernel/drivers/virtio/virtio.ko",
                "/lib/modules/boot/9p.ko": "/cache/x/9p.ko",
            ])
        #expect(modules.searchFolder == "/lib/modules/6.1.0-56-amd64")
    }

    @Test("without a driver for the results or the programs' disk no test can run; without 9p there are no shares")
    func obstacles() {
        let none = BootModules(folder: nil, index: ModuleIndex(builtIn: ""))
        #expect(none.obstacles == ["virtio_pci", "virtio_console", "virtio_blk", "vfat"])
        #expect(!none.hasShares && !none.hasOverlay)
        #expect(none.searchFolder == nil)
        // Where 9p is built in, the programs need no disk.
        let names = [
            "drivers/virtio/virtio_pci.ko", "drivers/char/virtio_console.ko", "net/9p/9pnet_virtio.ko", "fs/9p/9p.ko",
        ]
        let list = names.map { "kernel/\($0)\n" }.joined()
        let builtIn = BootModules(folder: nil, index: ModuleIndex(builtIn: list))
        #expect(builtIn.obstacles.isEmpty && builtIn.hasShares && builtIn.hasBuiltInShares && !builtIn.hasOverlay)
    }

    @Test("the verdict says that kbuild did not build the kernel, and the JSON has its file")
    func verdict() throws {
        var report = RunReport(startedAt: "2026-11-27T20:00:00Z", project: "/p")
        report.kernel = .init(source: "6.1.0-56-amd64", version: "6.1.0-56-amd64")
        report.suites = [
            SuiteResult(name: "M", kind: "swift", tests: [TestResult(id: "M/a", name: "a", status: .passed)])
        ]
        #expect(!TextReport().verdict(report).plain.contains("did not build"))
        report.kernel?.prebuilt = "/boot/vmlinuz-6.1.0-56-amd64"
        #expect(
            TextReport().verdict(report).plain
                == "PASSED: 1 passed, 0 failed in 0.00 s, on Linux 6.1.0-56-amd64, which kbuild did not build")
        report.isBootCheck = true
        #expect(
            TextReport().verdict(report).plain
                == "BOOTED CLEAN: Linux 6.1.0-56-amd64 in 0.00 s, which kbuild did not build")
        #expect(try JSONReport.parse(try JSONReport.render(report)).kernel?.prebuilt == "/boot/vmlinuz-6.1.0-56-amd64")
    }
}
