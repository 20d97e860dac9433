// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The architecture of a kernel.
public enum KernelArchitecture: String, Sendable, Hashable, Codable, CaseIterable {
    /// 64-bit x86, for QEMU.
    case x86_64
    /// User-mode Linux on a 64-bit x86 host.
    case um

    /// The assignments that make needs.
    var makeVariables: [String] {
        switch self {
        case .x86_64: ["ARCH=x86_64"]
        case .um: ["ARCH=um", "SUBARCH=x86_64"]
        }
    }

    /// The variables that the Kconfig files receive from make (the kernel's top Makefile and arch/um/Makefile set
    /// them).
    package var kconfigVariables: [String: String] {
        switch self {
        case .x86_64: ["ARCH": "x86_64", "SRCARCH": "x86", "HEADER_ARCH": "x86"]
        case .um: ["ARCH": "um", "SRCARCH": "um", "HEADER_ARCH": "x86"]
        }
    }

    /// The make target of the file to boot.
    public var defaultTargets: [String] {
        switch self {
        case .x86_64: ["bzImage"]
        case .um: ["linux"]
        }
    }

    /// The make targets of a kernel, with the image around vmlinux or without.
    package func targets(withImage: Bool) -> [String] { withImage ? defaultTargets : ["vmlinux"] }

    /// Whether the file to boot is vmlinux itself, under a second name (arch/um/Makefile: a hard link).
    package var bootsVmlinux: Bool { self == .um }

    /// Whether a make target belongs to the image around vmlinux.
    package func isOfImage(_ target: some StringProtocol) -> Bool {
        switch self {
        case .x86_64: target.hasPrefix("arch/x86/boot/")
        case .um: target == "linux"
        }
    }

    /// The file to boot, relative to the output folder.
    public var imagePath: String {
        switch self {
        case .x86_64: "arch/x86/boot/bzImage"
        case .um: "linux"
        }
    }
}
