// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Project
import SystemPackage

/// The files of a folder of `modules`, without what make has left in it.
struct ModuleSources: Sendable {
    let module: Project.Module
    /// The files by their paths in the folder, each with its place, links followed.
    let files: [String: FilePath]

    /// The most files and bytes of a folder: a module has some tens of files.
    private static let mostFiles = 2000
    private static let mostBytes: Int64 = 64 << 20
    /// The deepest folder below it.
    private static let deepest = 16

    /// Endings of files that make writes (Documentation/kbuild, .gitignore of the kernel).
    private static let products = [".o", ".ko", ".mod", ".mod.c", ".a", ".cmd", ".order", ".symvers", ".dwo"]

    /// The makefiles of a folder, one of which it needs.
    private static let makefiles = ["Kbuild", "Makefile"]

    /// Finds the files of a folder.
    ///
    /// - Throws: `Failure`: `usage` when the folder has no makefile or too many files, or a link leads out of the
    ///   project; `infrastructure` when it cannot be read.
    init(_ module: Project.Module, of project: Project) throws {
        self.module = module
        var files: [String: FilePath] = [:]
        var bytes: Int64 = 0
        func visit(_ folder: FilePath, _ prefix: String, depth: Int) throws {
            for name in try namesInFolder(folder) where Self.isSource(name) {
                let path = folder.appending(name)
                guard let status = FileStatus(path, followsLink: true) else { continue }
                if status.isFolder {
                    // A link could lead back to a folder above.
                    guard FileStatus(path)?.isFolder == true, depth < Self.deepest else { continue }
                    try visit(path, "\(prefix)\(name)/", depth: depth + 1)
                } else if status.isRegular {
                    try Provenance.checkLink(.module, path, of: project)
                    files[prefix + name] = path
                    bytes += Int64(status.size)
                    guard files.count <= Self.mostFiles, bytes <= Self.mostBytes else {
                        throw Failure(
                            .usage, "\(module.path) has more files than a module has",
                            nextStep: "name the folder that has the module's Kbuild file")
                    }
                }
            }
        }
        try visit(module.path, "", depth: 0)
        guard Self.makefiles.contains(where: { files[$0] != nil }) else {
            throw Failure(
                .usage, "\(module.path) has no Kbuild file and no Makefile, so make builds no module there",
                nextStep: "write obj-m := \(module.name).o to \(module.path.appending(Self.makefiles[0]))")
        }
        self.files = files
    }

    private static func isSource(_ name: String) -> Bool {
        !name.hasPrefix(".") && !products.contains { name.hasSuffix($0) }
    }

    /// The digest of all files, by their contents.
    func digest(_ statCache: StatCache) throws -> Digest {
        var digest = ContentDigest(of: "module sources", version: 1)
        for (name, path) in files.sorted(by: { $0.key < $1.key }) { digest.add(name, try statCache.digest(of: path)) }
        return digest.digest
    }

    /// The file with the names of the files that were copied.
    private static let record = ".kbuild-sources"

    /// Makes a folder hold these files. Files with the same contents keep their times, by which make decides. When a
    /// file is gone, so is everything that make made: it may have been made of that file.
    ///
    /// - Returns: The files that were changed; nil when files are new or gone.
    /// - Throws: `Failure` (`infrastructure`) when a file cannot be read or written.
    @discardableResult
    func copy(to folder: FilePath) throws -> Set<String>? {
        let record = folder.appending(Self.record)
        let before = ((try? readText(record)) ?? "").textLines().map(String.init)
        if !fileExists(record) || before.contains(where: { files[$0] == nil }) { try removeAll(folder) }
        try createFolder(folder)
        var changes: Set<String> = []
        for (name, path) in files {
            let target = folder.pushing(FilePath(name))
            let bytes = try readBytes(path)
            if FileStatus(target)?.isRegular == true, try readBytes(target) == bytes { continue }
            try createFolder(target.removingLastComponent())
            try writeAtomically(bytes, to: target)
            changes.insert(name)
        }
        try writeAtomically(files.keys.sorted().map { $0 + "\n" }.joined(), to: record)
        return Set(before) == Set(files.keys) ? changes : nil
    }
}
