// SPDX-License-Identifier: Apache-2.0
import Processes

/// A tool that kbuild runs, or that the kernel's make runs for it.
package struct ToolRequirement: Sendable {
    /// Its name on `PATH`.
    package var tool: String
    /// Its purpose.
    package var purpose: String
    /// The least supported version; empty for any.
    var minimum: [Int] = []
    /// Whether a run fails without it.
    package var isNeeded: Bool
    /// The arguments that print the version.
    var versionArguments = ["--version"]
    /// The fix when it is missing and has no package.
    package var fix: String?
}

/// A header, checked by a compilation.
package struct HeaderRequirement: Sendable {
    package var header: String
    package var name: String
    package var package: String
    package var purpose: String
    package var isNeeded: Bool
    package var options: [String] = []
}

/// A project's requirements of the host.
package struct HostRequirements: Sendable {
    package var isUML: Bool
    var hasDisk: Bool
    var has32BitPrograms: Bool
    var isFromGit: Bool
    var isFromDebian: Bool
    /// Whether the guest's root file system is a Debian system.
    var isDebian = false
    /// Whether there are suites in Swift, as in a new project.
    var hasSwiftSuites = true
    /// Whether the guest's init is compiled on this host; an installed kbuild contains one.
    var compilesInit = true

    /// The tools, in the order in which a run needs them.
    package var tools: [ToolRequirement] {
        let swift = "install Swift 6.3 as https://www.swift.org/install/linux says"
        var tools: [ToolRequirement] = [
            // Results need the event stream of version 6.3.
            .init(
                tool: "swiftc", purpose: "compiles the guest's init", minimum: [6, 3],
                isNeeded: hasSwiftSuites || compilesInit, fix: swift),
            .init(
                tool: "swift-build", purpose: "builds the suites", minimum: [6, 3], isNeeded: hasSwiftSuites,
                fix: swift),
            .init(tool: "git", purpose: "fetches a kernel source git+REPOSITORY#REF", isNeeded: isFromGit),
            .init(tool: "tar", purpose: "unpacks the kernel's source", isNeeded: true),
            .init(tool: "xz", purpose: "unpacks Debian's kernel sources", isNeeded: isFromDebian),
        ]
        // The least versions are those of Documentation/process/changes.rst of Linux 6.1.
        tools += [
            .init(tool: "make", purpose: "builds the kernel", minimum: [3, 82], isNeeded: true),
            .init(tool: "gcc", purpose: "compiles the kernel and C programs", minimum: [5, 1], isNeeded: true),
            .init(tool: "ld", purpose: "links the kernel", minimum: [2, 23], isNeeded: true),
            .init(tool: "flex", purpose: "reads the kernel's configuration", minimum: [2, 5, 35], isNeeded: true),
            .init(tool: "bison", purpose: "reads the kernel's configuration", minimum: [2, 0], isNeeded: true),
            .init(tool: "bc", purpose: "reckons the kernel's time constants", minimum: [1, 6], isNeeded: true),
            .init(
                tool: "lz4", purpose: "compresses the kernel (CONFIG_KERNEL_LZ4)", isNeeded: !isUML),
            .init(tool: "strip", purpose: "strips debug information from the guest's libraries", isNeeded: true),
            .init(tool: "ccache", purpose: "spares compiling what was compiled before", isNeeded: false),
            .init(tool: "bwrap", purpose: "confines what foreign code runs here (sandbox)", isNeeded: false),
            .init(tool: "gdb", purpose: "steps through the kernel (kbuild debug)", isNeeded: false),
            .init(tool: "perl", purpose: "runs the kernel's own checkpatch (--lint)", isNeeded: false),
            .init(tool: "sparse", purpose: "checks the types of your C files (--lint)", isNeeded: false),
        ]
        if !isUML {
            tools.append(
                .init(tool: HostCheck.qemu, purpose: "runs the guest", minimum: Emulator.minimum, isNeeded: true))
        }
        if isDebian {
            tools.append(
                .init(
                    tool: "mmdebstrap", purpose: "makes the guest's Debian system (rootfs.type debian)", isNeeded: true)
            )
        }
        if hasDisk {
            tools += [
                .init(
                    tool: "mke2fs", purpose: "names the form of the disk image", isNeeded: true,
                    versionArguments: ["-V"]),
                .init(tool: "supermin", purpose: "makes libguestfs's appliance", isNeeded: true),
            ]
        }
        return tools
    }

    package var headers: [HeaderRequirement] {
        [
            .init(
                header: "sys/capability.h", name: "libcap", package: "libcap-dev",
                purpose: "some of the kernel's selftests", isNeeded: false),
            .init(
                header: "stdio.h", name: "C library", package: "libc6-dev",
                purpose: "C programs and the kernel's tools",
                isNeeded: true),
            .init(
                header: "gelf.h", name: "libelf", package: "libelf-dev", purpose: "the kernel's objtool",
                isNeeded: !isUML),
            .init(
                header: "openssl/evp.h", name: "OpenSSL", package: "libssl-dev",
                purpose: "kernels with signed modules or certificates", isNeeded: false),
            .init(
                header: "stdio.h", name: "32-bit C library", package: "gcc-multilib",
                purpose: "programs with `bits: 32`", isNeeded: has32BitPrograms, options: ["-m32"]),
        ]
    }

    /// The package of the kernel for libguestfs's appliance.
    static let appliancePackage = "linux-image-cloud-amd64"
    /// The package of a static busybox.
    static let busyboxPackage = "busybox-static"
    /// The default kernel source.
    package static let defaultSource = "linux-source-6.1"

    /// Every package that may be required.
    package static var packages: Set<String> {
        let most = HostRequirements(
            isUML: false, hasDisk: true, has32BitPrograms: true, isFromGit: true, isFromDebian: true,
            isDebian: true)
        let tools = most.tools.compactMap { CommandRunner.debianPackage(of: $0.tool) }
        return Set(tools + most.headers.map(\.package) + [appliancePackage, busyboxPackage, defaultSource])
    }
}
