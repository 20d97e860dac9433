// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import KernelMake
import SystemPackage
import Testing
import VirtualMachine

@testable import GuestSession
@testable import Project

private func load(_ text: String, profile: String? = nil, _ overrides: ProjectOverride...) throws -> Project {
    try Project.load(text: text, file: "/p/kbuild.yaml", profile: profile, overrides: overrides)
}

private func failure(_ text: String, profile: String? = nil, _ overrides: ProjectOverride...) throws -> Failure {
    let failure = #expect(throws: Failure.self) {
        try Project.load(text: text, file: "/p/kbuild.yaml", profile: profile, overrides: overrides)
    }
    return try #require(failure)
}

private let full = """
    kernel:
      source: linux-source-6.12
      patches: [kernel/a, /abs/b.patch]
      config: [configs/base.config]
      uml-config: [configs/uml.config]
      jobs: 3
    rootfs: {type: initramfs, definition: r.yaml}
    shares:
      - {path: shared, target: /root/host_folder}
      - {path: data, target: /data, writable: false}
    disks: [{size: 300M}, {size: 2G}]
    machine: {type: pc, accel: tcg, memory: 2G, cpus: 4, results: serial, command-line: "a=1  b"}
    tests:
      - swift: Tests/G
        filter: A|B
      - {c: x.c, bits: 32, arguments: ["1", two words], protocol: ktap, timeout: 2m}
      - {program: bin/y, name: why, skip-code: 77}
    timeouts: {boot: 90s, silence: 5m, test: 7, run: 1h}
    splats: warn
    skips: [^M.S/later, "on uml$"]
    profiles:
      one: {machine: {cpus: 8}, splats: fail, skips: fail}
      two:
        extends: one
        machine: {memory: 256M}
        tests: []
        splats: [{title: "^WARNING in f$", reason: "until 6.13: see the list"}]
    """

