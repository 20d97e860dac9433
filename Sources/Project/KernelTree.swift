// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import SystemPackage

/// A Linux source tree without a kbuild.yaml: where a kernel developer stands.
///
/// kbuild keeps a project for it in the cache, whose kernel source is the tree. The tree itself is never written to: it
/// is copied once, later runs copy what changed, and objects lie in the cache.
public enum KernelTree {
    /// The folder of the cache that has the projects.
    private static let collection = "trees"
    /// The file in the project's folder that holds the tree's path.
    static let record = ".kernel-tree"
    /// The name of the one test that such a project has.
    public static let bootTest = "boot"

    /// The tree that holds a folder; nil when none does.
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

    /// The project file of a tree, made in the cache when it is not there.
    ///
    /// - Throws: `Failure`: `usage` when there is no place for the cache, `infrastructure` when it cannot be written.
    static func projectFile(of tree: FilePath, environment: [String: String]) throws -> FilePath {
        let layout = try CacheLayout(environment: environment)
        try layout.prepare()
        let folder = layout.root.appending(collection).appending(Digest.of(tree.string).short)
        let texts = [
            record: tree.string, Project.fileName: projectText(tree), "\(bootTest).c": bootSource,
        ]
        try createFolder(folder)
        for (name, text) in texts where (try? readText(folder.appending(name))) != text {
            try writeAtomically(text, to: folder.appending(name))
        }
        return folder.appending(Project.fileName)
    }

    /// The tree that a project file in the cache stands for; nil for a user's project, whatever lies beside its file.
    static func tree(ofProjectFile file: FilePath) -> FilePath? {
        let folder = file.removingLastComponent()
        guard folder.removingLastComponent().lastComponent?.string == collection,
            let text = try? readText(folder.appending(record)),
            folder.lastComponent?.string == Digest.of(text).short
        else { return nil }
        return FilePath(text)
    }

    private static func projectText(_ tree: FilePath) -> String {
        // A double-quoted scalar of YAML.
        let path = tree.string.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        return """
            # kbuild's own project for a kernel tree. A kbuild.yaml in the tree takes its place.
            kernel:
              source: "\(path)"
              config: [\(SupportFolder.name)/configs/base.config]
              uml-config: [\(SupportFolder.name)/configs/uml.config]
            tests:
              - {c: \(bootTest).c, name: \(bootTest)}

            """
    }

    /// A guest that runs it has a user space; what the kernel reported until then is in the log.
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
