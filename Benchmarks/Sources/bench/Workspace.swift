// SPDX-License-Identifier: Apache-2.0
import Foundation
import Measurement

/// Where things are, and how commands are run there.
struct Workspace {
    /// The sources of kbuild, which are copied from and never written to.
    let repository: String
    /// The executable that is measured.
    let kbuild: String
    /// kbuild's cache.
    let cache: String
    /// The benchmarks' own part of it: projects, the peers, and what they need.
    var root: String { cache + "/bench" }
    /// The commit that is measured.
    let commit: String

    /// Finds everything by the working directory and the environment.
    init(environment: [String: String]) throws {
        repository = FileManager.default.currentDirectoryPath
        guard FileManager.default.fileExists(atPath: repository + "/Benchmarks/Package.swift") else {
            throw RunError("run this as `make bench` in kbuild's own folder")
        }
        guard let kbuild = environment["KBUILD_EXECUTABLE"], FileManager.default.isExecutableFile(atPath: kbuild) else {
            throw RunError("KBUILD_EXECUTABLE names no executable: run this as `make bench`, which builds it")
        }
        self.kbuild = kbuild
        let home = environment["HOME"] ?? NSHomeDirectory()
        cache = environment["KBUILD_CACHE"] ?? (environment["XDG_CACHE_HOME"] ?? home + "/.cache") + "/kbuild"
        try FileManager.default.createDirectory(atPath: cache + "/bench", withIntermediateDirectories: true)
        let head = try Invocation(["git", "rev-parse", "--short", "HEAD"], in: repository)
            .run(keepingOutputIn: cache + "/bench")
        // The results themselves are such a change, but not one of what is measured.
        let changes = try Invocation(
            ["git", "status", "--porcelain", "Sources", "rootfs", "Package.swift", "kernel", "configs"], in: repository
        ).run(keepingOutputIn: cache + "/bench")
        commit =
            head.output.trimmingCharacters(in: .whitespacesAndNewlines)
            + (changes.output.isEmpty ? "" : " with changes")
    }

    /// A command in the form for the results, without paths of this machine.
    func text(_ invocation: Invocation) -> String {
        invocation.text([
            (kbuild, "kbuild"), (root, "$BENCH"), (cache, "$KBUILD_CACHE"), (repository, "$REPOSITORY"),
        ])
    }

    /// Runs a command that must succeed.
    ///
    /// - Throws: `RunError` with the command's last words when it fails or reaches its limit.
    @discardableResult
    func run(_ invocation: Invocation) throws -> Measured {
        let measured = try invocation.run(keepingOutputIn: root)
        guard measured.code == 0, !measured.reachedLimit else {
            let how =
                measured.reachedLimit
                ? "did not end within \(figure(invocation.limit)) s" : "ended with \(measured.code)"
            let words = (measured.output + measured.errors).split(separator: "\n").suffix(12).joined(separator: "\n")
            throw RunError("\(text(invocation)) \(how)\n\(words)")
        }
        return measured
    }

    /// kbuild in a project of the benchmarks.
    func invocation(
        _ arguments: [String], in project: String, watch: Invocation.Watch = .nothing, limit: Double = 120
    ) -> Invocation {
        Invocation([kbuild] + arguments, in: root + "/" + project, limit: limit, watch: watch)
    }

    /// Writes a file below the benchmarks' folder, by a rename: a tree's files may have other names elsewhere.
    func write(_ name: String, _ text: String) throws {
        let path = root + "/" + name
        if (try? String(contentsOfFile: path, encoding: .utf8)) == text { return }
        try FileManager.default.createDirectory(
            atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    /// Reads a file below the benchmarks' folder.
    func read(_ name: String) throws -> String {
        try String(contentsOfFile: root + "/" + name, encoding: .utf8)
    }

    /// Makes a copy in the benchmarks' folder equal to what the repository has, touching only what differs.
    func restore(_ name: String, in project: String) throws {
        let files = FileManager.default
        let (source, target) = (repository + "/" + name, root + "/" + project + "/" + name)
        var isFolder: ObjCBool = false
        guard files.fileExists(atPath: source, isDirectory: &isFolder) else { throw RunError("there is no \(name)") }
        guard isFolder.boolValue else {
            if !files.contentsEqual(atPath: source, andPath: target) {
                try files.createDirectory(
                    atPath: (target as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
                try? files.removeItem(atPath: target)
                try files.copyItem(atPath: source, toPath: target)
            }
            return
        }
        try files.createDirectory(atPath: target, withIntermediateDirectories: true)
        let names = try files.contentsOfDirectory(atPath: source).filter {
            !$0.hasPrefix(".") && $0 != "Package.resolved"
        }
        for extra in try files.contentsOfDirectory(atPath: target) where !names.contains(extra) && !extra.hasPrefix(".")
        {
            try files.removeItem(atPath: target + "/" + extra)
        }
        for child in names { try restore(name + "/" + child, in: project) }
    }
}

/// Prints the progress.
func tell(_ text: String) {
    FileHandle.standardError.write(Data((text + "\n").utf8))
}