@Suite("Project file", .timeLimit(.minutes(30)))
struct ProjectTests {
    @Test("every key is read, with paths relative to the file")
    func allKeys() throws {
        let project = try load(full)
        #expect(project.kernel.source == "linux-source-6.12")
        #expect(project.disks == [.empty(megabytes: 300), .empty(megabytes: 2048)])
        #expect(project.kernel.patches == ["/p/kernel/a", "/abs/b.patch"])
        #expect(project.kernel.config == [.file("/p/configs/base.config")])
        #expect(project.configFragments == ["/p/configs/base.config"])
        let uml = try load(
            full, ProjectOverride(key: "machine.type", value: "uml", flag: "--machine"),
            ProjectOverride(key: "machine.results", value: "auto", flag: "--results"))
        #expect(uml.configFragments == ["/p/configs/uml.config"])
        #expect(uml.architecture == .um)
        #expect(project.kernel.jobs == 3)
        #expect(project.rootfsType == .initramfs)
        #expect(project.rootfsDefinition == "/p/r.yaml")
        #expect(
            project.shares == [
                .init(path: "/p/shared", target: "/root/host_folder", isWritable: true),
                .init(path: "/p/data", target: "/data", isWritable: false),
            ])
        #expect(
            project.machine
                == .init(
                    type: .pc, accelerator: .tcg, memoryMegabytes: 2048, cpus: 4, results: .serial,
                    kernelArguments: ["a=1", "b"]))
        #expect(
            project.tests == [
                .swift(package: "/p/Tests/G", filter: "A|B", skip: nil, timeout: nil),
                .program(
                    .init(
                        path: "/p/x.c", isSource: true, is32Bit: true, name: "x", arguments: ["1", "two words"],
                        resultsProtocol: .ktap, timeout: 120)),
                .program(
                    .init(
                        path: "/p/bin/y", isSource: false, is32Bit: false, name: "why", arguments: [],
                        resultsProtocol: .exit, skipCode: 77, timeout: nil)),
            ])
        #expect(project.timeouts == .init(boot: 90, silence: 300, test: 7, run: 3600))
        #expect(project.splats == .warn)
        #expect(project.skips == .expected(["^M.S/later", "on uml$"]))
    }

    @Test("a base is a word or a file, fragments are files or names of the kernel's tree, and both are written as read")
    func configurationBase() throws {
        let text = """
            kernel:
              base: BASE
              config: [a.config, "kernel:debug.config", "kselftest:net/forwarding", "kbuild:suites", "x:y"]
              uml-config: ["kernel:debug"]
            """
        let fragments: [Project.Fragment] = [
            .file("/p/a.config"), .kernel("debug"), .kselftest("net/forwarding"), .suites, .file("/p/x:y"),
        ]
        for (word, base) in [
            ("tinyconfig", Project.Base.target("tinyconfig")), ("defconfig", .target("defconfig")),
            ("allnoconfig", .target("allnoconfig")), ("localmodconfig", .localModules),
            ("/boot/config-6.1.0-56-amd64", .file("/boot/config-6.1.0-56-amd64")), ("mine", .file("/p/mine")),
        ] {
            let project = try load(text.replacing("BASE", with: word))
            #expect(project.configBase == base)
            #expect(project.fragments == fragments)
            #expect(try load(project.rendered()).kernel == project.kernel)
            // User-mode Linux is another architecture: a distribution's configuration is not for it.
            let uml = try load(
                text.replacing("BASE", with: word),
                ProjectOverride(key: "machine.type", value: "uml", flag: "--machine"))
            #expect(uml.configBase == .target("tinyconfig"))
            #expect(uml.fragments == [.kernel("debug")])
        }
        #expect(
            fragments[1].paths(architecture: .x86_64) == [
                "kernel/configs/debug.config", "arch/x86/configs/debug.config",
            ])
        #expect(fragments[2].paths(architecture: .um) == ["tools/testing/selftests/net/forwarding/config"])
    }

    @Test("a missing key has its documented default")
    func defaults() throws {
        let project = try load("kernel: {}\n")
        #expect(project.kernel.source == "linux-source-6.1")
        #expect(project.rootfsType == .disk)
        #expect(project.machine.memoryMegabytes == 512)
        #expect(project.machine.cpus == 2)
        #expect(project.machine.accelerator == .auto)
        #expect(project.timeouts == .init(boot: 120, silence: 120, test: 300, run: 1800))
        #expect(project.splats == .fail)
        #expect(project.skips == .warn)
    }

    @Test("a profile is applied on top: maps are merged, lists and scalars replaced, and it may extend another profile")
    func profiles() throws {
        let one = try load(full, profile: "one")
        #expect(one.machine.cpus == 8)
        #expect(one.machine.memoryMegabytes == 2048)
        #expect(one.splats == .fail)
        #expect(one.skips == .fail)
        let two = try load(full, profile: "two")
        #expect(two.machine.cpus == 8)
        #expect(two.machine.memoryMegabytes == 256)
        #expect(two.tests.isEmpty)
        #expect(two.splats == .known([.init(title: "^WARNING in f$", reason: "until 6.13: see the list")]))
    }

    @Test("flags have precedence over the file and its profile")
    func overrides() throws {
        let project = try load(
            full, profile: "two", ProjectOverride(key: "machine.memory", value: "1G", flag: "--memory"),
            ProjectOverride(key: "kernel.source", value: "git+https://x/y#v6.1", flag: "--kernel"))
        #expect(project.machine.memoryMegabytes == 1024)
        #expect(project.machine.cpus == 8)
        #expect(project.kernel.source == "git+https://x/y#v6.1")
    }

    @Test("flags add options, fragments and devices to those of the file, and each is written in the form that is read")
    func additions() throws {
        let text = """
            kernel: {config: [a.config], uml-config: [u.config], options: [CONFIG_A=y]}
            machine: {command-line: one, numa: 2, qemu-options: ["-device virtio-rng-pci"]}
            disks: [{size: 8M}]
            network: {type: user, forward: ["2222:22"]}
            """
        let project = try load(
            text, ProjectOverride(key: "kernel.config", .entry("kernel:debug"), flag: "--fragment"),
            ProjectOverride(key: "kernel.options", .entry("CONFIG_B=7"), flag: "--set"),
            ProjectOverride(key: "machine.command-line", .words("two=2 three"), flag: "--append"),
            ProjectOverride(key: "machine.qemu-options", .entry("-s"), flag: "--qemu-arg"),
            ProjectOverride(key: "disks", .fields(["file": "/images/a b.qcow2", "writable": "on"]), flag: "--disk"),
            ProjectOverride(key: "network.forward", .entry("udp:5353:53"), flag: "--forward"))
        #expect(project.kernel.config == [.file("/p/a.config"), .kernel("debug")])
        #expect(project.kernel.options == ["CONFIG_A=y", "CONFIG_B=7"])
        #expect(project.machine.kernelArguments == ["one", "two=2", "three"])
        #expect(project.machine.emulatorOptions == ["-device virtio-rng-pci", "-s"])
        #expect(project.disks == [.empty(megabytes: 8), .file("/images/a b.qcow2", isWritable: true)])
        #expect(project.network.isUser && project.network.forwards.map(\.description) == ["2222:22", "udp:5353:53"])
        let again = try load(project.rendered())
        #expect(again.disks == project.disks && again.network == project.network)
        #expect(again.machine == project.machine && again.kernel.options == project.kernel.options)
        // The fragment goes where the machine's are.
        let uml = try load(
            "kernel: {uml-config: [u.config]}\n",
            ProjectOverride(key: "machine.type", value: "uml", flag: "--machine"),
            ProjectOverride(key: "kernel.config", .entry("kernel:debug"), flag: "--fragment"))
        #expect(uml.fragments == [.file("/p/u.config"), .kernel("debug")])
        // A list that the file does not have begins with the flag's entry; a port alone enables the network.
        let bare = try load("kernel: {}\n", ProjectOverride(key: "network.forward", .entry("80:80"), flag: "--forward"))
        #expect(bare.network.isUser)
        #expect(throws: Failure.self) {
            try load("kernel: {}\n", ProjectOverride(key: "disks", .fields(["size": "many"]), flag: "--disk"))
        }
    }

    @Test(
        "devices that conflict with each other, with the machine or with several guests are refused at their place",
        arguments: [
            ("disks: [{}]\n", "disks[0] needs either size, such as 300M, or file"),
            ("disks: [{size: 8M, file: x}]\n", "disks[0] needs either size, such as 300M, or file"),
            ("disks: [{size: 8M, writable: on}]\n", "disks[0].writable goes with file"),
            ("disks: [{file: x, writable: on}]\nisolate: test\n", "disks[].writable goes with one guest"),
            ("network: {forward: ['0:22']}\n", "network.forward 0:22 is not HOST:GUEST"),
            ("network: {forward: ['22']}\n", "network.forward 22 is not HOST:GUEST"),
            ("network: {forward: ['1:2', '1:3']}\n", "network.forward has port 1 of the host twice"),
            ("network: {type: none, forward: ['1:2']}\n", "network.forward needs network.type user"),
            ("network: {forward: ['1:2']}\nguests: 2\n", "network.forward goes with one guest"),
            ("machine: {numa: 2, type: microvm}\n", "machine.numa goes with q35 and pc"),
            ("machine: {numa: 4}\n", "machine.numa 4 needs a CPU and 64 MiB a node; the machine has 2 CPUs"),
            ("machine: {qemu-options: [s]}\n", "machine.qemu-options[0] does not begin with a dash"),
            (
                "kernel: {uml-config: [a]}\nmachine: {type: uml}\nnetwork: {type: user}\n",
                "network.type user goes with QEMU"
            ),
            ("kernel: {uml-config: [a]}\nmachine: {type: uml}\ndisks: [{file: x}]\n", "disks[].file goes with QEMU"),
        ])
    func deviceErrors(text: String, message: String) throws {
        let failure = try failure(text)
        #expect(failure.code == .usage && failure.message.contains(message), "\(failure.message)")
    }

    @Test("a wrong flag is named")
    func wrongFlag() throws {
        let failure = try failure(
            full, ProjectOverride(key: "machine.type", value: "vax", flag: "--machine"))
        #expect(failure.code == .usage)
        #expect(failure.message.hasPrefix("--machine: machine.type must be one of: auto, microvm, q35, pc, uml"))
    }

    @Test("the kernel's source may be a map")
    func sources() throws {
        #expect(try load("kernel: {source: {debian: linux-source-6.12}}").kernel.source == "linux-source-6.12")
        #expect(try load("kernel: {source: {directory: ../linux}}").kernel.source == "../linux")
        #expect(try load("kernel: {source: {git: /r, ref: v6}}").kernel.source == "git+/r#v6")
        let digest = String(repeating: "0a", count: 32)
        let tarball = try load("kernel: {source: {tarball: l.tar.xz, sha256: \(digest)}}")
        #expect(tarball.kernel.source == "l.tar.xz")
        #expect(tarball.kernel.sha256 == digest)
        for wrong in ["{debian: a, git: b}", "{git: a}", "{debian: a, sha256: b}", "{directory: a, ref: b}"] {
            #expect(try failure("kernel: {source: \(wrong)}").code == .usage)
        }
    }

    @Test(
        "an error has its place, and names the allowed values",
        arguments: [
            ("machine:\n  cpu: 2\n", "/p/kbuild.yaml:2:3: unknown key machine.cpu; did you mean cpus?"),
            ("machine:\n  cpus: many\n", "/p/kbuild.yaml:2:9: machine.cpus must be a whole number from 1 to 64"),
            ("machine: fast\n", "/p/kbuild.yaml:1:10: machine must be a map of keys"),
            ("kernel:\n  patches: kernel/a\n", "/p/kbuild.yaml:2:12: kernel.patches must be a list"),
            ("rootfs: {type: tape}\n", "/p/kbuild.yaml:1:16: rootfs.type must be one of: disk, initramfs"),
            ("timeouts: {boot: soon}\n", "/p/kbuild.yaml:1:18: timeouts.boot must be a time"),
            ("machine: {memory: 512}\n", "/p/kbuild.yaml:1:19: machine.memory must be a size"),
            ("shares: [{path: a, target: b}]\n", "shares[0].target must be an absolute path"),
            ("shares: [{path: a}]\n", "shares[0] needs path and target"),
            ("tests: [{name: x}]\n", "tests[0] needs exactly one of swift, c, program, kselftest and kunit"),
            ("tests: [{swift: a, c: b}]\n", "tests[0] needs exactly one of swift, c, program, kselftest and kunit"),
            ("tests: [{swift: a, protocol: ktap}]\n", "tests[0].protocol goes with c or program"),
            ("tests: [{swift: a, bits: 32}]\n", "tests[0].bits goes with c"),
            ("tests: [{program: a, bits: 32}]\n", "tests[0].bits goes with c"),
            ("tests: [{c: a, bits: 16}]\n", "tests[0].bits must be one of: 64, 32, not 16"),
            ("tests: [{c: a, filter: x}]\n", "tests[0].filter goes with swift"),
            ("tests: [{swift: a, filter: '('}]\n", "tests[0].filter is not a regular expression"),
            ("skips: sometimes\n", "skips must be one of: warn, fail, or a list, not sometimes"),
            ("skips: {a: b}\n", "skips must be one of: warn, fail, or a list"),
            ("skips: ['(']\n", "skips[0] is not a regular expression"),
            ("splats: [WARNING]\n", "splats[0] must be a map of keys, not WARNING"),
            ("splats: [{title: x}]\n", "splats[0] needs title and reason"),
            ("splats: [{title: '[', reason: y}]\n", "splats[0].title is not a regular expression"),
            ("splats: [{titel: x, reason: y}]\n", "unknown key splats[0].titel; did you mean title?"),
            ("tests: [{c: a, skip-code: 0}]\n", "tests[0].skip-code must be a whole number from 1 to 255"),
            ("tests: [{c: a, protocol: ktap, skip-code: 4}]\n", "tests[0].skip-code goes with protocol exit"),
            ("tests: [{swift: a, skip-code: 4}]\n", "tests[0].skip-code goes with c or program"),
            ("tests: [{kselftest: a, skip-code: 4}]\n", "tests[0].skip-code goes with c or program"),
            ("profiles: {a: {nothing: 1}}\n", "unknown key profiles.a.nothing"),
            ("a: [\n", "is not valid YAML"), ("", "has no keys"), ("- a\n", "has no keys"),
        ])
    func errors(text: String, expected: String) throws {
        let failure = try failure(text)
        #expect(failure.code == .usage)
        #expect(failure.message.contains(expected), "\(failure.message)")
    }

    @Test("all errors are reported at once")
    func manyErrors() throws {
        let failure = try failure("a: 1\nmachine: {b: 2}\nkernel: {jobs: none}\n")
        let details = try #require(failure.details)
        #expect(details.split(separator: "\n").count == 3)
    }

    @Test("a duplicate key is an error")
    func duplicateKey() throws {
        #expect(try failure("machine: {cpus: 1, cpus: 2}\n").code == .usage)
    }

    @Test("an unknown profile, or one that extends itself, is an error that names the profiles")
    func wrongProfiles() throws {
        let unknown = try failure(full, profile: "tow")
        #expect(unknown.message.contains("did you mean two?"))
        #expect(unknown.details?.contains("one, two") == true)
        let circle = try failure("profiles: {a: {extends: b}, b: {extends: a}}\nkernel: {}\n", profile: "a")
        #expect(circle.details?.contains("a > b > a") == true)
        #expect(circle.details?.contains("b > a > b") == true)
    }

    @Test("the effective configuration can be loaded again with the same result", arguments: [nil, "one", "two"])
    func rendered(profile: String?) throws {
        var project = try load(full, profile: profile)
        project.machine.kernelArguments = ["quote=\"'\\", "über", "#", "true"]
        let again = try load(project.rendered())
        project.profile = nil
        #expect(again == project)
        let rendered = again.rendered()
        #expect(try load(rendered).rendered() == rendered)
    }

    @Test("a missing project file is an error with the next step")
    func missing() {
        let failure = #expect(throws: Failure.self) { try Project.locate(nil, from: "/nonexistent/folder") }
        #expect(failure?.code == .usage)
        #expect(failure?.nextStep?.contains("--project") == true)
        #expect(failure?.nextStep?.contains("kbuild init NAME") == true)
        #expect(HelpPages.projectFileText.contains("  machine.type: one of: auto, microvm"))
    }

    @Test("docs/reference/project-file.md has a row for every key, and no other row")
    func reference() throws {
        let file = FilePath(#filePath).removingLastComponent().removingLastComponent().removingLastComponent()
            .pushing("docs/reference/project-file.md")
        let rows = try readText(file).split(separator: "\n").map(String.init).filter { $0.hasPrefix("| `") }
        #expect(rows == Schema.reference(), "the table should read:\n\(Schema.reference().joined(separator: "\n"))")
    }

    @Test("times and sizes", arguments: [("90", 90), ("90s", 90), ("5m", 300), ("2h", 7200)])
    func times(text: String, value: Int) {
        #expect(seconds(in: text) == value)
    }

    @Test(
        "invalid times",
        arguments: ["", "s", "-1", "0", "1.5", "1d", "m5", "99999999999999999999", "9223372036854775807h"])
    func noTimes(text: String) {
        #expect(seconds(in: text) == nil)
    }
}

