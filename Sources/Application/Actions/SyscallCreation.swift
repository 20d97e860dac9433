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

/// The files of a new system call.
public struct CreatedSyscall: Sendable, Equatable {
    /// New files and changed files, relative to the project's folder, each with its purpose.
    public var files: [String]
    /// The next command to run.
    public var nextCommand: String
}

extension SyscallActions {
    private var project: Project { context.project }
    private var tools: ToolContext { context.tools }

    /// Writes the files of new system calls and adds them to the project: a folder with a spec, a C file and the
    /// contract, and a suite for each call. The suites pass without changes.
    ///
    /// - Parameters:
    ///   - names: The calls. They share a C file.
    ///   - arguments: Their arguments as in C, one or more in each text; the same for each call.
    ///   - into: The folder, relative to the project; it may have calls already. nil for `kernel/` and the first call's
    ///     name.
    /// - Throws: `Failure` (`usage`) for a bad or taken name, a bad argument, or files that exist, with nothing
    ///   written.
    public func create(_ names: [String], arguments: [String], into: String? = nil) async throws -> CreatedSyscall {
        guard let first = names.first else {
            throw Failure(.usage, "no call is named", nextStep: "kbuild syscall new NAME")
        }
        let calls = try names.map { SyscallScaffold(signature: try SyscallSignature(name: $0, arguments: arguments)) }
        for (index, name) in names.enumerated() where names[..<index].contains(name) {
            throw Failure(.usage, "\(name) is named twice")
        }
        let place = try folderName(into ?? "kernel/\(first)")
        let folder = project.folder.pushing(FilePath(place))
        let spec = folder.appending("syscall.yaml")
        let isNew = !fileExists(folder)
        guard isNew || into != nil && fileExists(spec) else {
            throw Failure(
                .usage, "\(folder) exists already" + (into == nil ? "" : ", and has no syscall.yaml"),
                nextStep: "choose another name, or remove the folder")
        }
        // A C file has the name of its folder; a hyphen is possible in a file name, but not in a call's name.
        let file = isNew ? String((folder.lastComponent?.string ?? first).map { $0 == "-" ? "_" : $0 }) : nil
        defer { tools.statCache.save() }
        let pristine = try await source()
        for name in names { try checkIsFree(name, pristine, file: file, except: isNew ? folder : nil) }

        var edits = FileEdits(folder: project.folder)
        if let file {
            edits.write("\(place)/syscall.yaml", SyscallScaffold.spec(calls, file: file), "how it is registered")
            edits.write(
                "\(place)/\(file).c", SyscallScaffold.source(calls), calls.count == 1 ? "the call itself" : "the calls")
            edits.write("\(place)/README.md", calls.map(\.readme).joined(separator: "\n"), "its contract")
        } else {
            try add(calls, toFolder: folder, &edits)
        }

        var yaml = ProjectFileEditor(
            file: project.file,
            text: try TextInput(project.file.string, as: "a project file").text(of: project.file))
        try yaml.addPatchSource(place)
        let target = try addSuites(calls, of: folder, &edits, &yaml)
        let before = try TextInput(project.file.string, as: "a project file").text(of: project.file)
        if yaml.text != before { edits.change(project.file, yaml.text, "\(place) among the patches") }
        try edits.save()
        try SupportFolder.refresh(for: try Project.load(project.file))
        return CreatedSyscall(files: edits.described, nextCommand: "kbuild test \(target)")
    }

    /// A folder within the project; refuses a path that leads elsewhere.
    private func folderName(_ path: String) throws(Failure) -> String {
        let parts = path.split(separator: "/", omittingEmptySubsequences: true).map(String.init).filter { $0 != "." }
        let isPlain = parts.allSatisfy { part in
            part != ".."
                && part.utf8.allSatisfy { byte in
                    (byte >= 0x61 && byte <= 0x7A) || (byte >= 0x41 && byte <= 0x5A) || (byte >= 0x30 && byte <= 0x39)
                        || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
                }
        }
        guard !path.hasPrefix("/"), !parts.isEmpty, isPlain else {
            throw Failure(
                .usage, "\(path) is not a folder that calls can go to",
                nextStep: "name one below the project's folder, of letters, digits, - and _, such as kernel/box")
        }
        return parts.joined(separator: "/")
    }

