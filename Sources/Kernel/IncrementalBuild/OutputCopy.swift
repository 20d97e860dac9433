// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Glibc
import KernelMake
import KernelSource
import Processes
import Synchronization
import SystemPackage

/// A copy of a finished output folder for another tree, or for another configuration of the same tree.
///
/// make decides by time stamps and by the commands in its records. The copy keeps the time stamps of all files, and in
/// the records, makefiles and links the paths of the new tree and output replace the old ones. Objects whose contents
/// name one of the old paths (those with debug information) are left out, so that make compiles them. The output's
/// record of sources, which is part of the copy, lists the files of the tree with the contents that the objects were
/// compiled from (`WorkTree`).
///
/// The host's own tools keep the paths that they were compiled with: no kernel contains them.
package struct OutputCopy: Sendable {
    /// A path that the copy names otherwise.
    private struct Replacement: Sendable {
        var needle: Needle
        var new: [UInt8]
    }

    private let origin: FilePath
    private let target: FilePath
    private let replacements: [Replacement]

    /// Describes a copy; nothing is read or written.
    ///
    /// - Parameters:
    ///   - origin: How the finished output was built.
    ///   - target: How the new one is going to be built.
    package init(from origin: KernelMake, to target: KernelMake) {
        self.origin = origin.output
        self.target = target.output
        // make names folders by what getcwd says.
        var names = [origin.output: target.output]
        names[Self.resolved(origin.output)] = Self.resolved(target.output)
        if origin.tree != target.tree {
            names[origin.tree] = target.tree
            names[Self.resolved(origin.tree)] = Self.resolved(target.tree)
        }
        // The compiler cache writes paths relative to the folder that holds tree and output: `../../build/NAME/...`.
        names[Self.relative(origin.output)] = Self.relative(target.output)
        // The longer ones first: the relative name is the end of the whole one.
        replacements = names.sorted {
            ($0.key.string.utf8.count, $0.key.string) > ($1.key.string.utf8.count, $1.key.string)
        }
        .map { Replacement(needle: Needle($0.key.string), new: Array($0.value.string.utf8)) }
    }

    /// The last two parts of an output's path, with the slash before them.
    private static func relative(_ output: FilePath) -> FilePath {
        FilePath("/" + output.components.suffix(2).map(\.string).joined(separator: "/"))
    }

    /// The path without links; of one that is not there yet, by the folder that is to hold it.
    private static func resolved(_ path: FilePath) -> FilePath {
        if let resolved = resolvedPath(path) { return resolved }
        guard let name = path.lastComponent, let folder = resolvedPath(path.removingLastComponent()) else {
            return path
        }
        return folder.appending(name)
    }

    /// Makes the copy in a folder, which is created.
    ///
    /// - Returns: The objects that were left out, relative to the output.
    /// - Throws: `Failure` (`infrastructure`) when a file cannot be read or written; `CancellationError`.
    package func write(to folder: FilePath) throws -> [String] {
        try createFolder(folder)
        let entries = try TreeScan(of: origin).entries
        for entry in entries {
            let (source, copy) = (origin.pushing(FilePath(entry.path)), folder.pushing(FilePath(entry.path)))
            switch entry.kind {
            case .folder: try createFolder(copy)
            case .link:
                let link = try symbolicLinkTarget(source)
                guard symlink(replaced(link), copy.string) == 0 else {
                    throw Failure(.infrastructure, "cannot create \(copy)", details: errnoText())
                }
            case .file, .program: break
            }
        }
        let leftOut = Mutex<[String]>([])
        let files = entries.filter { [.file, .program].contains($0.kind) }.map(\.path)
        try forEachConcurrently(files, batch: 512) { path in
            if try !copyFile(path, to: folder) { leftOut.withLock { $0.append(path) } }
        }
        return leftOut.withLock { $0.sorted() }
    }

    /// Copies a file of the output; false for one that is left out.
    private func copyFile(_ path: String, to folder: FilePath) throws -> Bool {
        let (source, copy) = (origin.pushing(FilePath(path)), folder.pushing(FilePath(path)))
        guard let status = FileStatus(source) else {
            throw Failure(.infrastructure, "\(source) went away while it was copied")
        }
        var buffer = ReadBuffer(expecting: Int(status.size))
        try buffer.read(source)
        let isNaming = buffer.withBytes { bytes in
            replacements.contains { $0.needle.first(in: bytes, from: 0, to: bytes.count) != nil }
        }
        let isText = buffer.withBytes { bytes in
            bytes.baseAddress.map { memchr($0, 0, bytes.count) == nil } ?? true
        }
        if isNaming, !isText, Self.isKernelObject(path) { return false }
        if isNaming, isText {
            let bytes = buffer.withBytes { replaced($0) }
            try bytes.withUnsafeBytes { try write($0, to: copy, like: status) }
        } else {
            try buffer.withBytes { try write($0, to: copy, like: status) }
        }
        return true
    }

    /// Whether a file is an object that goes into a kernel, and not into one of the build's own tools.
    private static func isKernelObject(_ path: String) -> Bool {
        path.hasSuffix(".o") && !path.hasPrefix("scripts/") && !path.hasPrefix("tools/")
    }

    private func replaced(_ text: String) -> String {
        String(decoding: Array(text.utf8).withUnsafeBytes { replaced($0) }, as: UTF8.self)
    }

    /// The text with the new paths in place of the old ones.
    private func replaced(_ text: UnsafeRawBufferPointer) -> [UInt8] {
        var current = Array(text)
        for replacement in replacements {
            current = current.withUnsafeBytes { bytes in
                var result: [UInt8] = []
                result.reserveCapacity(bytes.count)
                var done = 0
                var from = 0
                while let start = replacement.needle.first(in: bytes, from: from, to: bytes.count) {
                    let end = start + replacement.needle.bytes.count
                    from = end
                    // A longer name that begins alike is another file's.
                    guard end == bytes.count || !Self.continuesName(bytes[end]) else { continue }
                    result.append(contentsOf: bytes[done..<start])
                    result.append(contentsOf: replacement.new)
                    done = end
                }
                result.append(contentsOf: bytes[done...])
                return result
            }
        }
        return current
    }

    private static func continuesName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    private func write(_ bytes: UnsafeRawBufferPointer, to copy: FilePath, like status: FileStatus) throws {
        do {
            let file = try FileDescriptor.open(
                copy, .writeOnly, options: [.create, .exclusiveCreate, .closeOnExec],
                permissions: FilePermissions(rawValue: status.isExecutable ? 0o755 : 0o644))
            try file.closeAfter {
                _ = try file.writeAll(bytes)
                let time = status.modificationTime
                guard futimens(file.rawValue, [time, time]) == 0 else { throw Errno(rawValue: errno) }
            }
        } catch let error as Errno {
            throw Failure(.infrastructure, "cannot write \(copy)", details: "\(error)")
        }
    }
}

