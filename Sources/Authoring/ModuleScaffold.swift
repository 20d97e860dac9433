// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ProjectTemplate

/// The files of a new kernel module: its Kbuild file and C file, and the tests that it passes.
package struct ModuleScaffold {
    /// The module's name, and the device's.
    package let name: String
    /// Whether it is a character device.
    package let isDevice: Bool

    /// Creates the scaffold of a module.
    ///
    /// - Throws: `Failure` (`usage`) for a name that a C function cannot begin with.
    package init(name: String, isDevice: Bool) throws(Failure) {
        let isIdentifier =
            name.utf8.allSatisfy { byte in
                (byte >= 0x61 && byte <= 0x7A) || (byte >= 0x30 && byte <= 0x39) || byte == UInt8(ascii: "_")
            } && name.utf8.first.map { $0 >= 0x61 && $0 <= 0x7A } == true
        guard isIdentifier, name.utf8.count <= Self.longestName else {
            throw Failure(
                .usage, "\(name) is not a name for a module",
                nextStep: "use at most \(Self.longestName) of a-z, 0-9 and _, a letter first, such as ring")
        }
        (self.name, self.isDevice) = (name, isDevice)
    }

    /// A module's name has at most 55 bytes (MODULE_NAME_LEN), and functions' names begin with it.
    private static let longestName = 40

    /// The sections of Templates/module.template.
    package enum Section: String, CaseIterable, Sendable {
        case kbuild = "Kbuild"
        case plainSource = "plain source"
        case plainProgram = "plain program"
        case plainSuite = "plain suite"
        case header
        case deviceSource = "device source"
        case deviceProgram = "device program"
        case deviceSuite = "device suite"
    }

    package static let template = Template<Section>(PackageResources.module_template)

    /// The target of its suite in the package of suites, and the suite.
    package var suite: String { SyscallScaffold.typeName(name) + "ModuleTests" }

    private func text(_ section: Section) -> String {
        Self.template.text(section, ["name": name, "NAME": name.uppercased(), "suite": suite])
    }

    /// The Kbuild file.
    package var kbuild: String { text(.kbuild) }
    /// The C file.
    package var source: String { text(isDevice ? .deviceSource : .plainSource) }
    /// The header that the tests include too; nil for a module without a device.
    package var header: String? { isDevice ? text(.header) : nil }
    /// The tests as a C program.
    package var program: String { text(isDevice ? .deviceProgram : .plainProgram) }
    /// The tests as a Swift suite.
    package var tests: String { text(isDevice ? .deviceSuite : .plainSuite) }
}
