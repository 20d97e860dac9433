// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import KernelMake
import PatchedTree
import Processes
import SystemPackage

/// The part of a build that is necessary after a change of only C files: make's own recipes in the folders of the
/// objects that depend on them, and the links.
///
/// A plain make visits every folder of the kernel to find that nothing changed there, which takes most of the time.
/// Here make gets the list of folders to visit; within them, and after them, its own rules decide, so its results are
/// those of a plain make. It must be certain that no other folder has work to do; this follows from what changed since
/// make last reported that everything was up to date, and from make's own records of each target's inputs. If it is not
/// certain, the build is a plain make.
package struct IncrementalMake: Equatable {
    /// The objects that depend on the changed files, relative to the output folder.
    package var objects: [String]
    /// For each folder to visit (`.` is the top), the subfolders to visit.
    var subfolders: [String: [String]]
    /// The archives that contain the objects, each after its members.
    var archives: [String]
    /// The link; nil for make's own.
    var link: IncrementalLink?
    /// The way to do everything except the image without make; nil if it is not known.
    package var replay: CommandReplay?

    /// Why a build cannot be incremental.
    package struct Obstacle: Error, Equatable {
        /// The reason, for `--verbose`.
        package var reason: String

        package init(reason: String) { self.reason = reason }
    }

    /// Options under which an object's contents affect more than its archive: the list of symbols to which exports are
    /// trimmed, the versions of the symbols, or a link of the whole kernel from the compiler's intermediate code.
    private static let wideOptions = ["TRIM_UNUSED_KSYMS", "MODVERSIONS", "LTO_CLANG", "GCOV_KERNEL", "RUST"]

    // MARK: Planning

    /// Finds the work of a build.
    ///
    /// - Parameters:
    ///   - buildSnapshot: The state from which the output was last wholly built.
    ///   - current: The current state.
    /// - Throws: `Obstacle` when a plain make is necessary; `Failure` (`infrastructure`) when the output cannot be
    ///   read; `CancellationError`.
    package init(_ make: KernelMake, from buildSnapshot: BuildSnapshot?, to current: BuildSnapshot?) throws {
        guard let buildSnapshot, let current else {
            throw Obstacle(reason: "the output has no record of a whole build")
        }
        guard !buildSnapshot.isCopied else { throw Obstacle(reason: "make has not run in the copied output yet") }
        guard buildSnapshot.command == current.command else { throw Obstacle(reason: "make's command is another one") }
        if let fixture = Set(buildSnapshot.fixtures.keys).union(current.fixtures.keys).sorted()
            .first(where: { buildSnapshot.fixtures[$0] != current.fixtures[$0] })
        {
            throw Obstacle(reason: "\(fixture) is another one")
        }
        let changed = Set(buildSnapshot.files.keys).union(current.files.keys)
            .filter { buildSnapshot.files[$0] != current.files[$0] }
        guard !changed.isEmpty else { throw Obstacle(reason: "no file of the tree changed") }
        for path in changed.sorted() {
            guard let before = buildSnapshot.files[path]?.content, let now = current.files[path]?.content,
                before != .absent, now != .absent
            else { throw Obstacle(reason: "\(path) is new, removed, or unknown to the last build") }
            guard Self.isSource(path) else { throw Obstacle(reason: "\(path) is not a C file of the kernel proper") }
        }
        try Self.checkMakefiles(make)

        let records = try CommandRecords(output: make.output)
        try Self.checkMentions(inMakefilesOf: make, of: changed, records: records)
        objects = try Self.objects(dependingOn: changed, make: make, records: records)
        (subfolders, archives) = try Self.route(to: objects, records: records)
        link = IncrementalLink(make)
        replay = try CommandReplay(self, make: make, records: records)
    }

    /// Whether a path is one of a kernel's own C files, or of the headers beside them. Headers in an include folder are
    /// also input of generators, whose rules need not record what they read; sources of the build's own tools, and of
    /// the images around the kernel, are left to make.
    static func isSource(_ path: String) -> Bool {
        guard path.hasSuffix(".c") || path.hasSuffix(".h") else { return false }
        let folders = path.split(separator: "/").dropLast()
        let special: Set<Substring> = ["include", "boot", "vdso", "realmode", "purgatory"]
        let apart: Set<Substring> = ["scripts", "tools", "usr", "samples", "Documentation", "certs", "rust"]
        return !folders.contains(where: special.contains) && !folders.prefix(1).contains(where: apart.contains)
    }

    /// The makefiles must have the form that the incremental build's own makefile extends (6.1 and later have it).
    private static func checkMakefiles(_ make: KernelMake) throws {
        let top = (try? readText(make.tree.appending("Makefile"))) ?? ""
        let build = (try? readText(make.tree.appending("scripts/Makefile.build"))) ?? ""
        let isKnown =
            top.contains("\n$(build-dir): prepare\n") && top.contains("\nbuild-dir\t:= .\n")
            && top.contains("$(Q)$(MAKE) $(build)=$@ need-builtin=1 need-modorder=1 $(single-goals)")
            && build.contains("\n$(subdir-ym):\n")
        guard isKnown else { throw Obstacle(reason: "the kernel's makefiles are of another form") }
        let config = (try? readText(make.output.appending("include/config/auto.conf"))) ?? ""
        for option in wideOptions where config.contains("CONFIG_\(option)=y") {
            throw Obstacle(reason: "CONFIG_\(option) is set")
        }
    }

    /// A separate rule may read a file without a record of it; then it must name the file.
    private static func checkMentions(
        inMakefilesOf make: KernelMake, of paths: Set<String>, records: CommandRecords
    ) throws {
        let names = Set(paths.compactMap { FilePath($0).lastComponent?.string })
        var makefiles = ["Makefile", "Kbuild", "scripts/Makefile.lib", "scripts/Makefile.build"].map {
            make.tree.pushing(FilePath($0))
        }
        for folder in records.folders {
            for name in ["Makefile", "Kbuild"] { makefiles.append(make.tree.pushing(FilePath("\(folder)/\(name)"))) }
        }
        for file in makefiles where fileExists(file) {
            let text = try readText(file)
            for name in names where text.utf8.count >= name.utf8.count && text.contains(name) {
                throw Obstacle(reason: "\(file) names \(name)")
            }
        }
    }

    /// The objects that were compiled from any of these files; nothing else may be made from the files.
    private static func objects(
        dependingOn paths: Set<String>, make: KernelMake, records: CommandRecords
    ) throws -> [String] {
        func names(_ paths: Set<String>) -> Set<String> {
            Set(paths.compactMap { FilePath($0).lastComponent?.string })
        }
        let guesses = Set(paths.filter { $0.hasSuffix(".c") }.map { "\($0.dropLast(1))o" })
        var mentions = try records.mentions(ofNames: names(paths).union(names(guesses)))
        let files = Dictionary(
            paths.map { (make.tree.pushing(FilePath($0)).lexicallyNormalized(), $0) },
            uniquingKeysWith: { first, _ in first }
        )
        var objects: Set<String> = []
        var used: Set<String> = []
        for mention in mentions {
            // The tools' records are relative to folders that they do not name.
            if mention.target.hasPrefix("tools/"), names(paths).contains(mention.path.lastComponent?.string ?? "") {
                throw Obstacle(reason: "\(mention.target) may read \(mention.path)")
            }
            guard let path = files[mention.path] else { continue }
            guard mention.target.hasSuffix(".o") else {
                throw Obstacle(reason: "\(mention.target) is made from \(path)")
            }
            objects.insert(mention.target)
            used.insert(path)
        }
        if let path = paths.subtracting(used).min() { throw Obstacle(reason: "nothing is compiled from \(path)") }

        // The compiled objects may only go into archives of objects.
        let others = objects.subtracting(guesses)
        if !others.isEmpty { mentions.formUnion(try records.mentions(ofNames: names(others))) }
        let compiled = Dictionary(
            objects.map { (make.output.pushing(FilePath($0)).lexicallyNormalized(), $0) },
            uniquingKeysWith: { first, _ in first })
        for mention in mentions {
            guard let object = compiled[mention.path], mention.target != object else { continue }
            guard isArchive(mention.target) else { throw Obstacle(reason: "\(mention.target) is made from \(object)") }
        }
        return objects.sorted()
    }

    /// An archive that make's walk through the folders makes.
    private static func isArchive(_ target: String) -> Bool {
        ["built-in.a", "lib.a"].contains(target.split(separator: "/").last ?? "")
    }

    /// The path from the top to the folders whose archives contain the objects, and these archives from the objects
    /// upwards.
    private static func route(
        to objects: [String], records: CommandRecords
    ) throws -> (subfolders: [String: [String]], archives: [String]) {
        // The archives that contain an object, or another archive.
        var holders: [String: Set<String>] = [:]
        let linked = Set(
            try ["vmlinux.a", "vmlinux.o"].filter(records.targets.contains).flatMap { try records.command(of: $0) }
                .map(String.init))
        for archive in records.targets where isArchive(archive) {
            if archive.hasSuffix("lib.a"), !linked.contains(archive) { continue }
            let folder = FilePath(archive).removingLastComponent()
            func add(_ member: FilePath) {
                if member.string != archive { holders[member.string, default: []].insert(archive) }
            }
            for word in try records.command(of: archive) where word.hasSuffix(".o") || word.hasSuffix(".a") {
                // built-in.a's recipe names its members relative to its folder, lib.a's relative to the output.
                let member = FilePath(String(word)).lexicallyNormalized()
                add(member)
                add(folder.pushing(member).lexicallyNormalized())
            }
        }
        func folder(of archive: String) -> String {
            let folder = FilePath(archive).removingLastComponent()
            return folder.isEmpty ? "." : folder.string
        }
        var subfolders: [String: Set<String>] = [:]
        var visited: Set<String> = []
        func visit(_ folder: String) throws {
            guard visited.insert(folder).inserted, folder != "." else { return }
            guard let parents = holders["\(folder)/built-in.a"], !parents.isEmpty else {
                throw Obstacle(reason: "\(folder) is not among the folders that are linked")
            }
            for parent in parents.map(folder(of:)) where parent != folder {
                subfolders[parent, default: []].insert(folder)
                try visit(parent)
            }
        }
        var archives: [String] = []
        var gathered: Set<String> = []
        // Depth first, so that each archive comes before all those that contain it.
        func gather(_ archive: String) {
            guard gathered.insert(archive).inserted else { return }
            for holder in (holders[archive] ?? []).sorted() { gather(holder) }
            archives.insert(archive, at: 0)
        }
        for object in objects {
            guard let found = holders[object], !found.isEmpty else {
                throw Obstacle(reason: "\(object) is in no archive of the kernel")
            }
            for archive in found.sorted() {
                try visit(folder(of: archive))
                gather(archive)
            }
        }
        return (subfolders.mapValues { $0.sorted() }, archives)
    }

    // MARK: Running

    /// The makefile that make reads before the kernel's own makefiles (the variable MAKEFILES names it).
    ///
    /// The kernel's top makefile descends into `$(build-dir)` after the preparations, with one rule; this makefile
    /// replaces that rule with the same rule without the preparations. `subdir-ym` has the subfolders of a folder.
    /// make's command line cannot pass either: its words get into the records (scripts/Makefile.modpost looks for
    /// letters in MAKEFLAGS).
    var makefile: String {
        var lines = [
            "# Written by kbuild: the folders that make is to visit.",
            "# The kernel's top makefile runs make once more, in the output folder; that one is level 1.",
            "ifeq ($(MAKELEVEL),1)",
            "override build-dir := .kbuild-incremental",
            ".PHONY: .",
            ".:",
            "\t$(Q)$(MAKE) $(build)=. need-builtin=1 need-modorder=1",
        ]
        lines += link?.rules ?? []
        lines.append("endif")
        let folders = Set(subfolders.keys).union(subfolders.values.joined()).union(["."]).sorted()
        for folder in folders {
            lines.append("kbuild-incremental-\(folder) := \((subfolders[folder] ?? []).joined(separator: " "))")
        }
        lines += [
            "ifneq ($(filter $(obj),\(folders.joined(separator: " "))),)",
            "override subdir-ym = $(kbuild-incremental-$(obj))",
            "endif",
        ]
        return lines.joined(separator: "\n") + "\n"
    }

    /// The path of the makefile that `write(to:)` writes.
    package static func path(in output: FilePath) -> FilePath { output.appending(".kbuild-incremental.mk") }

    /// Writes the makefile, and the link's script, to the output folder.
    ///
    /// - Returns: The makefile's path.
    /// - Throws: `Failure` (`infrastructure`).
    package func write(to output: FilePath) throws -> FilePath {
        try link?.write(to: output)
        let path = Self.path(in: output)
        try writeAtomically(makefile, to: path)
        return path
    }
}
