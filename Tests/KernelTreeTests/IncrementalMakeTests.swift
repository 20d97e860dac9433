// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Patching
import Processes
import SystemPackage
import Testing

@testable import IncrementalBuild
@testable import KernelMake
@testable import KernelSource
@testable import PatchedTree

/// What a change means, from records of the kernel's own form.
@Suite(.timeLimit(.minutes(30)))
struct IncrementalMakeTests {
    private let scratch: Scratch
    private let make: KernelMake

    init() throws {
        scratch = try Scratch()
        try scratch.write(
            [
                "Makefile": """

                build-dir\t:= .
                $(build-dir): prepare
                \t$(Q)$(MAKE) $(build)=$@ need-builtin=1 need-modorder=1 $(single-goals)

                """,
                "scripts/Makefile.build": "\n$(subdir-ym):\n",
                "kernel/Makefile": "obj-y += box.o sched/\n", "kernel/box.c": "", "kernel/box.h": "",
                "kernel/sched/core.c": "", "kernel/sched/pelt.c": "", "kernel/bounds.c": "", "lib/sort.c": "",
            ], below: "tree")
        make = KernelMake(tree: scratch.root.appending("tree"), output: scratch.root.pushing("build/x86_64"))
        func compilation(_ object: String, _ sources: String...) -> String {
            let files = sources.map { "../../tree/\($0)" }
            return """
                cmd_\(object) := gcc -c -o \(object) \(make.tree)/\(sources[0])

                source_\(object) := \(files[0])

                deps_\(object) := \\
                  ../../tree/include/linux/compiler.h \\
                \(files.map { "  \($0) \\\n    $(wildcard include/config/SMP) \\" }.joined(separator: "\n"))

                """
        }
        func archive(_ folder: String, _ members: String) -> String {
            "cmd_\(folder)built-in.a := rm -f \(folder)built-in.a;  printf \"\(folder)%s \" \(members) | xargs ar cDPrST x\n"
        }
        try scratch.write(
            [
                "include/config/auto.conf": "CONFIG_SMP=y\n",
                ".built-in.a.cmd": archive("./", "init/built-in.a kernel/built-in.a lib/built-in.a"),
                "kernel/.built-in.a.cmd": archive("kernel/", "box.o sched/built-in.a"),
                "kernel/sched/.built-in.a.cmd": archive("kernel/sched/", "core.o"),
                "lib/.built-in.a.cmd": archive("lib/", ""),
                "lib/.lib.a.cmd": "cmd_lib/lib.a := rm -f lib/lib.a; ar cDPrsT lib/lib.a lib/sort.o\n",
                ".vmlinux.o.cmd": "cmd_vmlinux.o := ld -r -o vmlinux.o vmlinux.a --start-group lib/lib.a --end-group\n",
                "kernel/.box.o.cmd": compilation("kernel/box.o", "kernel/box.c", "kernel/sched/../box.h"),
                "kernel/sched/.core.o.cmd": compilation(
                    "kernel/sched/core.o", "kernel/sched/core.c", "kernel/sched/pelt.c", "kernel/box.h"),
                "kernel/.bounds.s.cmd": compilation("kernel/bounds.s", "kernel/bounds.c"),
                "lib/.sort.o.cmd": compilation("lib/sort.o", "lib/sort.c"),
            ], below: "build/x86_64")
    }

    private func buildSnapshot(_ contents: [String: String]) throws -> BuildSnapshot {
        var record = OutputRecord()
        for (path, text) in contents {
            let file = TreeOverlay.Entry.File(bytes: Array(text.utf8), isExecutable: false)
            record.files[path] = .init(content: ContentIdentity(file), modified: Int64(text.utf8.count))
        }
        try record.save(output: make.output)
        let command = make.command(["bzImage"], environment: [:])
        return try #require(BuildSnapshot(of: make, command: command, runner: CommandRunner()))
    }

