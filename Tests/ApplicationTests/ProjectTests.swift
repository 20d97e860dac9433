// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import SystemPackage
import Testing

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

@Suite("Project file")
struct ProjectTests {
    @Test("every key is read, with paths relative to the file")
    func allKeys() throws {
        let project = try load(full)
        #expect(project.kernel.source == "linux-source-6.12")
        #expect(project.kernel.patches == ["/p/kernel/a", "/abs/b.patch"])
        #expect(project.kernel.config == ["/p/configs/base.config"])
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

    @Test("what is left out has its documented default")
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

    @Test("a profile goes on top: maps merge, lists and scalars replace, and it may extend another")
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

    @Test("flags win over the file and its profile")
    func overrides() throws {
        let project = try load(
            full, profile: "two", ProjectOverride(key: "machine.memory", value: "1G", flag: "--memory"),
            ProjectOverride(key: "kernel.source", value: "git+https://x/y#v6.1", flag: "--kernel"))
        #expect(project.machine.memoryMegabytes == 1024)
        #expect(project.machine.cpus == 8)
        #expect(project.kernel.source == "git+https://x/y#v6.1")
    }

    @Test("a wrong flag is named")
    func wrongFlag() throws {
        let failure = try failure(
            full, ProjectOverride(key: "machine.type", value: "vax", flag: "--machine"))
        #expect(failure.code == .usage)
        #expect(failure.message.hasPrefix("--machine: machine.type must be one of: auto, microvm, q35, pc, uml"))
    }

    @Test("the kernel's source may be spelt out")
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
        "an error has its place, and says what is allowed",
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
            ("a: [\n", "is not valid YAML"), ("", "holds no keys"), ("- a\n", "holds no keys"),
        ])
    func errors(text: String, expected: String) throws {
        let failure = try failure(text)
        #expect(failure.code == .usage)
        #expect(failure.message.contains(expected), "\(failure.message)")
    }

    @Test("all errors are told at once")
    func manyErrors() throws {
        let failure = try failure("a: 1\nmachine: {b: 2}\nkernel: {jobs: none}\n")
        let details = try #require(failure.details)
        #expect(details.split(separator: "\n").count == 3)
    }

    @Test("a key that stands twice is an error")
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

    @Test("the effective configuration loads again as what it came from", arguments: [nil, "one", "two"])
    func rendered(profile: String?) throws {
        var project = try load(full, profile: profile)
        project.machine.kernelArguments = ["quote=\"'\\", "über", "#", "true"]
        let again = try load(project.rendered())
        project.profile = nil
        #expect(again == project)
        let rendered = again.rendered()
        #expect(try load(rendered).rendered() == rendered)
    }

    @Test("no project file is an error that says how to go on")
    func missing() {
        let failure = #expect(throws: Failure.self) { try Project.locate(nil, from: "/nonexistent/folder") }
        #expect(failure?.code == .usage)
        #expect(failure?.nextStep?.contains("--project") == true)
    }

    @Test("docs/reference/project-file.md has a row for every key, and none for another")
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
        "what is no time",
        arguments: ["", "s", "-1", "0", "1.5", "1d", "m5", "99999999999999999999", "9223372036854775807h"])
    func noTimes(text: String) {
        #expect(seconds(in: text) == nil)
    }
}

@Suite("Test selection")
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

    @Test("an escaped name matches itself alone", arguments: ["M.S/a(b:c:)", "M.`x y`/über()", "a+b*[c]\\d$"])
    func escaping(name: String) throws {
        let pattern = try Regex("^\(TestSelection.escaped(name))$")
        #expect(name.contains(pattern))
        #expect(!(name + "x").contains(pattern))
        #expect(!name.replacing(".", with: "x").contains(pattern) || !name.contains("."))
    }
}