@Suite("Test selection", .timeLimit(.minutes(30)))
struct TestSelectionTests {
    @Test("filters must all match and skips must not")
    func selection() throws {
        let selection = try TestSelection(filter: "S/").adding(filter: "a|b", skip: "slow")
        #expect(selection.includes("M.S/a()"))
        #expect(!selection.includes("M.T/a()"))
        #expect(!selection.includes("M.S/c()"))
        #expect(!selection.includes("M.S/aslow()"))
        #expect(try TestSelection(filter: nil).includes("anything"))
        #expect(throws: Failure.self) { try TestSelection(filter: "(") }
    }

    @Test(
        "a name is found as typed, or gets a suggestion",
        arguments: [
            ("hello", ["K.HelloThereTests/greets()"]), ("hello-there", ["K.HelloThereTests/greets()"]),
            ("Hello There", ["K.HelloThereTests/greets()"]), ("GREETS()", ["K.HelloThereTests/greets()"]),
            ("msgbox put", ["msgbox_put"]), ("there hello", []), ("()", []),
        ])
    func asTyped(words: String, expected: [String]) throws {
        let names = ["K.HelloThereTests/greets()", "msgbox_put"]
        #expect(names.filter(try TestSelection(asTyped: words).includes) == expected)
    }

    @Test(
        "suggestions are suites and programs",
        arguments: [
            ("HelloTereTests", "HelloThereTests"), ("helo", "HelloThereTests"), ("msgbx_put", "msgbox_put"),
            ("HeloThere", "HelloThereTests"), ("quite else", nil),
        ])
    func guesses(word: String, expected: String?) {
        #expect(TestSelection.guess(for: word, among: ["K.HelloThereTests/greets()", "msgbox_put"]) == expected)
    }

