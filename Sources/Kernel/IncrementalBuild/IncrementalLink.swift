// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import KernelMake
import SystemPackage

/// How an incremental build links the kernel: with the kernel's own scripts/link-vmlinux.sh, without its first pass.
///
/// A kernel contains a table of its own symbols (kallsyms), so it is linked more than once: without the table, for its
/// size; with a table of that size, for the addresses; then with the table of these addresses. The script compares the
/// sizes and makes one more pass when they differ, and at the end compares the symbols of the kernel with the table in
/// it. The table of the last build replaces the first pass: its size is right unless symbols were added or removed, and
/// then the script's extra pass corrects it. The result is the same kernel, because the table's size depends only on
/// the symbols' names, and the addresses on that size.
///
/// Without that pass, the link need not wait for vmlinux.o and modpost either, which only check: on two processors they
/// run beside it.
package struct IncrementalLink: Equatable {
    /// The script, with the shorter way in it.
    var script: String
    /// The script's arguments, from make's record of the link, for the shell.
    var arguments: String
    /// Whether the tables are assembled without ccache, which never has them and takes as long again for the look-up.
    var bypassesCcache: Bool

    /// make's environment at the last incremental link, as the shell reads it: the script uses much of it.
    package static let environmentName = ".kbuild-link-environment"
    /// The environment variable that names the list of objects to link, when that is not `vmlinux.a`.
    static let archiveVariable = "kbuild_archive"
    /// The script's name in the output folder, and the file for its output until it has succeeded.
    static let scriptName = ".kbuild-link.sh"
    private static let logName = ".kbuild-link.log"

    /// Options with which the script does more than is known here, or links other files.
    private static let unknownOptions = [
        "BUILTIN_MODULE_RANGES", "DEBUG_INFO_BTF", "LTO_CLANG", "MODULES", "VMLINUX_MAP", "X86_KERNEL_IBT",
    ]

    /// Finds the shorter way; nil when the kernel's script, configuration or last link has another form.
    init?(script: String, record: String, configuration: String, tree: FilePath) {
        guard configuration.contains("CONFIG_KALLSYMS=y\n"),
            !Self.unknownOptions.contains(where: { configuration.contains("CONFIG_\($0)=y\n") }),
            let shortened = Self.shortened(script)
        else { return nil }
        self.script = shortened
        // Debug information contains file names as the compiler received them, and ccache passes relative paths.
        bypassesCcache = !configuration.contains("CONFIG_DEBUG_INFO=y\n")
        // `cmd_vmlinux := TREE/scripts/link-vmlinux.sh "ld" "FLAGS" "FLAGS";  true`: no step of the architecture
        // follows.
        let line = record.prefix { $0 != "\n" }
        guard let start = line.firstRange(of: " := ")?.upperBound else { return nil }
        let command = line[start...]
        let parts = command.split(separator: ";", omittingEmptySubsequences: false).map { $0.trimmingBlanks }
        let path = "\(tree)/scripts/link-vmlinux.sh "
        guard parts.count == 2, parts[1] == "true", parts[0].hasPrefix(path), !command.contains("$"),
            !command.contains("#"), !command.contains("'")
        else { return nil }
        arguments = String(parts[0].dropFirst(path.count))
    }

    /// The link of an output folder.
    init?(_ make: KernelMake) {
        guard let script = try? readText(make.tree.appending("scripts/link-vmlinux.sh")),
            let record = try? readText(make.output.pushing(FilePath(CommandRecords.record(of: "vmlinux")))),
            let configuration = try? readText(make.output.appending("include/config/auto.conf"))
        else { return nil }
        self.init(script: script, record: record, configuration: configuration, tree: make.tree)
    }

    private static func shortened(_ script: String) -> String? {
        func lastTable(_ names: String, as first: String) -> String {
            "\tcp -p \"$(ls -t \(names) | head -n 1)\" \(first)\n\tkallsymso=\(first)\n"
        }
        /// Each of these must occur once.
        func replacing(_ replacements: [(String, String)]) -> String? {
            var text = script
            for (old, new) in replacements {
                let parts = text.ranges(of: old)
                guard parts.count == 1, let range = parts.first else { return nil }
                text.replaceSubrange(range, with: new)
            }
            return text
        }
        let archive = ("\t\tobjs=vmlinux.a\n", "\t\tobjs=${\(archiveVariable):-vmlinux.a}\n")
        // 6.1
        let early = replacing([
            archive,
            (
                "\tkallsyms_step 1\n",
                lastTable(".tmp_vmlinux.kallsyms[23].o", as: ".tmp_vmlinux.kallsyms1.o")
            ),
        ])
        // 6.12 has a pass before the first, with an empty table.
        let late = replacing([
            archive,
            ("\tkallsyms .tmp_vmlinux.kallsyms0.syms .tmp_vmlinux0.kallsyms\n", ""),
            ("\tvmlinux_link .tmp_vmlinux1\n", "\t:\n"),
            (
                "\tsysmap_and_kallsyms .tmp_vmlinux1\n",
                lastTable(".tmp_vmlinux[23].kallsyms.o", as: ".tmp_vmlinux1.kallsyms.o")
            ),
        ])
        return early ?? late
    }

    /// Writes the script to the output folder.
    ///
    /// - Throws: `Failure` (`infrastructure`).
    func write(to output: FilePath) throws { try writeAtomically(script, to: output.appending(Self.scriptName)) }

    /// The rules, for the kernel's top makefile. A failed link leaves no vmlinux, and make's own rule links again and
    /// reports the error; after a successful link vmlinux is newer than vmlinux.o, and that rule finds it up to date.
    var rules: [String] {
        let compiler = bypassesCcache ? "CC='$(patsubst ccache %,%,$(CC))' " : ""
        return [
            ".PHONY: kbuild-link kbuild-linked",
            "kbuild-link: vmlinux.a",
            // Without the variables of this call of make, and as sh prints them: arch/um/Makefile has bash run recipes.
            "\t@sh -c 'export -p' | sed -e '/^export MAKEFILES=/d' -e '/^export MA*K*E*FLAGS=/s/ -j[0-9]*//' "
                + "-e '/^export MA*K*E*FLAGS=/s/ --jobserver-[a-z]*=[^ ]*//' >\(Self.environmentName)",
            "\t+@if \(compiler)sh ./\(Self.scriptName) \(arguments) >\(Self.logName) 2>&1; then cat \(Self.logName); "
                + "else rm -f vmlinux; fi; rm -f .vmlinux.d \(Self.logName)",
            "kbuild-linked: kbuild-link vmlinux.o",
            "\t@touch -c vmlinux",
            "vmlinux: kbuild-linked",
        ]
    }
}
