// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Processes
import SystemPackage

/// The shared libraries that a Swift Testing bundle needs in a guest: those of the toolchain, the C and C++ libraries
/// of the host, and the dynamic loader.
struct SwiftRuntime: Sendable {
    /// The libraries that a bundle built by SwiftPM may link. Those that a toolchain does not have are omitted, except
    /// the first: without it there is no runtime.
    private static let roots = [
        "libswiftCore.so", "libTesting.so", "lib_TestingInterop.so", "lib_Testing_Foundation.so", "libXCTest.so",
        "libFoundation.so", "libFoundationEssentials.so", "libFoundationInternationalization.so",
        "libdispatch.so", "libBlocksRuntime.so", "libswiftDispatch.so", "libswiftGlibc.so",
        "libswiftSwiftOnoneSupport.so", "libswift_Concurrency.so", "libswift_StringProcessing.so",
        "libswift_RegexParser.so", "libswiftRegexBuilder.so", "libswiftSynchronization.so",
        "libswiftObservation.so", "libswiftDistributed.so", "libswift_Differentiation.so", "libswift_Volatile.so",
        "libswift_Builtin_float.so",
    ]
    /// The C library; all libraries go into its folder, which the loader searches by default.
    private static let cLibrary = "libc.so.6"
    /// x86-64's loader, at the path in the ABI.
    private static let loader = "/lib64/ld-linux-x86-64.so.2"

    let store: ArtifactStore
    let runner: CommandRunner

    /// Adds the runtime to a tree.
    ///
    /// The libraries are in one folder that the loader searches by default, so no LD_LIBRARY_PATH is needed, and a run
    /// path to the host's toolchain, which the guest does not have, does no harm.
    ///
    /// - Parameter executables: More programs whose libraries must be included.
    /// - Throws: `Failure` (`infrastructure`) when the Swift toolchain is incomplete, or a library is missing.
    func install(in tree: inout GuestTree, coveringExecutables executables: [FilePath]) async throws {
        let libraries = try await libraries(coveringExecutables: executables)
        guard let cLibrary = libraries.first(where: { $0.name == Self.cLibrary }) else {
            throw Failure(
                .infrastructure, "the Swift runtime does not use glibc", details: "\(Self.cLibrary) is absent")
        }
        let folder = cLibrary.path.removingLastComponent().string
        for library in libraries {
            let contents: GuestContents = library.isFromToolchain ? .stripped(library.path) : .host(library.path)
            // Programs use the loader's path, and some libraries need it by its name: one file, one link.
            let name = FilePath(library.name).lastComponent?.string ?? library.name
            try tree.addIfAbsent(GuestEntry(kind: .file(contents), mode: 0o755), at: folder + "/" + name)
            if library.name.hasPrefix("/") {
                try tree.addIfAbsent(
                    GuestEntry(kind: .link(folder + "/" + name), mode: 0o777), at: library.name)
            }
        }
    }

    /// The libraries, without installing them.
    ///
    /// Without a toolchain they are the libraries that the executables need. Suites need Swift, so a guest that needs
    /// more has a toolchain.
    func libraries(coveringExecutables executables: [FilePath]) async throws -> [LibraryClosure.Library] {
        guard (try? runner.locate("swiftc")) != nil else {
            let closure = LibraryClosure(toolchainFolders: [], systemFolders: LibraryClosure.hostFolders())
            return try closure.libraries(
                named: [Self.cLibrary, Self.loader], coveringExecutables: executables)
        }
        let folders = try await toolchainFolders()
        let closure = LibraryClosure(toolchainFolders: folders, systemFolders: LibraryClosure.hostFolders())
        let present = Self.roots.filter { name in folders.contains { fileExists($0.appending(name)) } }
        guard present.first == Self.roots.first else {
            throw Failure(
                .infrastructure, "the Swift toolchain has no \(Self.roots[0])",
                details: folders.map(\.string).joined(separator: "\n"), nextStep: "install a Swift toolchain for Linux")
        }
        return try closure.libraries(
            named: present + [Self.loader], coveringExecutables: executables)
    }

    private struct TargetInfo: Decodable {
        struct Paths: Decodable {
            var runtimeLibraryPaths: [String]
        }
        var paths: Paths
    }

    /// The folders of the toolchain's shared libraries.
    private func toolchainFolders() async throws -> [FilePath] {
        try folders(inTargetInfo: try await SwiftToolchain(store: store, runner: runner).targetInfo())
    }

    private func folders(inTargetInfo text: String) throws(Failure) -> [FilePath] {
        guard let info = try? JSONDecoder().decode(TargetInfo.self, from: Data(text.utf8)) else {
            throw Failure(
                .infrastructure, "swiftc -print-target-info says nothing that kbuild understands", details: text)
        }
        return info.paths.runtimeLibraryPaths.map { LibraryClosure.resolved(FilePath($0)) }
    }
}