    /// Adds calls to a folder that has calls already.
    private func add(_ calls: [SyscallScaffold], toFolder folder: FilePath, _ edits: inout FileEdits) throws {
        let spec = folder.appending("syscall.yaml")
        let text = try readText(spec)
        let old = try SyscallSpec.load(folder: folder)
        let body = text.hasSuffix("\n") ? text : text + "\n"
        // kbuild can only add to a list at the end of the file, with one dash for each entry; the rest stays the
        // user's.
        let lines = body.textLines().map(String.init)
        let list = lines.lastIndex { !$0.hasPrefix(" ") && !$0.hasPrefix("#") && !$0.hasPrefix("-") }
        guard let list, lines[list].trimmed == "syscalls:",
            lines[(list + 1)...].contains(where: { $0.hasPrefix("  - ") }),
            let source = old.files.first(where: { $0.name.hasSuffix(".c") })?.name
        else {
            throw Failure(
                .usage, "\(spec) is laid out in a way that kbuild cannot edit",
                nextStep: "put `syscalls:` last in it, with an entry a dash, two blanks before each")
        }
        edits.change(spec, body + calls.map(\.specEntry).joined(), "how they are registered")
        let file = folder.appending(source)
        edits.change(file, calls.reduce(try readText(file)) { $1.adding(to: $0) }, "the calls")
        let readme = folder.appending("README.md")
        let contract = fileExists(readme) ? try readText(readme) + "\n" : ""
        edits.change(readme, contract + calls.map(\.readme).joined(separator: "\n"), "their contract")
    }

    /// Adds a suite for each call, all in one target.
    ///
    /// - Returns: The target.
    private func addSuites(
        _ calls: [SyscallScaffold], of folder: FilePath, _ edits: inout FileEdits, _ yaml: inout ProjectFileEditor
    ) throws -> String {
        let target = SyscallScaffold.typeName(folder.lastComponent?.string ?? "calls") + "Tests"
        var package = project.tests.lazy.compactMap { test in
            if case .swift(let package, _, _, _) = test { package } else { nil }
        }.first
        let hasTarget = package.map { isFolder($0.appending("Tests").appending(target)) } ?? false
        if let package {
            let manifest = package.appending("Package.swift")
            guard fileExists(manifest) else {
                throw Failure(
                    .usage, "\(package) has no Package.swift", nextStep: "correct `tests: swift:` in the project file")
            }
            if !hasTarget {
                edits.change(
                    manifest, try TestManifest.adding(target, to: try readText(manifest), file: manifest),
                    "the suite's target")
            }
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
        guard let tests = package?.appending("Tests").appending(target) else { return target }
        for call in calls {
            let file = tests.appending(call.suite + ".swift")
            guard !fileExists(file) else {
                throw Failure(.usage, "\(file) exists already", nextStep: "choose another name, or remove the file")
            }
            edits.change(file, call.tests, "its tests")
        }
        return target
    }

    /// Checks that neither the kernel nor a patch of the project has the name.
    ///
    /// - Parameters:
    ///   - file: The new C file, without `.c`; nil for none.
    ///   - folder: A folder that does not exist yet. The user may have named it in the project file before.
    func checkIsFree(
        _ name: String, _ pristine: KernelSourceArtifact, file: String?, except folder: FilePath?
    ) throws {
        let sources = try project.kernel.patches.filter { $0 != folder }.map {
            try PatchSource.load($0, fuzz: project.kernel.fuzz)
        }
        let analysis = try PatchAnalysis(pristine: pristine.folder, sources: sources)
        if let row = try analysis.table().first(where: { $0.name.text == name }) {
            let own = analysis.added.first { $0.syscall.name.text == name }
            throw Failure(
                .usage, "a call named \(name) exists already, with number \(row.number)",
                details: own.map { "\($0.place)" } ?? "it is Linux \(pristine.version)'s own",
                nextStep: "choose another name; `kbuild syscall list --all` shows those that are taken")
        }
        if let file, fileExists(pristine.folder.appending("kernel").appending(file + ".c")) {
            throw Failure(
                .usage, "Linux \(pristine.version) has a file kernel/\(file).c, where the call's C file would go",
                nextStep: "choose another name, such as my_\(file)")
        }
    }

    /// The path from a new package of suites to the package that has SyscallTesting: the project's own, or the package
    /// that comes with kbuild.
    private var kbuildPackage: String {
        let hasOwn =
            fileExists(project.folder.appending("Package.swift"))
            && isFolder(project.folder.pushing("Sources/SyscallTesting"))
        return hasOwn ? "../.." : "../../\(SupportFolder.name)"
    }
}

/// Files that are written together, or not at all.
struct FileEdits {
    let folder: FilePath
    private var files: [(path: FilePath, text: String, what: String)] = []

    init(folder: FilePath) { self.folder = folder }

    mutating func write(_ path: String, _ text: String, _ what: String) {
        files.append((folder.pushing(FilePath(path)), text, what))
    }

    mutating func change(_ path: FilePath, _ text: String, _ what: String) {
        files.append((path, text, what))
    }

    /// The paths in a column, each with its purpose.
    var described: [String] {
        let names = files.map { file -> String in
            var name = file.path
            return name.removePrefix(folder) ? name.string : file.path.string
        }
        let width = names.map(\.count).max() ?? 0
        return zip(names, files).map { $0 + String(repeating: " ", count: width - $0.count + 2) + $1.what }
    }

    /// Writes all files; restores the earlier contents when a file cannot be written.
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
