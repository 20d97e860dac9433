// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Authoring
import Diagnostics
import FileSystem
import Project
import Syscalls
import SystemPackage

/// What `kbuild syscall remove` did.
public struct RemovedSyscall: Sendable, Equatable {
    /// The changed files, relative to the project's folder, each with its purpose.
    public var files: [String]
    /// Files that still name the call. They are the user's and stay.
    public var mentions: [String]
}

extension SyscallActions {
    /// Removes a call from its spec or, when it is the only one there, the spec's folder from the project file. No file
    /// is removed.
    ///
    /// - Throws: `Failure` (`usage`) when no spec of the project has the call, or a file's layout cannot be edited;
    ///   then nothing is written.
    public func remove(_ name: String) throws -> RemovedSyscall {
        let project = context.project
        let folder = try folder(ofCall: name)
        let file = folder.appending(SyscallSpec.fileName)
        let before = try SyscallSpec.load(folder: folder).syscalls
        var edits = FileEdits(folder: project.folder)
        if before.count > 1 {
            let text = try readText(file)
            guard let changed = SyscallRemoval.inSpec(text, name: name) else { throw Self.layout(file, name) }
            edits.change(file, changed, "without the call")
            try edits.save()
            // The result must have all calls but this one; otherwise the layout misled the edit.
            let after = (try? SyscallSpec.load(folder: folder).syscalls) ?? []
            guard after.map(\.name.text) == before.map(\.name.text).filter({ $0 != name }) else {
                try writeAtomically(text, to: file)
                throw Self.layout(file, name)
            }
        } else {
            var yaml = ProjectFileEditor(file: project.file, text: try readText(project.file))
            try yaml.removePatchSource(folder)
            edits.change(project.file, yaml.text, "without the call's folder")
            try edits.save()
        }
        return RemovedSyscall(files: edits.described, mentions: try mentions(of: name, in: folder))
    }

    private static func layout(_ file: FilePath, _ name: String) -> Failure {
        Failure(
            .usage, "\(file) is laid out in a way that kbuild cannot edit",
            nextStep: "remove the entry `name: \(name)` there, and run `kbuild syscall check`")
    }

    /// The C files of the folder that define the call, and the suites that use its number.
    private func mentions(of name: String, in folder: FilePath) throws -> [String] {
        let rename = SyscallRename(name, to: name + "_")
        var found: [String] = []
        for entry in try namesInFolder(folder).sorted() where entry.hasSuffix(".c") {
            let file = folder.appending(entry)
            if let text = try? readText(file), rename.inSource(text) != text { found.append(context.shown(file)) }
        }
        for case .swift(let package, _, _, _) in context.project.tests {
            for file in try swiftFiles(below: package.appending("Tests")) {
                if let text = try? readText(file), rename.inSuite(text) != text { found.append(context.shown(file)) }
            }
        }
        return found
    }
}
