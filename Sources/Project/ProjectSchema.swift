// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import YAML
import Yams

/// The allowed values of a place in the project file. The loader checks them, and the reference is generated from them.
package indirect enum Schema: Sendable {
    case text
    case integer(ClosedRange<Int>)
    case flag
    case choice([String])
    /// Seconds, or a number with `s`, `m` or `h`.
    case duration
    /// A number with `M` or `G`.
    case memory
    case list(Schema)
    case map([Key])
    /// A map with the user's keys.
    case named(Schema)
    /// The first for a scalar, the second for a map.
    case either(Schema, Schema)

    package struct Key: Sendable {
        package var name: String
        package var schema: Schema
        var meaning: String
    }

    package static let kernel: [Key] = [
        Key(
            name: "source",
            schema: .either(
                .text,
                .map([
                    Key(name: "debian", schema: .text, meaning: "a Debian package that installs /usr/src/NAME.tar.xz"),
                    Key(name: "directory", schema: .text, meaning: "a kernel tree; kbuild works on a copy"),
                    Key(name: "tarball", schema: .text, meaning: "a tar archive"),
                    Key(name: "sha256", schema: .text, meaning: "the digest that the tarball must have"),
                    Key(name: "git", schema: .text, meaning: "a git repository"),
                    Key(name: "ref", schema: .text, meaning: "the tag, branch or commit in it"),
                ])), meaning: "where the kernel comes from (linux-source-6.1)"),
        Key(name: "patches", schema: .list(.text), meaning: "folders with a patch series or a spec, or patch files"),
        Key(
            name: "base", schema: .text,
            meaning:
                "what the fragments go on top of: tinyconfig, defconfig, allnoconfig, localmodconfig, or a file such as /boot/config-6.1.0-56-amd64; not for user-mode Linux (tinyconfig)"
        ),
        Key(
            name: "config", schema: .list(.text),
            meaning:
                "configuration fragments; later ones win; kernel:NAME and kselftest:NAME are those of the kernel's tree"
        ),
        Key(
            name: "uml-config", schema: .list(.text),
            meaning: "the fragments for user-mode Linux (machine.type uml), in place of `config`"),
        Key(
            name: "options", schema: .list(.text),
            meaning: "options on top of the fragments, such as CONFIG_KASAN=y; kbuild adds what they depend on"),
        Key(name: "jobs", schema: .integer(1...4096), meaning: "jobs of make and SwiftPM (the number of processors)"),
        Key(
            name: "debug-info", schema: .flag,
            meaning: "on: DWARF and the kernel's gdb scripts; crash reports then name files and lines (off)"),
        Key(
            name: "fuzz", schema: .integer(0...3),
            meaning: "the lines of context at either end of a hunk that need not agree, as in patch(1) (0)"),
    ]

    private static let program: [Key] = [
        Key(name: "name", schema: .text, meaning: "the name in reports (the file's name)"),
        Key(name: "arguments", schema: .list(.text), meaning: "its arguments"),
        Key(
            name: "protocol", schema: .choice(["exit", "ktap", "ltp"]),
            meaning:
                "the form of its results: exit code, KTAP or TAP, or the Linux Test Project's lines and exit bits (exit)"
        ),
        Key(
            name: "skip-code", schema: .integer(1...255),
            meaning: "protocol exit: the exit code that means skipped, such as 4 (none: any code but 0 is a failure)"),
        Key(name: "timeout", schema: .duration, meaning: "the most time that it may take (timeouts.test)"),
        Key(
            name: "modules", schema: .list(.text),
            meaning:
                "the modules that are loaded while it runs: names of `modules`, or modules of the kernel (all of `modules`)"
        ),
    ]

    package static let base: [Key] = [
        Key(name: "kernel", schema: .map(kernel), meaning: "the kernel"),
        Key(
            name: "rootfs",
            schema: .map([
                Key(
                    name: "type", schema: .choice(["disk", "initramfs", "debian", "host"]),
                    meaning:
                        "how it is stored; debian: on a disk, laid over a Debian system; host: the host's own, which is not written to (disk)"
                ),
                Key(
                    name: "definition", schema: .text,
                    meaning: "what is in it (rootfs/default.yaml if there is one, else kbuild's own)"),
                Key(
                    name: "tools", schema: .list(.text),
                    meaning:
                        "programs of this host that the guest gets in /usr/bin, with the libraries that they need, such as mkfs.ext4; not for debian"
                ),
                Key(
                    name: "secrets", schema: .flag,
                    meaning: "host: whether the guest sees keys, tokens and browsers' folders (off)"),
                Key(
                    name: "directory", schema: .text,
                    meaning:
                        "where a shell or a command in its place begins (the first share; host: where kbuild was called)"
                ),
                Key(name: "suite", schema: .text, meaning: "debian: the suite (the host's)"),
                Key(
                    name: "packages", schema: .list(.text),
                    meaning: "debian: packages beside the essential ones, in place of the default ones "
                        + "(\(Project.Debian.defaultPackages.joined(separator: ", ")))"),
                Key(
                    name: "mirror", schema: .text,
                    meaning: "debian: the address of a Debian archive (where the host's packages come from)"),
            ]), meaning: "the root file system"),
        Key(
            name: "shares",
            schema: .list(
                .map([
                    Key(name: "path", schema: .text, meaning: "the folder on the host"),
                    Key(name: "target", schema: .text, meaning: "where the guest mounts it"),
                    Key(name: "writable", schema: .flag, meaning: "whether the guest may write (true)"),
                ])), meaning: "folders that host and guest share over 9p"),
        Key(
            name: "disks",
            schema: .list(
                .map([
                    Key(
                        name: "size", schema: .memory,
                        meaning: "an empty disk of that size; what the guest writes takes as much of the host's TMPDIR"),
                    Key(
                        name: "file", schema: .text,
                        meaning: "or a file of the host, raw unless its name ends in .qcow2; not for user-mode Linux"),
                    Key(
                        name: "writable", schema: .flag,
                        meaning: "file: whether the guest's writes reach the file; else they go with the guest (false)"),
                ])),
            meaning: "further disks of each guest: /dev/vdb, /dev/vdc, ... (user-mode Linux: /dev/ubdb, ...)"),
        Key(
            name: "network",
            schema: .map([
                Key(
                    name: "type", schema: .choice(["none", "user"]),
                    meaning:
                        "user: the guest reaches what the host reaches, as 10.0.2.15; not for user-mode Linux (none)"),
                Key(
                    name: "forward", schema: .list(.text),
                    meaning: "ports of 127.0.0.1 that lead to ports of the guest: 2222:22, or udp:5353:53"),
            ]), meaning: "the guest's network"),
        Key(
            name: "machine",
            schema: .map([
                Key(
                    name: "type", schema: .choice(["auto", "microvm", "q35", "pc", "uml"]),
                    meaning: "QEMU's board, or user-mode Linux (auto: microvm under TCG if the kernel can, else q35)"),
                Key(
                    name: "accel", schema: .choice(["auto", "kvm", "tcg"]),
                    meaning: "the accelerator (auto: KVM where it really works, else TCG)"),
                Key(name: "memory", schema: .memory, meaning: "guest memory (512M)"),
                Key(name: "cpus", schema: .integer(1...64), meaning: "virtual CPUs (2)"),
                Key(
                    name: "results", schema: .choice(["auto", "virtio", "serial"]),
                    meaning: "how results leave the guest (auto: virtio)"),
                Key(name: "command-line", schema: .text, meaning: "words added to the kernel's command line"),
                Key(
                    name: "numa", schema: .integer(1...8),
                    meaning: "how many NUMA nodes memory and CPUs are divided among; with q35 and pc (1)"),
                Key(
                    name: "qemu-options", schema: .list(.text),
                    meaning: "options of QEMU's, each with its value, such as \"-device virtio-rng-pci\""),
                Key(
                    name: "memory-dump", schema: .flag,
                    meaning: "on: the memory of a guest that crashes or hangs is kept, as an ELF core file (off)"),
            ]), meaning: "the virtual machine"),
        Key(
            name: "modules",
            schema: .list(
                .map([
                    Key(
                        name: "path", schema: .text,
                        meaning: "a folder with a Kbuild file, or a Makefile with obj-m; its name is the module's name"),
                    Key(
                        name: "parameters", schema: .list(.text),
                        meaning: "the module's parameters, such as size=4 (none)"),
                ])),
            meaning:
                "kernel modules outside of the kernel's tree, loaded before the tests that name them and unloaded behind"
        ),
        Key(
            name: "tests",
            schema: .list(
                .map(
                    [
                        Key(name: "swift", schema: .text, meaning: "a Swift package; its Swift Testing tests run"),
                        Key(name: "filter", schema: .text, meaning: "swift: a pattern for the tests to run"),
                        Key(name: "skip", schema: .text, meaning: "swift: a pattern for the tests to leave out"),
                        Key(name: "c", schema: .text, meaning: "a C file, compiled to a static program"),
                        Key(
                            name: "bits", schema: .choice(["64", "32"]),
                            meaning: "c: whether it is compiled for x86-64 or for i386 (64)"),
                        Key(
                            name: "program", schema: .text,
                            meaning: "an executable, or a pattern for several, such as bin/*"),
                        Key(
                            name: "kselftest", schema: .text,
                            meaning: "a collection of the kernel's own selftests, such as openat2"),
                        Key(
                            name: "kunit", schema: .text,
                            meaning: "the suites that are built into the kernel (CONFIG_KUNIT): * or a pattern of names"
                        ),
                    ] + program)), meaning: "what runs in the guest, in order"),
        Key(
            name: "isolate", schema: .choice(["none", "test"]),
            meaning: "test: each test in a guest of its own, restored from a snapshot where QEMU can (none)"),
        Key(
            name: "guests", schema: .integer(1...256),
            meaning: "guests that run at once and share the tests (1; with isolate: the number of processors)"),
        Key(
            name: "retries", schema: .integer(0...10),
            meaning:
                "how often a test that fails is tried again; one that then passes is flaky, which does not count as passed (0)"
        ),
        Key(
            name: "timeouts",
            schema: .map([
                Key(name: "boot", schema: .duration, meaning: "until the guest's init speaks (120)"),
                Key(
                    name: "silence", schema: .duration,
                    meaning: "without a sign of life, which init gives each second (120)"),
                Key(name: "test", schema: .duration, meaning: "for one test (300)"),
                Key(name: "run", schema: .duration, meaning: "for everything in the guest (1800)"),
            ]), meaning: "limits: seconds, or 90s, 5m, 1h"),
        Key(
            name: "fail-fast", schema: .flag,
            meaning: "whether the first failure ends the run; what is left is then not reported (off)"),
        Key(
            name: "warnings", schema: .choice(["warn", "fail"]),
            meaning:
                "what warnings about the project's own C files do: they are shown, or fail the build (warn)"
        ),
        Key(
            name: "lint", schema: .flag,
            meaning:
                "whether sparse and checkpatch read the project's own C files; `warnings` holds for what they report (off)"
        ),
        Key(
            name: "keep-going", schema: .flag,
            meaning: "whether tests run on after three guests with the same crash (off)"),
        Key(
            name: "skips", schema: .either(.choice(["warn", "fail"]), .list(.text)),
            meaning:
                "whether a skipped test or case fails the run; a list: patterns of those that may be skipped (warn)"),
        Key(
            name: "splats",
            schema: .either(
                .choice(["fail", "warn"]),
                .list(
                    .map([
                        Key(name: "title", schema: .text, meaning: "a pattern for the title of a report that is known"),
                        Key(name: "reason", schema: .text, meaning: "why it is known; shown beside it"),
                    ]))),
            meaning: "whether a kernel report that is not fatal fails the run; a list: those that do not (fail)"),
        Key(
            name: "check", schema: .either(.text, .list(.text)),
            meaning:
                "checkers of the kernel's: memory, races, locks, leaks, stack, undefined, or all (none). Each set has a kernel "
                + "of its own; memory and races need two"),
        Key(
            name: "coverage",
            schema: .either(
                .flag,
                .map([
                    Key(
                        name: "collect", schema: .flag,
                        meaning: "whether every run collects coverage; off: only with --coverage (on)"),
                    Key(
                        name: "minimum", schema: .integer(0...100),
                        meaning:
                            "the least percentage of lines that all tests together reach; with fewer the run fails (none)"
                    ),
                    Key(
                        name: "files", schema: .list(.text),
                        meaning:
                            "the C files whose coverage is collected, by their paths in the kernel's tree (those that the patches add or change)"
                    ),
                ])),
            meaning:
                "on: lines, branches and functions that the tests reach, by gcov, in a kernel of its own (off)"),
        Key(
            name: "profile-calls", schema: .flag,
            meaning:
                "whether what each added call costs is counted by test and compared with the last run: instructions under TCG, "
                + "where the guest then has one CPU, else time (off)"),
        Key(
            name: "sandbox", schema: .choice(["auto", "on", "off"]),
            meaning: "whether code is confined when it runs on the host (auto: that of foreign inputs)"),
        Key(
            name: "tests-from", schema: .choice(["pristine", "patched"]),
            meaning: "the tree that selftests and KUnit come from: without the patches, or with them (pristine)"),
    ]

    package static let file: [Key] =
        base + [
            Key(
                name: "profiles",
                schema: .named(
                    .map(
                        base + [Key(name: "extends", schema: .text, meaning: "the profile that this one builds on")])),
                meaning: "named changes to the above: maps merge, lists and scalars replace")
        ]

    /// The description of the expected value.
    var expectation: String {
        switch self {
        case .text: "text"
        case .integer(let range): "a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .flag: "on or off"
        case .choice(let choices): "one of: \(choices.joined(separator: ", "))"
        case .duration: "a time such as 90, 90s, 5m or 1h"
        case .memory: "a size such as 512M or 2G"
        case .list: "a list"
        case .map, .named: "a map of keys"
        case .either(let scalar, let other): "\(scalar.expectation), or \(other.expectation)"
        }
    }

    /// Finds all values in `node` that do not match.
    package func check(_ node: Node, at path: String, report: (Node, String) -> Void) {
        switch (self, node) {
        case (.either(_, let other), .mapping), (.either(_, let other), .sequence):
            // The error for a value of neither form names both.
            guard other.accepts(node) else { return report(node, "\(path) must be \(expectation)") }
            other.check(node, at: path, report: report)
        case (.either(let scalar, _), .scalar(let text)) where scalar.accepts(text): break
        case (.list(let element), .sequence(let nodes)):
            for (index, child) in nodes.enumerated() { element.check(child, at: "\(path)[\(index)]", report: report) }
        case (.named(let schema), .mapping(let mapping)):
            for (key, value) in mapping { schema.check(value, at: "\(path).\(key.string ?? "?")", report: report) }
        case (.map(let keys), .mapping(let mapping)):
            for (keyNode, value) in mapping {
                let name = keyNode.string ?? "?"
                let full = path.isEmpty ? name : "\(path).\(name)"
                if let key = keys.first(where: { $0.name == name }) {
                    key.schema.check(value, at: full, report: report)
                } else {
                    let names = keys.map(\.name)
                    let near =
                        YAMLText.gluedKey(in: name).map { "; write a blank after the colon: \($0)" }
                        ?? guess(for: name, among: names)
                    report(keyNode, "unknown key \(full)\(near) (allowed: \(names.joined(separator: ", ")))")
                }
            }
        case (_, .scalar(let scalar)) where accepts(scalar): break
        default:
            let found = node.scalar.map { ", not \($0.string.isEmpty ? "empty" : $0.string)" } ?? ""
            report(
                node, "\(path.isEmpty ? "the file" : path) must be \(expectation)\(found)\(hint(for: node, at: path))")
        }
    }

    /// A suggestion for the probably intended value.
    private func hint(for node: Node, at path: String) -> String {
        let key = path.split(separator: ".").last.map(String.init) ?? path
        switch (self, node) {
        case (.choice(let choices), .scalar(let scalar)): return guess(for: scalar.string, among: choices)
        case (.list(.map(let keys)), .scalar(let scalar)):
            return "; for example \(key): [{\(keys.first?.name ?? "key"): \(scalar.string)}]"
        case (.list, .scalar(let scalar)): return "; for example \(key): [\(scalar.string)]"
        case (.list, .mapping): return "; write a dash before the first key of each entry"
        case (.map, .scalar(let scalar)), (.named, .scalar(let scalar)):
            return YAMLText.gluedKey(in: scalar.string).map { "; write a blank after the colon: \($0)" } ?? ""
        default: return ""
        }
    }

    /// Whether a map or a list can have this form.
    private func accepts(_ node: Node) -> Bool {
        switch (self, node) {
        case (.map, .mapping), (.named, .mapping), (.list, .sequence): true
        default: false
        }
    }

    /// Whether a word means on or off; nil for another. YAML has several words for each.
    static func flag(_ text: String) -> Bool? {
        switch text.lowercased() {
        case "true", "on", "yes": true
        case "false", "off", "no": false
        default: nil
        }
    }

    private func accepts(_ scalar: Node.Scalar) -> Bool {
        let text = scalar.string
        switch self {
        case .text: return !text.isEmpty
        case .integer(let range): return Int(text).map(range.contains) ?? false
        case .flag: return Self.flag(text) != nil
        case .choice(let choices):
            // A value that may be on or off may use YAML's other words for them.
            return choices.contains(text) || choices.contains("on") && Self.flag(text) != nil
        case .duration: return seconds(in: text) != nil
        case .memory: return megabytes(in: text) != nil
        case .list, .map, .named, .either: return false
        }
    }
}