extension BuildSnapshot {
    /// Gives a copied output the record of what its objects were built from, where the original's still holds.
    ///
    /// Without one the next build cannot spare objects, and is right all the same.
    ///
    /// - Parameters:
    ///   - origin: How the original was built, and by which command.
    ///   - target: The same of the copy.
    /// - Throws: `Failure` (`infrastructure`) when it cannot be written.
    package static func move(
        from origin: KernelMake, _ originCommand: Command, to target: KernelMake, _ targetCommand: Command,
        runner: CommandRunner
    ) throws {
        let original = path(origin.output)
        guard let old = load(output: origin.output), let time = FileStatus(original)?.modificationTime,
            let present = BuildSnapshot(of: origin, command: originCommand, runner: runner),
            present.command == old.command, present.fixtures == old.fixtures, !old.isCopied,
            var moved = BuildSnapshot(of: target, command: targetCommand, runner: runner)
        else { return try removeAll(path(target.output)) }
        moved.files = old.files
        moved.isCopied = true
        try moved.save(output: target.output)
        // Objects that are older than this were made by that build.
        guard utimensat(AT_FDCWD, path(target.output).string, [time, time], 0) == 0 else {
            throw Failure(.infrastructure, "cannot set the time of \(path(target.output))", details: errnoText())
        }
    }
}
