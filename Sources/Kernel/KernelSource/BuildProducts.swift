// SPDX-License-Identifier: Apache-2.0
/// The names in a folder of a kernel tree that are not sources: files of git and editors, and products of a build in
/// the tree itself. Such products must not reach kbuild's copy, because make would find them beside the sources and
/// regard them as up to date; the kernel refuses `O=` builds of a tree with an in-tree build for the same reason.
///
/// Kbuild, the kernel's build system, records the command of nearly every product NAME in `.NAME.cmd` beside it; these
/// records name the programs and generated sources that no pattern could match.
struct BuildProducts {
    private let recorded: Set<[UInt8]>
    private let folder: Folder

    private enum Folder { case top, include, archInclude, other }

    /// Reads the names of one folder.
    ///
    /// - Parameter path: The folder's path relative to the tree's top, with a trailing slash; empty for the top.
    init(inFolder path: [UInt8], names: [[UInt8]]) {
        var recorded: Set<[UInt8]> = []
        for name in names {
            if name.first == UInt8(ascii: "."), name.hasSuffix(".cmd") {
                recorded.insert(Array(name.dropFirst().dropLast(4)))
            } else if name.hasSuffix("_shipped") {
                // A file with the name NAME_shipped is copied to NAME without a record.
                recorded.insert(Array(name.dropLast(8)))
            }
        }
        self.recorded = recorded
        let parts = path.split(separator: UInt8(ascii: "/"))
        folder =
            if parts.isEmpty {
                .top
            } else if parts.count == 1, parts[0].elementsEqual("include".utf8) {
                .include
            } else if parts.count == 3, parts[0].elementsEqual("arch".utf8), parts[2].elementsEqual("include".utf8) {
                .archInclude
            } else {
                .other
            }
    }

    /// Whether a name in this folder is a product.
    func contains(_ name: [UInt8]) -> Bool {
        if recorded.contains(name) { return true }
        if name.first == UInt8(ascii: ".") {
            if name.elementsEqual(".git".utf8) || name.hasSuffix(".cmd") || name.hasSuffix(".d") { return true }
            if name.starts(with: ".tmp_".utf8) || name.hasSuffix(".swp") || name.starts(with: ".#".utf8) { return true }
        }
        switch name.last {
        case UInt8(ascii: "o"):
            if name.hasSuffix(".o") || name.hasSuffix(".ko") || name.hasSuffix(".so") { return true }
        case UInt8(ascii: "a"): if name.hasSuffix(".a") { return true }
        case UInt8(ascii: "d"): if name.hasSuffix(".mod") { return true }
        case UInt8(ascii: "c"):
            if name.hasSuffix(".mod.c") || name.hasSuffix(".lex.c") || name.hasSuffix(".tab.c") { return true }
        case UInt8(ascii: "h"):
            // The only header outside the generated folders that is made without a record.
            if name.hasSuffix(".tab.h") || name.elementsEqual("devicetable-offsets.h".utf8) { return true }
        case UInt8(ascii: "~"): return true
        default: break
        }
        switch folder {
        case .top:
            return name.starts(with: ".config".utf8) || name.starts(with: "vmlinux".utf8)
                || name.starts(with: "modules.".utf8)
                || Self.topProducts.contains { name.elementsEqual($0.utf8) }
        case .include:
            return ["config", "generated", "ksym"].contains { name.elementsEqual($0.utf8) }
        case .archInclude: return name.elementsEqual("generated".utf8)
        case .other: return false
        }
    }

    private static let topProducts = [
        "System.map", "Module.symvers", ".version", "linux", "compile_commands.json", ".missing-syscalls.d",
    ]
}

extension [UInt8] {
    fileprivate func hasSuffix(_ suffix: StaticString) -> Bool {
        guard count >= suffix.utf8CodeUnitCount else { return false }
        let start = count - suffix.utf8CodeUnitCount
        return withUnsafeBufferPointer { own in
            for offset in 0..<suffix.utf8CodeUnitCount where own[start + offset] != suffix.utf8Start[offset] {
                return false
            }
            return true
        }
    }
}
