// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import KernelMake
import Processes
import SystemPackage

/// An incremental build without make: it runs the recorded commands of the objects, archives and checks again.
///
/// Even for one folder make takes longer to read the kernel's makefiles, which ask the compiler some 45 questions, and
/// the records of the folder's objects than the compiler and the linker take together. Its commands are known: since
/// only C files changed that were compiled before, and neither make's command nor the configuration nor a tool changed,
/// each command is the one in the target's record. Each record is written as make would write it. A compressed image
/// around vmlinux is left to a make that needs it; user-mode Linux's is vmlinux under a second name.
///
/// If a record, a rule or the last link has an unknown form, there is no replay, and make builds.
package struct CommandReplay: Equatable {
    /// A shell script, which runs in the output folder.
    var script: String
    /// Whether it also makes the file to boot.
    package var makesImage: Bool
    /// The link that it runs.
    private let link: IncrementalLink

    /// The script's name there.
    package static let scriptName = ".kbuild-replay.sh"
    /// With more objects make's own parallel build is at least as fast.
    private static let mostObjects = 4
    /// The top folder's records that a replay knows, in the order in which they are made again after `vmlinux.a`.
    /// `IncrementalLink` replays the record of vmlinux.
    private static let checks = ["vmlinux.o", "modules.builtin.modinfo", "modules.builtin", "vmlinux.symvers"]
    /// Options under which an object's rule does more than compile, or the top folder has more targets.
    private static let unknownOptions = [
        "FTRACE_MCOUNT_USE_RECORDMCOUNT", "MODULES", "MODVERSIONS", "TRIM_UNUSED_KSYMS",
    ]
    /// The functions that the rule for a C file may call: scripts/Makefile.build of 6.1 to 6.12. Nothing is needed here
    /// for what a plain make does not run (checksrc, checkdoc), what the options above exclude, or what the record
    /// contains (objtool's dependency).
    static let knownCalls: Set<String> = [
        "cmd_and_fixdep,cc_o_c", "cmd,gen_ksymdeps", "cmd,check_local_export", "cmd,checksrc", "cmd,checkdoc",
        "cmd,gen_objtooldep", "cmd,gen_symversions_c", "cmd,record_mcount", "cmd,warn_shared_object",
    ]
    /// The list of objects to link, and the file for output during the link.
    private static let archiveCopy = ".kbuild-vmlinux.a"
    private static let logName = ".kbuild-replay.log"
    /// A script of 6.1 that looks for exports of static symbols.
    static let exportCheck = "scripts/check-local-export"

    /// Finds the commands to run; nil if they are not certain.
    init?(_ incremental: IncrementalMake, make: KernelMake, records: CommandRecords) throws {
        guard let link = incremental.link, incremental.objects.count <= Self.mostObjects,
            fileExists(make.output.appending(IncrementalLink.environmentName)),
            let configuration = try? readText(make.output.appending("include/config/auto.conf")),
            !Self.unknownOptions.contains(where: { configuration.contains("CONFIG_\($0)=y\n") }),
            let rules = try? readText(make.tree.appending("scripts/Makefile.build")),
            let calls = Self.calls(inRules: rules), calls.isSubset(of: Self.knownCalls)
        else { return nil }
        self.link = link
        makesImage = make.architecture.bootsVmlinux
        let tops = Set(records.targets.filter { !$0.contains("/") && !$0.hasPrefix(".") })
        guard tops.isSubset(of: Self.checks + ["vmlinux", "vmlinux.a", "built-in.a"]), tops.contains("vmlinux.o") else {
            return nil
        }
        var lines = [
            "# Written by kbuild: what make ran for these targets the last time.", "set -e",
            ". ./\(IncrementalLink.environmentName)",
        ]
        for object in incremental.objects {
            guard let compilation = Self.compilation(of: object, record: try records.text(of: object)) else {
                return nil
            }
            lines += compilation
            if calls.contains("cmd,check_local_export") {
                lines.append("\(Command.quoted(make.tree.pushing(FilePath(Self.exportCheck)).string)) \(object)")
            }
        }
        var rest = ["set -e"]
        for target in incremental.archives + ["vmlinux.a"] + Self.checks.filter(tops.contains) {
            guard let command = CommandRecords.replayable(try records.text(of: target)) else { return nil }
            rest += ["echo '  GEN     \(target)'", command]
        }
        // The link reads a copy of the list of objects, so that it can begin at once.
        lines += [
            "cp -p vmlinux.a \(Self.archiveCopy)",
            "(",
        ]
        lines += rest
        let compiler = link.bypassesCcache ? "CC=\"${CC#ccache }\" " : ""
        lines += [
            ") >\(Self.logName) 2>&1 &",
            "beside=$! linked=0 checked=0",
            "\(compiler)\(IncrementalLink.archiveVariable)=\(Self.archiveCopy) sh ./\(IncrementalLink.scriptName) \(link.arguments) "
                + "|| linked=$?",
            "wait $beside || checked=$?",
            "cat \(Self.logName)",
            "rm -f \(Self.archiveCopy) \(Self.logName) .vmlinux.d",
            "[ $linked = 0 ] && [ $checked = 0 ] || { rm -f vmlinux; exit 1; }",
            // Newer than the files that it was checked with, so that make's own rule finds nothing to do.
            "touch -c vmlinux",
        ]
        if makesImage {
            lines += ["echo '  LINK \(make.architecture.imagePath)'", "ln -f vmlinux \(make.architecture.imagePath)"]
        }
        script = lines.joined(separator: "\n") + "\n"
    }

    /// The functions that the rule for a C file calls; nil when there is no such rule.
    static func calls(inRules text: String) -> Set<String>? {
        guard let start = text.firstRange(of: "\ndefine rule_cc_o_c\n")?.upperBound,
            let end = text[start...].firstRange(of: "\nendef\n")?.lowerBound
        else { return nil }
        var calls: Set<String> = []
        for line in text[start..<end].textLines() {
            let call = line.trimmingBlanks
            guard call.hasPrefix("$(call "), call.hasSuffix(")") else { return nil }
            calls.insert(String(call.dropFirst("$(call ".count).dropLast()))
        }
        return calls
    }

    /// Compiles a C file with the command in its object's record, and writes the record again: scripts/Kbuild.include's
    /// cmd_and_fixdep.
    static func compilation(of object: String, record: String) -> [String]? {
        guard let command = CommandRecords.replayable(record), let text = CommandRecords.commandText(in: record),
            let source = record.firstRange(of: "\nsource_\(object) := ")?.upperBound,
            record[source...].prefix(while: { $0 != "\n" }).hasSuffix(".c"),
            let last = record.firstRange(of: "\n$(deps_\(object)):\n")?.upperBound
        else { return nil }
        let file = CommandRecords.record(of: object)
        // The addition of other rules to the record: a dependency on objtool.
        let addition = record[last...]
        let dependencies = "\(file.dropLast(".cmd".count)).d"
        guard command.contains("-Wp,-MMD,\(dependencies) ") else { return nil }
        return [
            "echo '  CC      \(object)'", command,
            "scripts/basic/fixdep \(dependencies) \(object) \(Command.quoted(String(text))) >\(file)",
        ] + (addition.isEmpty ? [] : ["printf %s \(Command.quoted(String(addition))) >>\(file)"])
            + ["rm -f \(dependencies)"]
    }

    /// Writes the scripts to the output folder.
    ///
    /// - Throws: `Failure` (`infrastructure`).
    package func write(to output: FilePath) throws {
        try link.write(to: output)
        try writeAtomically(script, to: output.appending(Self.scriptName))
    }
}
