// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Authoring
import Diagnostics
import Foundation
import KernelSource
import PatchedTree
import Project
import Syscalls
import SystemPackage
import TextInput

/// What was written for a new system call.
public struct CreatedSyscall: Sendable, Equatable {
    /// New files and changed ones, from the project's folder on, each with what it is.
    public var files: [String]
    /// What to run next.
    public var nextCommand: String
}

extension SyscallActions {
    private var project: Project { context.project }
    private var tools: ToolContext { context.tools }

    /// Writes the files of a new system call and adds it to the project: a folder with a spec, a C file and its contract,
    /// and a suite. It passes as it stands.
    ///
    /// - Parameter arguments: The call's arguments as in C, one or more a text.
    /// - Throws: `Failure` (`usage`) for a bad or taken name, a bad argument, or files that exist, with nothing written.
    public func create(_ name: String, arguments: [String]) async throws -> CreatedSyscall {
        let signature = try SyscallSignature(name: name, arguments: arguments)
        let scaffold = SyscallScaffold(signature: signature)
        let folder = project.folder.appending("kernel").appending(name)
        guard !fileExists(folder) else {
            throw Failure(
                .usage, "\(folder) exists already", nextStep: "choose another name, or remove the folder")
        }
        defer { tools.statCache.save() }
        let pristine = try await source()
        try checkIsFree(name, pristine)

        var edits = FileEdits(folder: project.folder)
        edits.write("kernel/\(name)/syscall.yaml", scaffold.spec, "how it is registered")
        edits.write("kernel/\(name)/\(name).c", scaffold.source, "the call itself")
        edits.write("kernel/\(name)/README.md", scaffold.readme, "its contract")

        var yaml = ProjectFileEditor(
            file: project.file,
            text: try TextInput(project.file.string, as: "a project file").text(of: project.file))
        try yaml.addPatchSource("kernel/\(name)")
        var package = project.tests.lazy.compactMap { test in
            if case .swift(let package, _, _, _) = test { package } else { nil }
        }.first
        let target = scaffold.suite
        if let package {
            let manifest = package.appending("Package.swift")
            guard fileExists(manifest) else {
                throw Failure(
                    .usage, "\(package) has no Package.swift", nextStep: "correct `tests: swift:` in the project file")
            }
            edits.change(
                manifest, try TestManifest.adding(target, to: try readText(manifest), file: manifest),
                "the suite's target")
        } else {
            let new = project.folder.pushing("Tests/GuestTests")
            guard !fileExists(new) else {
                throw Failure(
                    .usage, "\(new) exists, but the project does not name it",
                    nextStep: "add - swift: Tests/GuestTests under `tests` of \(project.file)")
            }
            edits.write(
                "Tests/GuestTests/Package.swift",
                TestManifest.new(target, kbuild: kbuildPackage), "the package of the suites")
            try yaml.addTestPackage("Tests/GuestTests")
            package = new
        }
        if let package {
            let tests = package.appending("Tests").appending(target)
            guard !fileExists(tests) else {
                throw Failure(.usage, "\(tests) exists already", nextStep: "choose another name, or remove the folder")
            }
            edits.change(tests.appending(target + ".swift"), scaffold.tests, "its tests")
        }
        edits.change(project.file, yaml.text, "kernel/\(name) among the patches")
        try edits.save()
        try SupportFolder.refresh(for: try Project.load(project.file))
        return CreatedSyscall(files: edits.described, nextCommand: "kbuild test \(target)")
    }

    /// Makes sure that neither the kernel nor a patch of the project has the name.
    private func checkIsFree(_ name: String, _ pristine: KernelSourceArtifact) throws {
        // A user may have named the folder in the project file before.
        let folder = project.folder.appending("kernel").appending(name)
        let sources = try project.kernel.patches.filter { $0 != folder }.map {
            try PatchSource.load($0, fuzz: project.kernel.fuzz)
        }
        let examination = try PatchAnalysis(pristine: pristine.folder, sources: sources)
        if let row = try examination.table().first(where: { $0.name.text == name }) {
            let own = examination.added.first { $0.syscall.name.text == name }
            throw Failure(
                .usage, "a call named \(name) exists already, with number \(row.number)",
                details: own.map { "\($0.place)" } ?? "it is Linux \(pristine.version)'s own",
                nextStep: "choose another name; `kbuild syscall list --all` shows those that are taken")
        }
        guard !fileExists(pristine.folder.appending("kernel").appending(name + ".c")) else {
            throw Failure(
                .usage, "Linux \(pristine.version) has a file kernel/\(name).c, where the call's C file would go",
                nextStep: "choose another name, such as my_\(name)")
        }
    }

    /// The path from a new package of suites to the package that has SyscallTesting: the project's own, or the one that comes
    /// with kbuild.
    private var kbuildPackage: String {
        let hasOwn =
            fileExists(project.folder.appending("Package.swift"))
            && isFolder(project.folder.pushing("Sources/SyscallTesting"))
        return hasOwn ? "../.." : "../../\(SupportFolder.name)"
    }
}

/// Files that are written together, or not at all.
private struct FileEdits {
    let folder: FilePath
    private var files: [(path: FilePath, text: String, what: String)] = []

    init(folder: FilePath) { self.folder = folder }

    mutating func write(_ path: String, _ text: String, _ what: String) {
        files.append((folder.pushing(FilePath(path)), text, what))
    }

    mutating func change(_ path: FilePath, _ text: String, _ what: String) {
        files.append((path, text, what))
    }

    /// The paths in a column and what each file is.
    var described: [String] {
        let names = files.map { file -> String in
            var name = file.path
            return name.removePrefix(folder) ? name.string : file.path.string
        }
        let width = names.map(\.count).max() ?? 0
        return zip(names, files).map { $0 + String(repeating: " ", count: width - $0.count + 2) + $1.what }
    }

    /// Writes all; what was there is put back when one cannot be written.
    func save() throws {
        var done: [(path: FilePath, before: [UInt8]?)] = []
        do {
            for file in files {
                let before = fileExists(file.path) ? try readBytes(file.path) : nil
                try createFolder(file.path.removingLastComponent())
                try writeAtomically(file.text, to: file.path)
                done.append((file.path, before))
            }
        } catch {
            for (path, before) in done.reversed() {
                if let before { try? writeAtomically(before, to: path) } else { try? removeAll(path) }
            }
            throw error
        }
    }
}
