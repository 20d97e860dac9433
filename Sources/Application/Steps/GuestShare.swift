// SPDX-License-Identifier: Apache-2.0
import Artifacts
import FileSystem
import Glibc
import GuestSession
import Project
import SystemPackage
import VirtualMachine

/// The folders that a guest mounts, and the names that host and guest use for their contents.
enum GuestShare {
    /// The mount tag of a user's share. A tag has at most 31 bytes, which is too short for paths.
    static func tag(ofShare index: Int) -> String { "shared\(index)" }
    /// The mount tag of the test programs.
    static let programsTag = "programs"
    /// The folder at which the guest mounts the test programs.
    static let programsFolder = "/kbuild/programs"

    /// The name of the plan of the guest with this number, from 1, among the programs.
    ///
    /// - Parameter repetition: The number of the repetition, because several may run at a time; nil for none.
    static func planName(_ number: Int, repetition: Int? = nil) -> String {
        repetition.map { "plan-\($0)-\(number)" } ?? "plan-\(number)"
    }
    /// The kernel argument that names a guest's plan.
    static func planArgument(_ name: String) -> String { "kbuild.plan=\(name)" }
    /// The name of the plan with the one program that a guest holds, among the programs.
    static func heldPlan(_ index: Int) -> String { "held-\(index)" }
    /// The name of the library that holds a bundle, among the programs.
    static let harnessName = "snapshot-harness.so"

    /// The share of the programs of the run in `folder`.
    static func programs(in folder: FilePath) -> Share {
        Share(tag: programsTag, path: folder.appending("guest"), isReadOnly: true)
    }

    /// Puts the programs, and the kernel's configuration, into the folder that the guest mounts.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it cannot be written.
    static func layOut(_ programs: [ProgramArtifact], config: FilePath, in share: FilePath) throws {
        try createFolder(share)
        try place(config, at: share.appending("kernel.config"))
        for library in Set(programs.compactMap(\.preloaded)) {
            try copyFile(library, to: share.appending(library.lastComponent?.string ?? "library"))
        }
        for folder in Set(programs.filter { $0.companions != nil }.map { share.pushing(FilePath($0.fileName)) })
            .map({ $0.removingLastComponent() })
        { try createFolder(folder) }
        var trees: Set<FilePath> = []
        for program in programs {
            guard let tree = program.tree, let first = FilePath(program.fileName).components.first else { continue }
            let target = share.appending(first)
            if trees.insert(target).inserted { try placeTree(tree, at: target) }
        }
        for program in programs where program.tree == nil {
            try place(program.executable, at: share.pushing(FilePath(program.fileName)))
        }
        for (folder, target) in Dictionary(
            programs.compactMap { program in
                program.companions.map { ($0, share.pushing(FilePath(program.fileName)).removingLastComponent()) }
            }, uniquingKeysWith: { first, _ in first })
        {
            for companion in ProgramPattern.companions(in: folder) {
                let place = target.appending(companion.lastComponent?.string ?? "file")
                if !fileExists(place) { try Self.place(companion, at: place) }
            }
        }
    }

    /// Puts the regular files of a tree of kbuild's own store where the guest finds them.
    static func placeTree(_ tree: FilePath, at target: FilePath) throws {
        try createFolder(target)
        for name in try namesInFolder(tree) {
            let file = tree.appending(name)
            guard let status = FileStatus(file) else { continue }
            if status.isFolder {
                try placeTree(file, at: target.appending(name))
            } else if status.isRegular {
                try place(file, at: target.appending(name))
            }
        }
    }

    /// Puts an executable where the guest finds it. A link costs nothing, and the guest has the folder read-only;
    /// another file system needs a copy.
    static func place(_ executable: FilePath, at target: FilePath) throws {
        if link(executable.string, target.string) != 0 { try copyFile(executable, to: target) }
    }
}
