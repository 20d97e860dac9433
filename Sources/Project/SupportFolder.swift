// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import ProjectTemplate
import SystemPackage

/// The folder `.kbuild` of a project, which holds the files that come with the executable: configuration fragments, the
/// root file system's definition, the sources of the guest's init, and the package with SyscallTesting.
///
/// The folder is in the project, so that editors find SyscallTesting, a confined build can read it, and its files
/// belong to the project. kbuild writes it, and restores files that differ from those in the executable. A project that
/// uses none of its files, because it has its own definition, fragments and SyscallTesting, does not get the folder.
public enum SupportFolder {
    /// The folder's name in the project's folder.
    public static let name = ".kbuild"
    /// The fragment with a guest's requirements for a configuration that is not kbuild's own.
    package static let guestFragment = "\(name)/configs/guest.config"
    /// The default definition of the root file system.
    static let definition = "\(name)/rootfs/default.yaml"
    /// The folder of the fragments, as the executable carries them.
    private static let fragments = "configs/"
    /// Those that a guest's configuration begins with. They are files of the project, as a whole or not at all.
    private static let foundations = ["base", "guest", "uml"]

    /// The names of the fragments that a project may have on top of its own, as `kbuild:NAME`.
    package static let fragmentNames = ProjectTemplate.supportFiles.compactMap { file -> String? in
        guard file.path.hasPrefix(fragments), file.path.hasSuffix(".config") else { return nil }
        let name = String(file.path.dropFirst(fragments.count).dropLast(".config".count))
        return foundations.contains(name) ? nil : name
    }

    /// The text of the fragment `kbuild:NAME`; nil when none has the name.
    package static func fragment(named name: String) -> String? {
        guard fragmentNames.contains(name) else { return nil }
        return ProjectTemplate.supportFiles.first { $0.path == "\(fragments)\(name).config" }?.text
    }

    /// Folders that contain only the executable's files. SwiftPM and editors may keep files beside these folders.
    private static let owned = ["configs", "rootfs", "Sources"]

    /// Writes the files that a project uses and that are missing or differ.
    ///
    /// - Throws: `Failure`: `usage` when the folder is a link or a file, `infrastructure` when a file cannot be
    ///   written.
    public static func refresh(for project: Project) throws {
        if isUsed(by: project) { try refresh(in: project.folder) }
    }

    /// Whether the project file, or the package of a suite, names a file of the folder.
    static func isUsed(by project: Project) -> Bool {
        let folder = project.folder.appending(name)
        let named =
            (project.kernel.config + project.kernel.umlConfig).compactMap(\.file) + [project.rootfsDefinition]
        return named.contains { $0.starts(with: folder) }
            || project.tests.contains { test in
                guard case .swift(let package, _, _, _) = test else { return false }
                return (try? readText(package.appending("Package.swift")))?.contains("/\(name)\"") == true
            }
    }

    /// Writes the folder in `project`.
    ///
    /// - Throws: `Failure`: `usage` when a file, a link or a folder not made by kbuild has its name, `infrastructure`
    ///   when a file cannot be written.
    package static func refresh(in project: FilePath) throws {
        let folder = project.appending(name)
        let mark = folder.appending(ProjectTemplate.supportMark.path)
        if let status = FileStatus(folder) {
            guard status.isFolder else {
                throw Failure(
                    .usage, "\(folder) is not a folder, but kbuild writes the files there that come with it",
                    nextStep: "rm \(folder)")
            }
            // Only kbuild's files are replaced and removed.
            let text = FileStatus(mark)?.isRegular == true ? try readText(mark) : nil
            let isEmpty = try namesInFolder(folder).isEmpty
            guard isEmpty || text == ProjectTemplate.supportMark.text else {
                throw Failure(
                    .usage,
                    "\(folder) was not written by kbuild, which needs the name: its \(mark.lastComponent?.string ?? "")"
                        + " is not the one that kbuild writes",
                    nextStep: "move what is yours, then rm -r \(folder)")
            }
        }
        let files = [ProjectTemplate.supportMark] + ProjectTemplate.supportFiles
        for owned in owned { try removeOthers(in: folder, owned, than: Set(files.map(\.path))) }
        for file in files {
            let path = folder.pushing(FilePath(file.path))
            let status = FileStatus(path)
            if status?.isRegular == true, try readBytes(path).elementsEqual(file.text.utf8) { continue }
            if status?.isFolder == true { try removeAll(path) }
            try createFolder(path.removingLastComponent())
            try writeAtomically(file.text, to: path)
        }
    }

    /// Removes files that do not come with the executable: an older version's source would be compiled. A link is
    /// removed, not followed.
    private static func removeOthers(in folder: FilePath, _ path: String, than files: Set<String>) throws {
        let full = folder.pushing(FilePath(path))
        guard let status = FileStatus(full) else { return }
        if status.isRegular, files.contains(path) { return }
        if status.isFolder, files.contains(where: { $0.hasPrefix(path + "/") }) {
            for name in try namesInFolder(full) { try removeOthers(in: folder, "\(path)/\(name)", than: files) }
        } else {
            try removeAll(full)
        }
    }
}
