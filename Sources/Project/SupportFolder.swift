// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Glibc
import ProjectTemplate
import SystemPackage

/// The folder `.kbuild` of a project, which holds the files that come with the executable: configuration fragments, the root
/// file system's definition, the sources of the guest's init, and the package with SyscallTesting.
///
/// It lies in the project, so that editors find SyscallTesting, a confined build can read it, and its files are the project's
/// own. kbuild writes it, and restores files that differ from those in the executable. A project that names none of it, such as
/// one with a definition, fragments and a SyscallTesting of its own, does not get the folder.
public enum SupportFolder {
    /// The folder's name in the project's folder.
    public static let name = ".kbuild"
    /// The definition of the root file system that a project has when it has none of its own.
    static let definition = "\(name)/rootfs/default.yaml"
    /// Folders that hold only what comes with the executable. Beside them SwiftPM and editors may keep files.
    private static let owned = ["configs", "rootfs", "Sources"]

    /// Writes the files that a project uses and that are missing or differ.
    ///
    /// - Throws: `Failure`: `usage` when the folder is a link or a file, `infrastructure` when a file cannot be written.
    public static func refresh(for project: Project) throws {
        if isUsed(by: project) { try refresh(in: project.folder) }
    }

    /// Whether the project file, or the package of a suite, names a file of the folder.
    static func isUsed(by project: Project) -> Bool {
        let folder = project.folder.appending(name)
        let named = project.kernel.config + project.kernel.umlConfig + [project.rootfsDefinition]
        return named.contains { $0.starts(with: folder) }
            || project.tests.contains { test in
                guard case .swift(let package, _, _, _) = test else { return false }
                return (try? readText(package.appending("Package.swift")))?.contains("/\(name)\"") == true
            }
    }

    /// Writes the folder in `project`.
    package static func refresh(in project: FilePath) throws {
        let folder = project.appending(name)
        guard kind(of: folder).map({ $0 == S_IFDIR }) ?? true else {
            throw Failure(
                .usage, "\(folder) is not a folder, but kbuild writes the files there that come with it",
                nextStep: "rm \(folder)")
        }
        let files = ProjectTemplate.supportFiles
        for owned in owned { try removeOthers(in: folder, owned, than: Set(files.map(\.path))) }
        for file in files {
            let path = folder.pushing(FilePath(file.path))
            if kind(of: path) == S_IFREG, try readBytes(path).elementsEqual(file.text.utf8) { continue }
            if kind(of: path) == S_IFDIR { try removeAll(path) }
            try createFolder(path.removingLastComponent())
            try writeAtomically(file.text, to: path)
        }
    }

    /// Removes what does not come with the executable: a source that an older version had would be compiled. A link is
    /// removed, not followed.
    private static func removeOthers(in folder: FilePath, _ path: String, than files: Set<String>) throws {
        let full = folder.pushing(FilePath(path))
        switch kind(of: full) {
        case nil: break
        case S_IFREG? where files.contains(path): break
        case S_IFDIR? where files.contains(where: { $0.hasPrefix(path + "/") }):
            for name in try namesInFolder(full) { try removeOthers(in: folder, "\(path)/\(name)", than: files) }
        default: try removeAll(full)
        }
    }

    /// The file's type, links not followed; nil where there is none.
    private static func kind(of path: FilePath) -> mode_t? {
        var status = stat()
        return lstat(path.string, &status) == 0 ? status.st_mode & S_IFMT : nil
    }
}
