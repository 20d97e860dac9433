// SPDX-License-Identifier: Apache-2.0
import FileSystem
import Patching

/// The compiler's flags for the objects of the C files that a project adds to the kernel, and for no other object: with
/// them a crash report names the line in such a file though the kernel has no debug information.
///
/// They stand in the makefile that builds the object, where the kernel's own build reads them (`CFLAGS_file.o`,
/// Documentation/kbuild/makefiles.rst), so that only these objects are compiled by them. They are no part of what the project
/// adds: `PatchAnalysis` has the tree without them.
enum OwnObjectFlags {
    /// What follows is kbuild's, not the user's.
    static let comment = "# kbuild: for the lines in crash reports, in the project's own files alone"

    /// What is compiled for something else than the kernel, or by rules of its own.
    private static let special: Set<Substring> = ["boot", "vdso", "realmode", "purgatory"]
    private static let apart: Set<Substring> = ["scripts", "tools", "usr", "samples", "Documentation", "certs", "rust"]

    /// Adds the flags to the makefiles of a tree.
    ///
    /// - Parameter paths: The files that the project changes or adds.
    /// - Throws: `Failure` (`patch`) when a file cannot be read.
    static func add(to editor: inout TreeEditor, for paths: some Sequence<String>) throws {
        var objects: [String: [String]] = [:]
        for path in paths.sorted() where path.hasSuffix(".c") {
            let folders = path.split(separator: "/").dropLast()
            guard let name = path.split(separator: "/").last, !folders.contains(where: special.contains),
                !folders.prefix(1).contains(where: apart.contains), try editor.read(path) != nil,
                try editor.readPristine(path) == nil
            else { continue }
            objects[folders.joined(separator: "/"), default: []].append(name.dropLast(2) + ".o")
        }
        for (folder, objects) in objects {
            let prefix = folder.isEmpty ? "" : folder + "/"
            // The kernel's build reads Kbuild and, where there is none, Makefile.
            guard
                let makefile = try ["Kbuild", "Makefile"].map({ prefix + $0 }).first(where: {
                    try editor.read($0) != nil
                })
            else { continue }
            var lines = try editor.readLines(makefile)
            let words = Set(lines.flatMap { $0.split(whereSeparator: { " \t=:+\\".contains($0) }).map(String.init) })
            let objects = objects.filter(words.contains)
            guard !objects.isEmpty else { continue }
            lines += [comment, "ifndef CONFIG_DEBUG_INFO"] + objects.map { "CFLAGS_\($0) += -g1" } + ["endif"]
            try editor.writeLines(makefile, lines)
        }
    }
}
