// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Authoring
import Diagnostics
import FileSystem
import KernelSource
import PatchedTree
import Project
import Syscalls
import SystemPackage

extension SyscallActions {
    /// Renames a call of a spec: in the spec, in its C file's definition, in the contract beside it, and in its `__NR_`
    /// name in the project's suites. Files and folders keep their names.
    ///
    /// - Throws: `Failure` (`usage`) when no spec of the project has the call, or the new name is invalid or taken;
    ///   nothing is written then.
    public func rename(_ old: String, to new: String) async throws -> CreatedSyscall {
        _ = try SyscallSignature(name: new, arguments: [])
        defer { context.tools.statCache.save() }
        let folder = try folder(ofCall: old)
        let pristine = try await source()
        try checkIsFree(new, pristine, file: nil, except: nil)
        let rename = SyscallRename(old, to: new)
        var edits = FileEdits(folder: context.project.folder)
        func edit(_ path: FilePath, _ what: String, _ change: (String) -> String) throws {
            guard let text = try? readText(path) else { return }
            let changed = change(text)
            if changed != text { edits.change(path, changed, what) }
        }
        try edit(folder.appending(SyscallSpec.fileName), "its name", rename.inSpec)
        for name in try namesInFolder(folder).sorted() {
            if name.hasSuffix(".c") { try edit(folder.appending(name), "its definition", rename.inSource) }
            if name == "README.md" { try edit(folder.appending(name), "its contract", rename.inContract) }
        }
        for case .swift(let package, _, _, _) in context.project.tests {
            for file in try swiftFiles(below: package.appending("Tests")) {
                try edit(file, "its number", rename.inSuite)
            }
        }
        try edits.save()
        // The spec must now have the new name; otherwise the user's layout prevented the edit.
        guard try SyscallSpec.load(folder: folder).syscalls.contains(where: { $0.name.text == new }) else {
            throw Failure(
                .usage, "\(folder.appending(SyscallSpec.fileName)) is laid out in a way that kbuild cannot edit",
                nextStep: "write `name: \(new)` there, and `kbuild syscall check`")
        }
        return CreatedSyscall(files: edits.described, nextCommand: "kbuild syscall check")
    }

    /// The folder of the spec that has a call.
    func folder(ofCall name: String) throws -> FilePath {
        let specs = context.project.kernel.patches.filter { fileExists($0.appending(SyscallSpec.fileName)) }
        var names: [String] = []
        for folder in specs {
            let calls = try SyscallSpec.load(folder: folder).syscalls.map(\.name.text)
            if calls.contains(name) { return folder }
            names += calls
        }
        throw Failure(
            .usage, "no syscall.yaml of the project has a call \(name)\(guess(for: name, among: names))",
            details: names.isEmpty ? nil : "they have: \(names.joined(separator: ", "))")
    }

    /// The Swift files below a folder, without build output; links are not followed.
    func swiftFiles(below folder: FilePath) throws -> [FilePath] {
        guard isFolder(folder) else { return [] }
        return try namesInFolder(folder).sorted().flatMap { name -> [FilePath] in
            let path = folder.appending(name)
            guard let status = FileStatus(path), !name.hasPrefix(".") else { return [] }
            if status.isRegular { return name.hasSuffix(".swift") ? [path] : [] }
            return isFolder(path) && !status.isLink ? try swiftFiles(below: path) : []
        }
    }
}