    private func plan(_ changes: [String: (String, String)]) throws -> IncrementalMake {
        let before = try buildSnapshot(changes.mapValues { $0.0 })
        return try IncrementalMake(make, from: before, to: try buildSnapshot(changes.mapValues { $0.1 }))
    }

    private func obstacle(_ changes: [String: (String, String)]) -> String? {
        do {
            _ = try plan(changes)
        } catch let obstacle as IncrementalMake.Obstacle {
            return obstacle.reason
        } catch {}
        return nil
    }

    @Test func anotherSourceTakesAPlainMake() throws {
        let manifest = SourceCache.manifest(ofTree: make.tree)
        try TreeManifest(identity: .of("one"), items: [:]).write(to: manifest)
        let before = try buildSnapshot(["kernel/box.c": ""])
        #expect(
            try IncrementalMake(make, from: before, to: buildSnapshot(["kernel/box.c": "int x;"])).objects == [
                "kernel/box.o"
            ])
        // A file that no patch touches changed with it, which the record of patched files does not show.
        try TreeManifest(identity: .of("two"), items: [:]).write(to: manifest)
        let obstacle = #expect(throws: IncrementalMake.Obstacle.self) {
            try IncrementalMake(make, from: before, to: buildSnapshot(["kernel/box.c": "int x;"]))
        }
        #expect(obstacle?.reason == "the kernel's source is another one")
    }

    // MARK: Incremental

    @Test func aFileLeadsToItsObjectAndItsFolder() throws {
        let incremental = try plan(["kernel/box.c": ("", "int x;")])
        #expect(incremental.objects == ["kernel/box.o"])
        #expect(incremental.subfolders == [".": ["kernel"]])
    }

    @Test func aHeaderAndAnIncludedFileLeadToAllThatReadThem() throws {
        let incremental = try plan(["kernel/box.h": ("", "int x;"), "kernel/sched/pelt.c": ("", "int y;")])
        #expect(incremental.objects == ["kernel/box.o", "kernel/sched/core.o"])
        #expect(incremental.subfolders == [".": ["kernel"], "kernel": ["kernel/sched"]])
    }

    @Test func aLibrarysMemberIsLinkedWithTheArchive() throws {
        let incremental = try plan(["lib/sort.c": ("", "int x;")])
        #expect(incremental.objects == ["lib/sort.o"])
        #expect(incremental.subfolders == [".": ["lib"]])
    }

    @Test func theMakefileNamesTheFolders() throws {
        let text = try plan(["kernel/sched/core.c": ("", "int x;")]).makefile
        #expect(text.contains("kbuild-incremental-. := kernel\n"))
        #expect(text.contains("kbuild-incremental-kernel := kernel/sched\n"))
        #expect(text.contains("kbuild-incremental-kernel/sched := \n"))
    }

    @Test func makeVisitsTheFoldersOfTheMakefileAlone() async throws {
        let incremental = try plan(["kernel/sched/core.c": ("", "int x;")])
        let makefile = scratch.root.appending("incremental.mk")
        try writeAtomically(incremental.makefile, to: makefile)
        // The skeleton of the kernel's: the top makefile runs make again in the output folder, which descends from
        // there.
        try scratch.write(
            [
                "top.mk": """
                export Q := @
                ifndef inner
                vmlinux: ; @inner=1 $(MAKE) -f \(scratch.root)/top.mk vmlinux
                else
                build := -f \(scratch.root)/folder.mk obj
                build-dir := .
                vmlinux: . ; @echo linked
                $(build-dir): prepare ; @$(MAKE) $(build)=$@
                prepare: ; @echo prepared
                endif

                """,
                "folder.mk": """
                subdir-ym := kernel lib kernel/sched
                all: $(subdir-ym) ; @echo visited $(obj)
                $(subdir-ym): ; @$(MAKE) $(build)=$@
                build := -f \(scratch.root)/folder.mk obj
                .PHONY: $(subdir-ym)

                """,
            ], below: "")
        let command = Command(
            "make", ["--no-print-directory", "-f", "top.mk", "vmlinux"],
            environment: ["MAKEFILES": makefile.string, "MAKELEVEL": nil, "MAKEFLAGS": nil],
            workingDirectory: scratch.root)
        let result = try await CommandRunner().capture(command)
        #expect(result.errors == "")
        #expect(result.output == "visited kernel/sched\nvisited kernel\nvisited .\nlinked\n")
    }

    // MARK: The link

    private let early =
        "\t\tobjs=vmlinux.a\nif is_enabled CONFIG_KALLSYMS; then\n\tkallsyms_step 1\n\tkallsyms_step 2\nfi\n"
    private let record =
        "cmd_vmlinux := /t/scripts/link-vmlinux.sh \"ld\" \"-m elf\" \"-z x\";  true\n\nsource_vmlinux := x\n"

    @Test func theLinkStartsFromTheLastTable() throws {
        let link = try #require(
            IncrementalLink(script: early, record: record, configuration: "CONFIG_KALLSYMS=y\n", tree: "/t"))
        #expect(link.arguments == "\"ld\" \"-m elf\" \"-z x\"")
        #expect(!link.script.contains("kallsyms_step 1"))
        #expect(link.script.contains("kallsymso=.tmp_vmlinux.kallsyms1.o\n\tkallsyms_step 2\n"))
        #expect(link.rules.contains("vmlinux: kbuild-linked"))
    }

    @Test func aLaterKernelsLinkLosesTheEmptyTableToo() throws {
        let script = """
            \t\tobjs=vmlinux.a
            if is_enabled CONFIG_KALLSYMS; then
            \ttrue > .tmp_vmlinux.kallsyms0.syms
            \tkallsyms .tmp_vmlinux.kallsyms0.syms .tmp_vmlinux0.kallsyms
            fi
            if is_enabled CONFIG_KALLSYMS || is_enabled CONFIG_DEBUG_INFO_BTF; then
            \tvmlinux_link .tmp_vmlinux1
            fi
            \tsysmap_and_kallsyms .tmp_vmlinux1
            \tvmlinux_link .tmp_vmlinux2

            """
        let link = try #require(
            IncrementalLink(script: script, record: record, configuration: "CONFIG_KALLSYMS=y\n", tree: "/t"))
        #expect(!link.script.contains("vmlinux_link .tmp_vmlinux1"))
        #expect(!link.script.contains("sysmap_and_kallsyms .tmp_vmlinux1"))
        #expect(link.script.contains("vmlinux_link .tmp_vmlinux2"))
        #expect(link.script.contains("kallsymso=.tmp_vmlinux1.kallsyms.o\n"))
    }

    @Test(
        "incremental builds are used only for the verified versions",
        arguments: [
            ("6.1.192", true), ("6.1", true), ("6.12.43+deb13", true), ("6.12-rc3", true), ("6.10.1", false),
            ("6.6.5", false), ("16.1.2", false), ("6", false), ("", false),
        ])
    func provenVersions(version: String, isProven: Bool) {
        #expect(ProvenVersions.include(version) == isProven)
    }

    @Test(arguments: [
        "", "CONFIG_KALLSYMS=y\nCONFIG_DEBUG_INFO_BTF=y\n", "CONFIG_KALLSYMS=y\nCONFIG_X86_KERNEL_IBT=y\n",
        "CONFIG_KALLSYMS=y\nCONFIG_MODULES=y\n",
    ])
    func otherConfigurationsAreLinkedByMake(configuration: String) {
        #expect(IncrementalLink(script: early, record: record, configuration: configuration, tree: "/t") == nil)
    }

    @Test(arguments: [
        "cmd_vmlinux := /t/scripts/link-vmlinux.sh \"ld\";  make -f arch/x86/Makefile.postlink vmlinux\n",
        "cmd_vmlinux := /u/scripts/link-vmlinux.sh \"ld\";  true\n",
        "cmd_vmlinux := /t/scripts/link-vmlinux.sh \"$$LD\";  true\n", "",
    ])
    func linksOfAnotherFormAreMakes(record: String) {
        let link = IncrementalLink(script: early, record: record, configuration: "CONFIG_KALLSYMS=y\n", tree: "/t")
        #expect(link == nil)
        #expect(
            IncrementalLink(script: "ld", record: self.record, configuration: "CONFIG_KALLSYMS=y\n", tree: "/t") == nil)
    }

    // MARK: Without make

    /// Gives the output all that a replay needs.
    private func prepareReplay(_ changes: [String: String] = [:]) throws {
        let object = "kernel/box.o"
        var files = [
            "tree/scripts/Makefile.build": """

            $(subdir-ym):
            define rule_cc_o_c
            \t$(call cmd_and_fixdep,cc_o_c)
            \t$(call cmd,check_local_export)
            \t$(call cmd,gen_objtooldep)
            endef

            """,
            "tree/scripts/link-vmlinux.sh": early,
            "build/x86_64/include/config/auto.conf": "CONFIG_SMP=y\nCONFIG_KALLSYMS=y\n",
            "build/x86_64/.vmlinux.cmd":
                "cmd_vmlinux := \(make.tree)/scripts/link-vmlinux.sh \"ld\" \"-m elf\" \"-z x\";  true\n",
            "build/x86_64/.vmlinux.a.cmd": "cmd_vmlinux.a := ar cDPrST vmlinux.a ./built-in.a $$(ar t x)\n",
            "build/x86_64/\(IncrementalLink.environmentName)": "export CC='ccache gcc'\n",
            "build/x86_64/kernel/.box.o.cmd": """
            cmd_\(object) := gcc -Wp,-MMD,kernel/.box.o.d -D'X="$$(pound)"' -c -o \(object) \(make.tree)/kernel/box.c

            source_\(object) := ../../tree/kernel/box.c

            deps_\(object) := \\
              ../../tree/kernel/box.h \\

            \(object): $(deps_\(object))

            $(deps_\(object)):

            \(object): $(wildcard ./tools/objtool/objtool)

            """,
        ]
        files.merge(changes) { $1 }
        try scratch.write(files, below: "")
    }

    @Test func aReplayRunsTheRecordedCommandsInOrder() throws {
        try prepareReplay()
        let incremental = try plan(["kernel/box.c": ("", "int x;")])
        #expect(incremental.archives == ["kernel/built-in.a", "built-in.a"])
        let lines = try #require(incremental.replay).script.split(separator: "\n").map(String.init)
        let expected = [
            ". ./\(IncrementalLink.environmentName)",
            "gcc -Wp,-MMD,kernel/.box.o.d -D'X=\"$(pound)\"' -c -o kernel/box.o \(make.tree)/kernel/box.c",
            "scripts/basic/fixdep kernel/.box.o.d kernel/box.o 'gcc -Wp,-MMD,kernel/.box.o.d -D'\\''X=\"$$(pound)\"'\\'' "
                + "-c -o kernel/box.o \(make.tree)/kernel/box.c' >kernel/.box.o.cmd",
            "kernel/box.o: $(wildcard ./tools/objtool/objtool)",
            "\(make.tree)/scripts/check-local-export kernel/box.o",
            "cp -p vmlinux.a .kbuild-vmlinux.a",
            "rm -f kernel/built-in.a;  printf \"kernel/%s \" box.o sched/built-in.a | xargs ar cDPrST x",
            "ar cDPrST vmlinux.a ./built-in.a $(ar t x)",
            "ld -r -o vmlinux.o vmlinux.a --start-group lib/lib.a --end-group",
            "CC=\"${CC#ccache }\" kbuild_archive=.kbuild-vmlinux.a sh ./.kbuild-link.sh \"ld\" \"-m elf\" \"-z x\" "
                + "|| linked=$?",
            "touch -c vmlinux",
        ]
        #expect(lines.filter { expected.contains($0) } == expected)
    }

    @Test func aReplayOfUserModeLinuxMakesTheFileToBoot() throws {
        try prepareReplay()
        #expect(try #require(plan(["kernel/box.c": ("", "int x;")]).replay).makesImage == false)
        var make = self.make
        make.architecture = .um
        let (before, after) = (try buildSnapshot(["kernel/box.c": ""]), try buildSnapshot(["kernel/box.c": "int x;"]))
        let replay = try #require(IncrementalMake(make, from: before, to: after).replay)
        #expect(replay.makesImage)
        #expect(replay.script.hasSuffix("touch -c vmlinux\necho '  LINK linux'\nln -f vmlinux linux\n"))
    }

    /// Each of these is something that a replay would get wrong.
    @Test(
        arguments: [
            ("build/x86_64/.kbuild-link-environment", nil),
            ("build/x86_64/include/config/auto.conf", "CONFIG_KALLSYMS=y\nCONFIG_FTRACE_MCOUNT_USE_RECORDMCOUNT=y\n"),
            ("tree/scripts/Makefile.build", "\n$(subdir-ym):\ndefine rule_cc_o_c\n\t$(call cmd,sign)\nendef\n"),
            ("tree/scripts/Makefile.build", "\n$(subdir-ym):\n"),
            ("build/x86_64/.news.cmd", "cmd_news := true\n"),
            ("build/x86_64/.vmlinux.a.cmd", "cmd_vmlinux.a := ar $(flags) vmlinux.a\n"),
            (
                "build/x86_64/kernel/.box.o.cmd",
                // Without the compiler's list of what it read.
                """
                cmd_kernel/box.o := gcc -c -o kernel/box.o

                source_kernel/box.o := ../../tree/kernel/box.c

                deps_kernel/box.o := \\

                kernel/box.o: $(deps_kernel/box.o)

                $(deps_kernel/box.o):

                """
            ),
        ] as [(String, String?)])
    func noReplayOfWhatIsNotKnown(path: String, text: String?) throws {
        try prepareReplay(text.map { [path: $0] } ?? [:])
        if text == nil { try removeAll(scratch.root.pushing(FilePath(path))) }
        #expect(try plan(["kernel/box.c": ("", "int x;")]).replay == nil)
        try prepareReplay()
        try removeAll(make.output.appending(".news.cmd"))
        #expect(try plan(["kernel/box.c": ("", "int x;")]).replay != nil)
    }

    // MARK: Not incremental

    @Test(arguments: [
        "Makefile", "kernel/Kconfig", "arch/x86/entry/syscalls/syscall_64.tbl", "include/linux/box.h",
        "arch/x86/include/asm/box.h", "arch/x86/entry/vdso/clock.c", "arch/x86/boot/string.c", "scripts/kallsyms.c",
        "tools/objtool/check.c", "kernel/entry.S",
    ])
    func otherFilesAreLeftToMake(path: String) {
        #expect(obstacle([path: ("a", "b")])?.hasPrefix("\(path) is not a C file") == true)
    }

    @Test func newAndGoneFilesAreLeftToMake() throws {
        let with = try buildSnapshot(["kernel/box.c": "x"])
        let without = try buildSnapshot([:])
        #expect(throws: IncrementalMake.Obstacle.self) { try IncrementalMake(make, from: with, to: without) }
        #expect(throws: IncrementalMake.Obstacle.self) { try IncrementalMake(make, from: without, to: with) }
        #expect(throws: IncrementalMake.Obstacle.self) { try IncrementalMake(make, from: with, to: with) }
        #expect(throws: IncrementalMake.Obstacle.self) { try IncrementalMake(make, from: nil, to: with) }
    }

    @Test func whatIsMadeIntoMoreThanAnArchiveIsLeftToMake() throws {
        #expect(obstacle(["kernel/bounds.c": ("a", "b")]) == "kernel/bounds.s is made from kernel/bounds.c")
        #expect(obstacle(["kernel/unused.c": ("a", "b")]) == "nothing is compiled from kernel/unused.c")
        try scratch.write(["arch/.image.so.cmd": "cmd_x := ld -o arch/image.so kernel/box.o\n"], below: "build/x86_64")
        #expect(obstacle(["kernel/box.c": ("a", "b")]) == "arch/image.so is made from kernel/box.o")
    }

    @Test func anArchiveThatIsNotLinkedIsLeftToMake() throws {
        try scratch.write([".vmlinux.o.cmd": "cmd_vmlinux.o := ld -r -o vmlinux.o vmlinux.a\n"], below: "build/x86_64")
        #expect(obstacle(["lib/sort.c": ("a", "b")]) == "lib/sort.o is in no archive of the kernel")
        try scratch.write(["kernel/.built-in.a.cmd": "cmd_x := printf box.o | xargs ar x\n"], below: "build/x86_64")
        #expect(
            obstacle(["kernel/sched/core.c": ("a", "b")])
                == "kernel/sched is not among the folders that are linked")
    }

    @Test func aFileThatAMakefileNamesIsLeftToMake() throws {
        try scratch.write(["kernel/Makefile": "$(obj)/table.h: $(src)/box.c ; gen\n"], below: "tree")
        #expect(obstacle(["kernel/box.c": ("a", "b")])?.hasSuffix("kernel/Makefile names box.c") == true)
    }

    @Test func theToolsRecordsAreRelativeToNowhere() throws {
        try scratch.write(["tools/objtool/.x.o.cmd": "deps_x := ../../kernel/box.c\n"], below: "build/x86_64")
        #expect(obstacle(["kernel/box.c": ("a", "b")])?.hasPrefix("tools/objtool/x.o may read") == true)
    }

    @Test func anotherConfigurationOrCommandIsLeftToMake() throws {
        let before = try buildSnapshot(["kernel/box.c": "a"])
        try scratch.write(["include/config/auto.conf": "CONFIG_SMP=y\nCONFIG_X=y\n"], below: "build/x86_64")
        let after = try buildSnapshot(["kernel/box.c": "ab"])
        #expect(throws: IncrementalMake.Obstacle(reason: "include/config/auto.conf is another one")) {
            try IncrementalMake(make, from: before, to: after)
        }
        var other = before
        other.command = Digest.of("another")
        #expect(throws: IncrementalMake.Obstacle(reason: "make's command is another one")) {
            try IncrementalMake(make, from: other, to: after)
        }
    }

    @Test func optionsThatSpreadAnObjectsContentsAreLeftToMake() throws {
        try scratch.write(["include/config/auto.conf": "CONFIG_MODVERSIONS=y\n"], below: "build/x86_64")
        #expect(obstacle(["kernel/box.c": ("a", "b")]) == "CONFIG_MODVERSIONS is set")
    }

    @Test func anOutputThatIsHalfOfferedHasNoSnapshot() throws {
        var record = OutputRecord()
        record.files["kernel/box.c"] = .init(content: nil, modified: 1)
        try record.save(output: make.output)
        let command = make.command(["bzImage"], environment: [:])
        #expect(BuildSnapshot(of: make, command: command, runner: CommandRunner()) == nil)
    }

    @Test func recordsAndTheirTargets() {
        #expect(CommandRecords.target(ofRecord: "kernel/.fork.o.cmd") == "kernel/fork.o")
        #expect(CommandRecords.target(ofRecord: ".vmlinux.cmd") == "vmlinux")
        #expect(CommandRecords.target(ofRecord: "kernel/fork.o") == nil)
        #expect(CommandRecords.target(ofRecord: "include/config/auto.conf.cmd") == nil)
        #expect(CommandRecords.record(of: "kernel/fork.o") == "kernel/.fork.o.cmd")
        #expect(CommandRecords.record(of: "vmlinux") == ".vmlinux.cmd")
    }
}