/// The seconds of `90`, `90s`, `5m` or `1h`; nil for anything else, including 0.
package func seconds(in text: String) -> Int? {
    let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600]
    guard let last = text.last else { return nil }
    let digits = units[last] == nil ? text[...] : text.dropLast()
    guard let number = Int(digits), number > 0, digits.allSatisfy(\.isNumber) else { return nil }
    let (product, overflow) = number.multipliedReportingOverflow(by: units[last] ?? 1)
    return overflow ? nil : product
}

/// The MiB of `512M` or `2G`; nil for anything else.
package func megabytes(in text: String) -> Int? {
    let units: [Character: Int] = ["M": 1, "G": 1024]
    guard let last = text.last, let unit = units[last], let number = Int(text.dropLast()), number > 0,
        number <= 1 << 20
    else { return nil }
    return number * unit
}

extension Schema {
    /// A key with its parent keys, allowed values, and meaning.
    typealias Row = (path: String, expectation: String, meaning: String)

    /// Every key, each map's keys below it.
    static func rows(_ keys: [Key] = base, under prefix: String = "") -> [Row] {
        keys.flatMap { key -> [Row] in
            let path = prefix + key.name
            return [(path, key.schema.expectation, key.meaning)] + nested(key.schema, under: path)
        }
    }

    /// Every key as a row of the reference's table.
    static func reference() -> [String] { rows().map { "| `\($0.path)` | \($0.expectation) | \($0.meaning) |" } }

    private static func nested(_ schema: Schema, under path: String) -> [Row] {
        switch schema {
        case .map(let keys): rows(keys, under: path + ".")
        case .list(.map(let keys)): rows(keys, under: path + "[].")
        case .either(_, let other): nested(other, under: path)
        default: []
        }
    }
}