/// The toolchain of the `swiftc` on PATH.
public struct SwiftToolchain: Sendable {
    private let store: ArtifactStore
    private let runner: CommandRunner

    /// Names it; nothing runs yet.
    public init(store: ArtifactStore, runner: CommandRunner) {
        self.store = store
        self.runner = runner
    }

    /// What `swiftc -print-target-info` prints: JSON.
    ///
    /// The compiler takes 0.1 s to answer, so its answer is kept while the compiler stays the same file. A version
    /// manager's `swiftc` may run another toolchain without changing itself, so it is asked each time.
    ///
    /// - Throws: `Failure` (`infrastructure`) when there is no compiler or it fails.
    public func targetInfo() async throws -> String {
        let compiler = try runner.locate("swiftc")
        let real = LibraryClosure.resolved(compiler)
        let command = Command(compiler.string, ["-print-target-info"])
        if real.lastComponent?.string == "swiftly" { return try await runner.output(of: command) }
        return try await store.remembered {
            var key = KeyBuilder(step: "swift-target-info", version: 1, trust: .trusted)
            key.add("path", real.string)
            key.add("compiler", try store.statCache.digest(of: real))
            return key.key
        } make: {
            try await runner.output(of: command)
        }
    }
}

extension ArtifactStore {
    /// The text that `make` returns, from the store if it exists there.
    ///
    /// - Throws: Errors of `make`, and `Failure` when the store cannot be written.
    func remembered(
        key: () throws -> ArtifactKey, make: () async throws -> String
    ) async throws -> String {
        let name = "text"
        if let known = lookup(try key()), known.files[name] != nil { return try readText(known.path(name)) }
        // A dry run publishes nothing; if it may not run commands, `make` throws.
        if isReadOnly { return try await make() }
        let artifact = try await publish(key: key) { folder in
            try writeAtomically(try await make(), to: folder.appending(name))
        }
        return try readText(artifact.path(name))
    }
}

/// Copies of libraries without the symbols that only a debugger or a linker needs.
struct StrippedLibraries: Sendable {
    let store: ArtifactStore
    let runner: CommandRunner

    /// The digest of the tool, which is part of the key of every artifact with its output.
    func toolDigest() throws -> Digest {
        try store.statCache.digest(of: LibraryClosure.resolved(try runner.locate("strip")))
    }

    /// The stripped copy of each library.
    ///
    /// - Throws: `Failure` (`infrastructure`) when one cannot be stripped.
    func copies(of libraries: Set<FilePath>) async throws -> [FilePath: FilePath] {
        if libraries.isEmpty { return [:] }
        let (key, names) = try recipe(libraries)
        let artifact: Artifact
        if let known = store.lookup(key) {
            artifact = known
        } else {
            artifact = try await store.publish(key: { try recipe(libraries).key }) { folder in
                try await strip(names, into: folder)
            }
        }
        return names.mapValues { artifact.path($0) }
    }

    private static let step = "stripped-libraries"

    /// The commands that make the copies; none if they exist.
    func commands(for libraries: Set<FilePath>) throws -> [Command] {
        if libraries.isEmpty { return [] }
        let (key, names) = try recipe(libraries)
        guard store.lookup(key) == nil else { return [] }
        let folder = store.draft(key)
        return names.sorted { $0.value < $1.value }.map { Self.command($0.key, to: folder.appending($0.value)) }
    }

    private static func command(_ library: FilePath, to copy: FilePath) -> Command {
        Command("strip", ["--strip-unneeded", "-o", copy.string, library.string])
    }

    /// The key of the copies, and the name of each.
    private func recipe(_ libraries: Set<FilePath>) throws -> (key: ArtifactKey, names: [FilePath: String]) {
        var builder = KeyBuilder(step: Self.step, version: 1, trust: .trusted)
        builder.add("strip", try toolDigest())
        var names: [FilePath: String] = [:]
        for (index, library) in libraries.sorted(by: { $0.string < $1.string }).enumerated() {
            let name = library.lastComponent?.string ?? "library"
            builder.add(name, try store.statCache.digest(of: library))
            names[library] = "\(index)-\(name)"
        }
        return (builder.key, names)
    }

    private func strip(_ names: [FilePath: String], into folder: FilePath) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            var waiting = names.sorted { $0.value < $1.value }.makeIterator()
            var running = 0
            while true {
                while running < ProcessInfo.processInfo.activeProcessorCount, let (library, name) = waiting.next() {
                    group.addTask {
                        _ = try await runner.output(of: Self.command(library, to: folder.appending(name)))
                    }
                    running += 1
                }
                if try await group.next() == nil { return }
                running -= 1
            }
        }
    }
}
