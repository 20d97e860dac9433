// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import KernelMake
import KernelSource
import SystemPackage

extension Project {
    /// Adapts a project to a kernel that kbuild neither patches nor configures: the root file system is an archive,
    /// because the guest has to load modules before it can mount a disk.
    ///
    /// - Parameter extraPatches: Whether the command line gives patches, which would be tested by the run.
    /// - Throws: `Failure` (`usage`) for what only a kernel of kbuild's own has.
    mutating func adaptToPrebuiltKernel(extraPatches: Bool = false) throws(Failure) {
        guard let prebuilt = prebuiltKernel else { return }
        func refuse(_ what: String, _ nextStep: String) -> Failure {
            let subject =
                prebuilt.isInTree
                ? "--in-tree builds the tree as it is" : "\(prebuilt) is a kernel that kbuild does not build"
            return Failure(.usage, "\(subject), so \(what)", nextStep: nextStep)
        }
        let source = prebuilt.isInTree ? "leave out --in-tree" : "name a source, such as --kernel linux-source-6.1"
        if extraPatches { throw refuse("patches cannot be applied to it", source) }
        if !modules.isEmpty || namesModules {
            throw refuse("no modules can be built for it", "leave out `modules` and --module, or \(source)")
        }
        if architecture == .um { throw refuse("it cannot be user-mode Linux", "leave out --machine uml, or \(source)") }
        if machine.type == .microvm {
            throw refuse("it has no driver for the board microvm built in", "--machine q35 or pc, or \(source)")
        }
        if !checks.isEmpty { throw refuse("checkers cannot be built into it", source) }
        if coverage != nil { throw refuse("it counts no coverage", source) }
        if profilesCalls { throw refuse("the project's calls are not in it", source) }
        if lint { throw refuse("none of the project's C files are in it", source) }
        if !kernel.options.isEmpty { throw refuse("its options cannot be changed", "leave out --set, or \(source)") }
        if rootfsType == .debian {
            throw refuse(
                "it cannot mount a disk with Debian before its modules are loaded", "--rootfs initramfs, or \(source)")
        }
        if rootfsType == .disk { rootfsType = .initramfs }
        (absentPatches, kernel.patches) = (kernel.patches, [])
        kernel.patchLimit = nil
    }
}

extension Project {
    /// Whether the kernel is one that kbuild neither patches nor configures.
    public var isPrebuilt: Bool { prebuiltKernel != nil }

    /// The absolute form of a text that names a kernel which kbuild does not build; nil for another text.
    ///
    /// - Parameter folder: The base of a relative path.
    public static func builtKernel(_ text: String, from folder: FilePath) -> String? {
        guard case .prebuilt(let kernel)? = try? KernelSource(parsing: text, relativeTo: folder) else { return nil }
        return kernel.description
    }

    /// Whether a flag names such a kernel, which needs no project: it can be booted as it is.
    public static func namesBuiltKernel(_ override: ProjectOverride, from folder: FilePath) -> Bool {
        guard override.key == "kernel.source", case .scalar(let text) = override.value else { return false }
        return builtKernel(text, from: folder) != nil
    }
}
