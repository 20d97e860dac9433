// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import SystemPackage

/// A Linux source tree without a kbuild.yaml, as kernel developers have it.
///
/// kbuild keeps a project for it in the cache, whose kernel source is the tree. kbuild never writes to the tree: it
/// copies the tree once and the changes in later runs, and keeps objects in the cache.
public enum KernelTree {
    /// The cache's folder of projects.
    private static let collection = "trees"
    /// The file in the project's folder that contains the tree's path.
    static let record = ".kernel-tree"
    /// The name of such a project's only test.
    public static let bootTest = "boot"

    /// The tree that contains a folder; nil when there is none.
    static func containing(_ folder: FilePath) -> FilePath? {
        var folder = folder
        while !isTree(folder) {
            let parent = folder.removingLastComponent()
            guard parent != folder, !folder.components.isEmpty else { return nil }
            folder = parent
        }
        return folder
    }

    /// Whether a folder is the top of a Linux source tree.
    static func isTree(_ folder: FilePath) -> Bool {
        guard ["Kbuild", "Kconfig", "arch", "init/main.c"].allSatisfy({ fileExists(folder.pushing(FilePath($0))) }),
            let makefile = try? readText(folder.appending("Makefile"))
        else { return false }
        return makefile.contains("\nPATCHLEVEL = ") && makefile.contains("\nKBUILD_")
    }

    /// The project file of a tree, created in the cache if necessary.
    ///
    /// - Throws: `Failure`: `usage` when the cache's place is unknown, `infrastructure` when it cannot be written.
    static func projectFile(of tree: FilePath, environment: [String: String]) throws -> FilePath {
        // A double-quoted scalar of YAML.
        let path = tree.string.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        // The configuration that the user works with, if there is one.
        let base = fileExists(tree.appending(".config")) ? "\n  base: \"\(path)/.config\"" : ""
        return try write(
            tree.string, projectText(source: "\n  source: \"\(path)\"", base: base), environment: environment)
    }

    private static func write(_ text: String, _ project: String, environment: [String: String]) throws -> FilePath {
        let layout = try CacheLayout(environment: environment)
        try layout.prepare()
        let folder = layout.root.appending(collection).appending(Digest.of(text).short)
        let texts = [record: text, Project.fileName: project, "\(bootTest).c": bootSource]
        try createFolder(folder)
        for (name, text) in texts where (try? readText(folder.appending(name))) != text {
            try writeAtomically(text, to: folder.appending(name))
        }
        return folder.appending(Project.fileName)
    }

    /// The tree of a project file in the cache; nil for a user's project, regardless of the files beside it, and for
    /// the project without a tree.
    static func tree(ofProjectFile file: FilePath) -> FilePath? {
        text(besideProjectFile: file).flatMap { $0 == treeless ? nil : FilePath($0) }
    }

    /// Whether a project file in the cache is kbuild's own, for a tree or without one.
    static func isStandIn(_ file: FilePath) -> Bool { text(besideProjectFile: file) != nil }

    /// The record beside one of kbuild's own project files; nil for a user's project.
    private static func text(besideProjectFile file: FilePath) -> String? {
        let folder = file.removingLastComponent()
        guard folder.removingLastComponent().lastComponent?.string == collection,
            let text = try? readText(folder.appending(record)),
            folder.lastComponent?.string == Digest.of(text).short
        else { return nil }
        return text
    }

    /// The record of the project without a tree: its kernel source is the default, or that of --kernel.
    private static let treeless = "no tree"

    /// The project file for patches given only on the command line, created in the cache if necessary.
    ///
    /// - Throws: as `projectFile`.
    static func projectFileWithoutTree(environment: [String: String]) throws -> FilePath {
        try write(treeless, projectText(source: "", base: ""), environment: environment)
    }

    /// A file of the cache with patches from standard input, named after its contents.
    ///
    /// - Throws: `Failure`: `usage` when the cache's place is unknown, `infrastructure` when it cannot be written.
    public static func keep(mail bytes: [UInt8], environment: [String: String]) throws -> FilePath {
        let layout = try CacheLayout(environment: environment)
        try layout.prepare()
        let file = layout.root.appending(collection).pushing(FilePath("mail-\(Digest.of(bytes).short).mbox"))
        try createFolder(file.removingLastComponent())
        if !fileExists(file) { try writeAtomically(bytes, to: file) }
        return file
    }

    /// kbuild's own configuration, on top of tinyconfig.
    private static let fastFragment = "\(SupportFolder.name)/configs/base.config"

    /// Uses the fragment of a guest's requirements when the configuration starts from another base than the smallest:
    /// kbuild's own configuration would turn off the user's options.
    static func adaptFragments(of project: inout Project) {
        guard project.kernel.base != .target("tinyconfig") else { return }
        let fast = Project.Fragment.file(project.folder.pushing(FilePath(fastFragment)))
        let guest = Project.Fragment.file(project.folder.pushing(FilePath(SupportFolder.guestFragment)))
        project.kernel.config = project.kernel.config.map { $0 == fast ? guest : $0 }
    }

    private static func projectText(source: String, base: String) -> String {
        """
        # kbuild's own project for a kernel tree. A kbuild.yaml in the tree takes its place.
        kernel:\(source)\(base)
          config: [\(fastFragment)]
          uml-config: [\(SupportFolder.name)/configs/uml.config]
        tests:
          - {c: \(bootTest).c, name: \(bootTest)}

        """
    }

    /// A guest that runs it has reached user space, and the kernel's reports until then are in the log.
    private static let bootSource = """
        #include <stdio.h>
        #include <sys/utsname.h>

        int main(void) {
            struct utsname name;
            if (uname(&name) != 0) return 1;
            printf("%s %s %s\\n", name.sysname, name.release, name.version);
            return 0;
        }

        """
}
