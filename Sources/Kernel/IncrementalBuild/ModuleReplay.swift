// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import KernelMake
import Processes
import SystemPackage

/// A build of a module outside of the tree without make, after a change of its C files and headers alone: it runs the
/// commands that make recorded for the objects, the check of symbols and the module's link again.
///
/// make takes longer to read the kernel's makefiles than the compiler takes for a module. As with `CommandReplay`, if a
/// record or a rule has an unknown form, there is no replay, and make builds.
package struct ModuleReplay: Equatable {
    /// A shell script, which runs in the kernel's output folder, as make's recipes do.
    package var script: String
    /// The modules that it links, as paths.
    package var modules: [FilePath]

    /// The script's name in the module's folder.
    package static let scriptName = ".kbuild-replay.sh"
    /// Options under which an object's rule does more than compile, or a module's more than link.
    private static let unknownOptions = [
        "FTRACE_MCOUNT_USE_RECORDMCOUNT", "MODVERSIONS", "TRIM_UNUSED_KSYMS", "DEBUG_INFO_BTF_MODULES", "LTO_CLANG",
    ]
    private static let symbols = "Module.symvers"

    /// Finds the commands to run; nil if they are not certain.
    ///
    /// - Parameters:
    ///   - folder: The folder, in which make has built everything.
    ///   - changed: The C files and headers that were changed since, relative to the folder; none is new or gone.
    package init?(in folder: FilePath, changed: Set<String>, make: KernelMake) throws {
        guard make.architecture == .x86_64, !changed.isEmpty,
            changed.allSatisfy({ $0.hasSuffix(".c") || $0.hasSuffix(".h") }),
            let configuration = try? readText(make.output.appending("include/config/auto.conf")),
            !Self.unknownOptions.contains(where: { configuration.contains("CONFIG_\($0)=y\n") }),
            let rules = try? readText(make.tree.appending("scripts/Makefile.build")),
            let calls = CommandReplay.calls(inRules: rules), calls.isSubset(of: CommandReplay.knownCalls)
        else { return nil }
        let records = try CommandRecords(output: folder)
        func path(_ target: String) -> String { folder.pushing(FilePath(target)).string }

        let places = Dictionary(
            changed.map { (folder.pushing(FilePath($0)).lexicallyNormalized(), $0) },
            uniquingKeysWith: { first, _ in first })
        let names = Set(changed.compactMap { FilePath($0).lastComponent?.string })
        var used: Set<String> = []
        var objects: Set<String> = []
        for mention in try records.mentions(ofNames: names) {
            guard let file = places[mention.path] else { continue }
            guard mention.target.hasSuffix(".o"), !mention.target.hasSuffix(".mod.o") else { return nil }
            used.insert(file)
            objects.insert(mention.target)
        }
        // A file that no object was made of may have a rule of its own.
        guard used == changed else { return nil }

        var lines = ["# Written by kbuild: what make ran for these targets the last time.", "set -e", "export NM=nm"]
        for object in objects.sorted() {
            guard let compilation = CommandReplay.compilation(of: path(object), record: try records.text(of: object))
            else { return nil }
            lines += compilation
            if calls.contains("cmd,check_local_export") {
                let check = make.tree.pushing(FilePath(CommandReplay.exportCheck)).string
                lines.append("\(Command.quoted(check)) \(path(object))")
            }
        }
        func run(_ target: String) throws -> String? {
            CommandRecords.replayable(try records.text(of: target))
        }
        let modules = records.targets.filter { $0.hasSuffix(".ko") }.sorted()
        guard !modules.isEmpty, records.targets.contains(Self.symbols) else { return nil }
        for target in records.targets.sorted() where target.hasSuffix(".o") && !target.hasSuffix(".mod.o") {
            let record = try records.text(of: target)
            guard !record.contains("\nsource_") else { continue }
            // An object of several.
            guard let command = CommandRecords.replayable(record), command.hasPrefix("ld ") else { return nil }
            lines += ["echo '  LD [M]  \(path(target))'", command]
        }
        let sources = modules.map { path("\($0.dropLast(".ko".count)).mod.c") }
        lines += sources.map { "cp -p \($0) \($0).before" }
        guard let check = try run(Self.symbols) else { return nil }
        lines += ["echo '  MODPOST \(path(Self.symbols))'", check]
        for (module, source) in zip(modules, sources) {
            let object = "\(module.dropLast(".ko".count)).mod.o"
            guard let link = try run(module), records.targets.contains(object),
                let compilation = CommandReplay.compilation(of: path(object), record: try records.text(of: object))
            else { return nil }
            lines.append("if cmp -s \(source) \(source).before; then mv \(source).before \(source); else")
            lines += compilation
            lines += ["fi", "rm -f \(source).before", "echo '  LD [M]  \(path(module))'", link]
        }
        script = lines.joined(separator: "\n") + "\n"
        self.modules = modules.map { FilePath(path($0)) }
    }
}
