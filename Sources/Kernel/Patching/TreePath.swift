// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Glibc
import Synchronization
import SystemPackage

/// Folders of a tree that were found to be folders, with no link above them, and regular files in such folders.
package final class KnownFolders: Sendable {
    private let paths = Mutex<Set<Substring>>([])
    private let files = Mutex<Set<String>>([])

    package init() {}

    fileprivate func contains(file path: String) -> Bool { files.withLock { $0.contains(path) } }
    fileprivate func insert(file path: String) { files.withLock { _ = $0.insert(path) } }

    fileprivate func contains(_ path: Substring) -> Bool { paths.withLock { $0.contains(path) } }
    fileprivate func insert(_ path: Substring) { paths.withLock { _ = $0.insert(path) } }
}

/// Rules for the paths of files in a kernel tree.
package enum TreePath {
    /// The longest name of a file in bytes: NAME_MAX of Linux.
    private static let longestName = 255
    /// The longest path in a tree in bytes: half of Linux's PATH_MAX, which leaves the rest to the folder of the tree.
    private static let longestPath = 2048

    /// Why a patch may not touch `path`, which is relative to the tree; nil when it may.
    package static func unsafeReason(_ path: String) -> String? {
        if isPlain(path) { return nil }
        let components = path.split(separator: "/", omittingEmptySubsequences: false)
        if path.isEmpty || path.hasPrefix("/") { return "is not relative to the tree" }
        if components.contains("..") { return "leaves the tree" }
        if components.contains(where: { $0.isEmpty || $0 == "." }) { return "has an empty component" }
        if components.contains(where: { $0.lowercased() == ".git" }) { return "lies in git's own folder" }
        if path.utf8.contains(where: { $0 < 32 || $0 == 127 }) { return "has a control character" }
        // The decoder's replacement for invalid bytes: two names could become the same, or a name that is not in the
        // patch.
        if path.unicodeScalars.contains("\u{FFFD}") { return "is not UTF-8" }
        if components.contains(where: { $0.utf8.count > longestName }) {
            return "has a component of more than \(longestName) bytes"
        }
        if path.utf8.count > longestPath { return "has more than \(longestPath) bytes" }
        return nil
    }

    /// Whether a path is one of nearly all: letters, digits and a few signs, no component that begins with a dot, and
    /// short. A patch may have some thousand paths, each of which is looked at several times.
    private static func isPlain(_ path: String) -> Bool {
        guard path.utf8.count < longestName else { return false }
        var previous = UInt8(ascii: "/")
        for byte in path.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "+"):
                break
            case UInt8(ascii: "/"), UInt8(ascii: "."): if previous == UInt8(ascii: "/") { return false }
            default: return false
            }
            previous = byte
        }
        return previous != UInt8(ascii: "/")
    }

    /// Why `path` should not be edited, because a build makes it; nil for a source file. Such a file beside the sources
    /// also prevents the kernel's build in another folder.
    package static func generatedReason(_ path: String) -> String? {
        let components = path.utf8.split(separator: UInt8(ascii: "/")).map(Substring.init)
        let isGenerated =
            components.starts(with: ["include", "generated"]) || components.starts(with: ["include", "config"])
            || (components.first == "arch" && components.dropFirst(2).starts(with: ["include", "generated"]))
        if isGenerated { return "is a generated file, which the next build throws away" }
        guard let name = components.last.map(String.init) else { return nil }
        if name == ".config" || name == ".config.old" {
            return "is the kernel's configuration, which is made of fragments"
        }
        // The build products in the kernel's .gitignore and `make clean`.
        let products = ["Module.symvers", "modules.order", "System.map", "vmlinux", ".version"]
        let suffixes = [".o", ".ko", ".mod", ".mod.c", ".cmd", ".order"]
        if products.contains(name) || suffixes.contains(where: name.hasSuffix) {
            return "is a product of a build, which the next build makes again"
        }
        return nil
    }

    /// Checks that `path` does not lead through or to a symbolic link, or through a file.
    ///
    /// - Parameter known: Folders that are looked at once; nil where they may change.
    /// - Throws: `Failure` (`patch`).
    package static func check(_ path: String, in tree: FilePath, _ known: KnownFolders? = nil) throws {
        if known?.contains(file: path) == true { return }
        if let reason = unsafeReason(path) ?? generatedReason(path) {
            throw Failure(.patch, "the path \(path) \(reason)")
        }
        let components = path.split(separator: "/")
        var partial = tree
        let folder = path.lastIndex(of: "/").map { path[..<$0] } ?? ""
        let start = known?.contains(folder) == true ? components.count - 1 : 0
        if start > 0 { partial.append(String(folder)) }
        for (index, component) in components.enumerated().dropFirst(start) {
            partial.append(String(component))
            guard let status = FileStatus(partial) else { return }
            if status.isLink {
                throw Failure(
                    .patch,
                    "the path \(path) leads through \(components[...index].joined(separator: "/")), a symbolic link",
                    nextStep: "let the patch change the file that the link leads to")
            }
            let isLast = index == components.count - 1
            if !isLast, !status.isFolder {
                throw Failure(
                    .patch, "\(components[...index].joined(separator: "/")) is a file, so \(path) cannot be below it")
            }
            if !isLast, index == components.count - 2 { known?.insert(folder) }
            if isLast, !status.isRegular {
                throw Failure(.patch, "\(path) is not a regular file")
            }
            if isLast { known?.insert(file: path) }
        }
    }

    /// Files of the tree with names similar to `path`: first those with the same name elsewhere, then those in the same
    /// folder that differ in a few letters.
    static func similar(to path: String, in tree: FilePath, limit: Int = 5) -> [String] {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        let folder = path.split(separator: "/").dropLast().joined(separator: "/")
        var sameName: [String] = []
        forEachFile(in: tree) { file in
            if file == name || file.hasSuffix("/" + name) { sameName.append(file) }
        }
        let neighbours = ((try? namesInFolder(folder.isEmpty ? tree : tree.pushing(FilePath(folder)))) ?? [])
            .map { ($0, editDistance(Array($0.utf8), Array(name.utf8))) }
            .filter { $0.1 > 0 && $0.1 <= max(2, name.count / 4) }
            .sorted { $0.1 < $1.1 }
            .map { folder.isEmpty ? $0.0 : folder + "/" + $0.0 }
        return Array((sameName.sorted { ($0.count, $0) < ($1.count, $1) } + neighbours).prefix(limit))
    }

    /// Calls `body` with every file and link below `tree`, by its relative path.
    ///
    /// A kernel has 80,000 files, so the paths are plain strings here: FilePath checks every byte at each step.
    package static func forEachFile(in tree: FilePath, _ body: (String) -> Void) {
        let root = tree.string
        func visit(_ relative: String) {
            guard let stream = opendir(relative.isEmpty ? root : "\(root)/\(relative)") else { return }
            defer { closedir(stream) }
            while let entry = readdir(stream) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                if name == "." || name == ".." { continue }
                let child = relative.isEmpty ? name : relative + "/" + name
                var isFolder = Int32(entry.pointee.d_type) == Int32(DT_DIR)
                if Int32(entry.pointee.d_type) == Int32(DT_UNKNOWN) {
                    isFolder = FileStatus("\(root)/\(child)")?.isFolder ?? false
                }
                if isFolder { visit(child) } else { body(child) }
            }
        }
        visit("")
    }
}
