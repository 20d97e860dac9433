// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Processes
import SystemPackage
import Testing

@testable import Doctor

@Suite("Requirements of the host", .timeLimit(.minutes(30)))
struct HostCheckTests {
    @Test(
        "a tool's version is found in its output",
        arguments: [
            ("gcc (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright (C) 2022\n", "12.2.0"),
            ("mke2fs 1.47.0 (5-Feb-2023)\n", "1.47.0"), ("bc 1.07.1\n", "1.07.1"), ("*** lz4 v1.9.4, by me\n", "1.9.4"),
            ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\n", "7.2.22"),
            ("Swift version 6.3.1 (swift-6.3.1-RELEASE)\n", "6.3.1"),
        ])
    func versions(text: String, version: String) {
        #expect(HostCheck.version(in: text) == version)
    }

    @Test(
        "versions are compared part by part, as numbers",
        arguments: [
            ("6.3.1", [6, 3], false), ("6.10", [6, 3], false), ("6.2.9", [6, 3], true), ("5.9", [6, 0], true),
            ("7", [6, 3], false), ("6", [6, 3], true), ("1.0", [], false),
        ])
    func comparison(version: String, minimum: [Int], isOlder: Bool) {
        #expect(HostCheck.isOlder(version, than: minimum) == isOlder)
    }

    @Test("one missing requirement makes the host not ready, and one command installs all packages")
    func verdict() {
        let ok = HostFinding("gcc", .ok, found: "12.2", purpose: "compiles", package: "gcc")
        let warning = HostFinding("ccache", .warning, found: "not on PATH", purpose: "spares", package: "ccache")
        #expect(HostReport([ok, warning]).isReady)
        #expect(HostReport([ok, warning]).text.plain.hasSuffix("READY: kbuild run works here"))
        #expect(ok.fix == nil)
        #expect(warning.fix == "apt-get install ccache")
        let report = HostReport([
            ok, warning, HostFinding("flex", .missing, found: "not on PATH", purpose: "reads", package: "flex"),
            HostFinding("bc", .missing, found: "not on PATH", purpose: "reckons", package: "bc"),
        ])
        #expect(!report.isReady)
        #expect(report.text.plain.contains("fix: apt-get install flex\n"))
        #expect(report.text.plain.hasSuffix("NOT READY: flex, bc\nnext: apt-get install flex bc"))
    }

    @Test("the next step is the finding's fix, not a package that is already installed")
    func ownFix() {
        let kernel = HostFinding(
            "appliance kernel", .missing, found: "unreadable", purpose: "makes", package: "linux-image",
            fix: "sudo chmod 0644 /boot/vmlinuz")
        #expect(HostReport([kernel]).text.plain.hasSuffix("next: sudo chmod 0644 /boot/vmlinuz"))
        let flex = HostFinding("flex", .missing, found: "not on PATH", purpose: "reads", package: "flex")
        #expect(
            HostReport([flex, kernel]).text.plain.hasSuffix(
                "next: apt-get install flex, and apply the other fixes listed above"))
        let cache = HostFinding("cache", .missing, found: "full", purpose: "keeps")
        #expect(HostReport([cache, kernel]).text.plain.hasSuffix("next: apply the fixes listed above"))
        #expect(HostReport([cache]).text.plain.hasSuffix("next: apply the fixes listed above"))
    }

    @Test("every line of the list of packages is read, and the Makefile reads that list")
    func packageList() throws {
        let repository = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent()
        let text = try readText(repository.appending("Sources/Support/Processes/packages.txt"))
        let lines = text.split(separator: "\n").filter { !$0.hasPrefix("#") }
        #expect(lines.count > 30)
        #expect(DebianPackage.all == DebianPackage.parse(text))
        #expect(DebianPackage.all.map(\.name) == lines.map { String($0.prefix { $0 != " " }) })
        #expect(Set(DebianPackage.all.map(\.name)).count == lines.count)
        #expect(Set(DebianPackage.all.flatMap(\.tools)).count == DebianPackage.all.flatMap(\.tools).count)
        let makefile = try readText(repository.appending("Makefile"))
        #expect(makefile.contains("PACKAGE_LIST := Sources/Support/Processes/packages.txt\n"))
        for use in ["required|optional|build", "build", "optional"] {
            #expect(makefile.contains("PACKAGES := $(call packages,\(use))\n"))
        }
    }

    @Test("every required package is in the list, and every other package in the list has a reason")
    func packages() {
        #expect(HostRequirements.packages.subtracting(DebianPackage.all.map(\.name)) == [])
        // Packages for kbuild's own build, for the second kernel of its tests, and for kernels with other options.
        let other: Set<String> = [
            "libguestfs-dev", "libseccomp-dev", "pkg-config", "linux-source-6.12", "cpio", "kmod", "patch", "zstd",
            // Compression tools of patches and logs.
            "bzip2",
            // The sandbox's tools.
            "util-linux",
            // Packages with kernels.
            "dpkg",
        ]
        #expect(Set(DebianPackage.all.map(\.name)).subtracting(HostRequirements.packages) == other)
        #expect(CommandRunner.debianPackage(of: "strip") == "binutils")
    }

    @Test("the Debian package depends on everything that a new project needs")
    func dependencies() {
        let optional = DebianPackage.all.filter { $0.use == .optional || $0.use == .build }.map(\.name)
        let new = HostRequirements(
            isUML: false, hasDisk: true, has32BitPrograms: false, isFromGit: false, isFromDebian: true)
        let needed =
            new.tools.filter(\.isNeeded).compactMap { CommandRunner.debianPackage(of: $0.tool) }
            + new.headers.filter(\.isNeeded).map(\.package)
        #expect(needed.count > 10)
        #expect(Set(optional).intersection(needed) == [])
    }

    @Test("the requirements follow the project")
    func needs() {
        func tools(isUML: Bool, hasDisk: Bool) -> [String] {
            HostRequirements(
                isUML: isUML, hasDisk: hasDisk, has32BitPrograms: false, isFromGit: false, isFromDebian: true
            ).tools.filter(\.isNeeded).map(\.tool)
        }
        #expect(tools(isUML: false, hasDisk: true).contains("qemu-system-x86_64"))
        #expect(!tools(isUML: true, hasDisk: true).contains("qemu-system-x86_64"))
        #expect(tools(isUML: false, hasDisk: true).contains("supermin"))
        #expect(!tools(isUML: false, hasDisk: false).contains("supermin"))
        #expect(!tools(isUML: false, hasDisk: true).contains("ccache"))
    }

    @Test("sizes are readable", arguments: [(512 << 20, "512 MiB"), (3 << 29, "1.5 GiB"), (47 << 30, "47 GiB")])
    func sizes(bytes: Int, text: String) {
        #expect(HostCheck.size(bytes) == text)
    }
}