    @Test("an escaped name matches only itself", arguments: ["M.S/a(b:c:)", "M.`x y`/über()", "a+b*[c]\\d$"])
    func escaping(name: String) throws {
        let pattern = try Regex("^\(TestSelection.escaped(name))$")
        #expect(name.contains(pattern))
        #expect(!(name + "x").contains(pattern))
        #expect(!name.replacing(".", with: "x").contains(pattern) || !name.contains("."))
    }
}

@Suite("Patterns for programs", .timeLimit(.minutes(30)))
struct ProgramPatternTests {
    /// Creates a folder with these files; `x` marks the executable ones.
    private func withFolder(_ names: [(String, x: Bool)], _ body: (FilePath) throws -> Void) throws {
        let folder = FilePath(FileManager.default.temporaryDirectory.path).appending("pattern-\(UUID().uuidString)")
        try FileManager.default.createDirectory(atPath: "\(folder)/bin/sub", withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder.string) }
        for (name, isExecutable) in names {
            let path = folder.appending("bin").appending(name)
            try "#!/bin/sh\n".write(toFile: path.string, atomically: false, encoding: .utf8)
            #expect(chmod(path.string, isExecutable ? 0o755 : 0o644) == 0)
        }
        try body(folder)
    }

    private func load(_ tests: String, _ folder: FilePath) throws -> Project {
        try Project.load(
            text: "tests: [\(tests)]\n", file: folder.appending("kbuild.yaml"), profile: nil, overrides: [])
    }

    @Test("a pattern names each executable file, in the order of the names, with the entry's other keys")
    func matches() throws {
        try withFolder([("b2", true), ("a1", true), ("data.txt", false), ("c[1]", true)]) { folder in
            let project = try load("{program: \"bin/*\", protocol: ltp, timeout: 9}", folder)
            let programs = project.tests.compactMap { if case .program(let program) = $0 { program } else { nil } }
            #expect(programs.map(\.name) == ["a1", "b2", "c[1]"])
            #expect(programs.allSatisfy { $0.resultsProtocol == .ltp && $0.timeout == 9 && $0.hasCompanions })
            #expect(
                ProgramPattern.companions(in: folder.appending("bin")).map { $0.lastComponent?.string }
                    == ["a1", "b2", "c[1]", "data.txt"])
            // An existing file with such a name is not a pattern.
            let one = try load("{program: \"bin/c[1]\"}", folder)
            #expect(one.tests.count == 1)
            #expect(try load("{program: \"bin/[ab]?\"}", folder).tests.count == 2)
        }
    }

    @Test(
        "a pattern without a file, one with a name, and two of one name are errors at their place",
        arguments: [
            ("{program: \"bin/x*\"}", "kbuild.yaml:1:19: tests[0].program bin/x* matches no executable file"),
            ("{program: \"bin/*\", name: n}", "tests[0].name goes with one program, not with the pattern bin/*"),
            ("{program: \"bin/*\"}, {program: bin/a}", "tests[1] has the name of tests[0], a"),
            ("{program: \"bin/*\", protocol: ltp, skip-code: 4}", "LTP has TCONF"),
        ])
    func errors(tests: String, expected: String) throws {
        try withFolder([("a", true), ("data", false)]) { folder in
            let failure = #expect(throws: Failure.self) { try load(tests, folder) }
            #expect(failure?.message.contains(expected) == true, "\(failure?.message ?? "")")
        }
    }
}
