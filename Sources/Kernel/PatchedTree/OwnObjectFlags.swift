// SPDX-License-Identifier: Apache-2.0
import FileSystem
import Patching

/// The compiler's flags for the objects of the C files that a project adds to the kernel, and for no other object: with
/// them a crash report names the line in such a file even if the kernel has no debug information, and the compiler
/// prints more warnings.
///
/// The flags are in the makefile that builds the object, where the kernel's own build reads them (`CFLAGS_file.o`,
/// Documentation/kbuild/makefiles.rst), so only these objects are compiled with them. They are not part of the
/// project's own changes: `PatchAnalysis` has the tree without them.
public enum OwnObjectFlags: String, Sendable {
    /// The compiler's warnings are shown.
    case warn
    /// The compiler's warnings fail the build, except warnings about uninitialized values: these are often wrong with
    /// checkers or HARDENED_USERCOPY.
    case fail

    /// The following lines are kbuild's, not the user's.
    static let comment = "# kbuild: for the project's own files alone"

    /// Warnings beyond those of the kernel's own build. They are those of `make W=1` (scripts/Makefile.extrawarn of
    /// 6.1), which the kernel's headers pass, and warnings about uninitialized values.
    static let warnings = [
        "-Wextra", "-Wunused", "-Wno-unused-parameter", "-Wunused-but-set-variable", "-Wunused-const-variable",
        "-Wmaybe-uninitialized", "-Wold-style-definition", "-Wmissing-format-attribute",
        "-Wno-missing-field-initializers", "-Wno-sign-compare", "-Wno-type-limits", "-Wno-shift-negative-value",
    ]

    /// The flags for warnings in the project's own files.
    package var compilerFlags: [String] {
        Self.warnings + (self == .fail ? ["-Werror", "-Wno-error=maybe-uninitialized"] : [])
    }

    /// Folders with files that are not part of the kernel itself, or that have their own rules.
    private static let special: Set<Substring> = ["boot", "vdso", "realmode", "purgatory"]
    private static let apart: Set<Substring> = ["scripts", "tools", "usr", "samples", "Documentation", "certs", "rust"]

    /// Adds the flags to the makefiles of a tree.
    ///
    /// - Parameter paths: The files that the project changes or adds.
    /// - Throws: `Failure` (`patch`) when a file cannot be read.
    func add(to editor: inout TreeEditor, for paths: some Sequence<String>) throws {
        var objects: [String: [String]] = [:]
        for path in paths.sorted() where path.hasSuffix(".c") {
            let folders = path.split(separator: "/").dropLast()
            guard let name = path.split(separator: "/").last, !folders.contains(where: Self.special.contains),
                !folders.prefix(1).contains(where: Self.apart.contains), try !editor.isPristine(path),
                try editor.read(path) != nil
            else { continue }
            objects[folders.joined(separator: "/"), default: []].append(name.dropLast(2) + ".o")
        }
        for (folder, objects) in objects {
            let prefix = folder.isEmpty ? "" : folder + "/"
            // The kernel's build reads Kbuild or, if there is none, Makefile.
            guard
                let makefile = try ["Kbuild", "Makefile"].map({ prefix + $0 }).first(where: {
                    try editor.read($0) != nil
                })
            else { continue }
            var lines = try editor.readLines(makefile)
            let words = Set(lines.flatMap { $0.split(whereSeparator: { " \t=:+\\".contains($0) }).map(String.init) })
            let objects = objects.filter(words.contains)
            guard !objects.isEmpty else { continue }
            let flags = compilerFlags.joined(separator: " ")
            lines += [Self.comment] + objects.map { "CFLAGS_\($0) += \(flags)" }
            // With debug information -g1 would remove some of it.
            lines += ["ifndef CONFIG_DEBUG_INFO"] + objects.map { "CFLAGS_\($0) += -g1" } + ["endif"]
            try editor.writeLines(makefile, lines)
        }
    }
}
