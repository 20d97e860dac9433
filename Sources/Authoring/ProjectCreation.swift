// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Doctor
import Glibc
import KernelSource
import Project
import ProjectTemplate
import Syscalls
import SystemPackage

/// A new project.
public struct CreatedProject: Sendable, Equatable {
    /// Its folder.
    public var folder: FilePath
    /// The files and folders that were written; folders end with a slash.
    public var entries: [String]
}

/// Creates new projects.
public enum ProjectCreation {
    /// A new project's system call, and its arguments.
    package static let call = (name: "hello_there", arguments: ["int number, const char __user *text"])

    /// Creates a project that passes `kbuild run` without a change.
    ///
    /// - Parameters:
    ///   - folder: The project's folder, which does not exist, is empty, or contains only a git repository's own files.
    ///   - source: The kernel's source, as `KernelSource` reads it; nil for a default.
    /// - Throws: `Failure`: `usage` when the folder has other files, or for a bad source; `infrastructure` when a file
    ///   cannot be written. In either case no files are left.
    public static func create(in folder: FilePath, source: String?) throws -> CreatedProject {
        let source = source ?? HostRequirements.defaultSource
        _ = try KernelSource(parsing: source, relativeTo: folder)
        let isNew = !fileExists(folder)
        if !isNew { try checkIsEmpty(folder) }
        try createFolder(folder)
        // Written to a temporary folder, and moved into place when complete.
        let draft = folder.appending(".kbuild-init-\(getpid())")
        do {
            for file in try files(name: folder.lastComponent?.string ?? "project", source: source) {
                let path = draft.pushing(FilePath(file.path))
                try createFolder(path.removingLastComponent())
                try writeAtomically(file.text, to: path)
            }
            let names = try namesInFolder(draft)
            let entries = names.map { isFolder(draft.appending($0)) ? $0 + "/" : $0 }
            for name in names {
                guard rename(draft.appending(name).string, folder.appending(name).string) == 0 else {
                    throw Failure(.infrastructure, "cannot write \(folder.appending(name))", details: errnoText())
                }
            }
            try removeAll(draft)
            try SupportFolder.refresh(in: folder)
            return CreatedProject(folder: folder, entries: entries)
        } catch {
            try? removeAll(isNew ? folder : draft)
            throw error
        }
    }

    /// Whether a folder has a project.
    public static func hasProject(in folder: FilePath) -> Bool { fileExists(folder.appending(Project.fileName)) }

    private static func checkIsEmpty(_ folder: FilePath) throws {
        guard isFolder(folder) else {
            throw Failure(.usage, "\(folder) is not a folder", nextStep: "name another: kbuild init NAME")
        }
        let names = try namesInFolder(folder).filter { $0 != ".git" }
        guard names.isEmpty else {
            throw Failure(
                .usage, "\(folder) is not empty",
                details: names.prefix(10).joined(separator: "\n") + (names.count > 10 ? "\n..." : ""),
                nextStep: "make the project in a folder of its own: kbuild init NAME"
                    + (names.contains("kbuild.yaml") ? "; or add a call to this one: kbuild syscall new NAME" : ""))
        }
    }

    /// All files of a new project.
    package static func files(name: String, source: String) throws -> [ProjectTemplate.File] {
        let scaffold = SyscallScaffold(signature: try SyscallSignature(name: call.name, arguments: call.arguments))
        let folder = "kernel/\(call.name)"
        let suites = "Tests/GuestTests"
        return ProjectTemplate.files(name: name, call: call.name, suite: scaffold.suite, source: source) + [
            .init(path: "\(folder)/syscall.yaml", text: scaffold.spec),
            .init(path: "\(folder)/\(call.name).c", text: scaffold.source),
            .init(path: "\(folder)/README.md", text: scaffold.readme),
            .init(
                path: "\(suites)/Package.swift",
                text: TestManifest.new(scaffold.suite, kbuild: "../../\(SupportFolder.name)")),
            .init(path: "\(suites)/Tests/\(scaffold.suite)/\(scaffold.suite).swift", text: scaffold.tests),
        ]
    }
}
