// SPDX-License-Identifier: Apache-2.0
import Foundation
import Measurement

/// The projects that kbuild is measured on, copied again from the repository in each run of the benchmarks. Their paths
/// stay the same, so that their kernels and trees are kept from the last run.
struct Projects {
    let workspace: Workspace

    /// The whole project of this repository.
    static let whole = "repository"
    /// Its system calls with one small program: a kernel that virtme-ng boots too, and profiles.
    static let boot = "boot"
    /// The same on the repository's own configuration; its C files and its list of calls are edited.
    static let loop = "loop"
    /// The C file that is edited.
    static let edited = "kernel/caesar/caesar.c"
    /// The one test that its edits are judged by.
    static let oneTest = "CaesarTests/empty"

    /// The whole project: what the repository's own kbuild.yaml needs.
    func makeWhole() throws {
        for name in [
            "kernel", "configs", "rootfs", "shared", "kbuild.yaml", "Sources/SyscallTesting", "Sources/CSyscall",
            "Tests/GuestTests", "Tests/programs",
        ] { try workspace.restore(name, in: Self.whole) }
        // The suites depend on SyscallTesting by a relative path; of the package there they need that library alone.
        try workspace.write(
            Self.whole + "/Package.swift",
            """
            // swift-tools-version: 6.2
            import PackageDescription

            let package = Package(
                name: "kbuild",
                products: [.library(name: "SyscallTesting", targets: ["SyscallTesting"])],
                targets: [.target(name: "SyscallTesting", dependencies: ["CSyscall"]), .target(name: "CSyscall")],
                swiftLanguageModes: [.v6]
            )

            """)
    }

    /// A project with a kernel that has what virtme-ng asks for, and one test.
    func makeBoot() throws {
        try makeSmall(Self.boot)
        try workspace.restore("Benchmarks/virtme.config", in: Self.boot)
        try makePackage("One", tests: "@Test func nothing() {}\n")
        let programs = (1...100).map { "{c: programs/true.c, name: \"true \($0)\"}" }.joined(separator: ", ")
        let hundred = (1...100).map { "@Test func number\($0)() { #expect(getpid() > \($0 % 2)) }" }
        try makePackage("Hundred", tests: "import Glibc\n\n" + hundred.joined(separator: "\n") + "\n")
        try workspace.write(
            Self.boot + "/kbuild.yaml",
            projectFile(
                patches: try patches(), config: "[configs/base.config, Benchmarks/virtme.config]",
                more: """
                    profiles:
                      base:
                        kernel: {config: [configs/base.config]}
                      disk:
                        rootfs: {type: disk, definition: rootfs/default.yaml}
                      swift:
                        extends: disk
                        tests: [{swift: One}]
                      hundred:
                        extends: disk
                        tests: [{swift: Hundred}]
                      hundred-programs:
                        extends: disk
                        tests: [\(programs)]
                    """))
    }

    /// A project to edit, in the state of the repository.
    func makeLoop() throws {
        try makeSmall(Self.loop)
        for name in ["Sources/SyscallTesting", "Sources/CSyscall", "Tests/GuestTests"] {
            try workspace.restore(name, in: Self.loop)
        }
        try workspace.restore("Benchmarks/virtme.config", in: Self.loop)
        try workspace.write(Self.loop + "/Package.swift", try packageOfSuites())
        try writeLoop(added: [])
    }

    private func packageOfSuites() throws -> String {
        try makeWhole()
        return try workspace.read(Self.whole + "/Package.swift")
    }

    /// Writes the file of the project to edit, with calls added to the repository's.
    func writeLoop(added: [String]) throws {
        try workspace.write(
            Self.loop + "/kbuild.yaml",
            projectFile(
                patches: try patches() + added, config: "[configs/base.config]",
                more: """
                    profiles:
                      suite:
                        rootfs: {type: disk, definition: rootfs/default.yaml}
                        tests: [{swift: Tests/GuestTests, filter: ^CaesarTests}]
                      one:
                        rootfs: {type: disk, definition: rootfs/default.yaml}
                        tests: [{swift: Tests/GuestTests, filter: \(Self.oneTest)}]
                      other:
                        kernel: {config: [configs/base.config, Benchmarks/virtme.config]}
                    """))
    }

    /// Changes the C file to something that was never compiled before: neither kbuild's store nor ccache know it.
    static func edit(_ text: String) -> String {
        let marker = "static const unsigned long bench_marker"
        let kept = text.split(separator: "\n", omittingEmptySubsequences: false).filter { !$0.hasPrefix(marker) }
        let number = UInt64(Date().timeIntervalSince1970 * 1e6)
        return kept.joined(separator: "\n") + "\(marker) __used = \(number)UL;\n"
    }

    /// Edits the C file of the project to edit.
    func edit() throws {
        let name = Self.loop + "/" + Self.edited
        try workspace.write(name, Self.edit(try workspace.read(name)))
    }

    /// Edits the C file of a project that `kbuild init` made.
    func editOnlyCall(of project: String) throws {
        let folder = workspace.root + "/" + project + "/kernel"
        let files = try FileManager.default.subpathsOfDirectory(atPath: folder).filter { $0.hasSuffix(".c") }
        guard let file = files.first, files.count == 1 else { throw RunError("\(folder) has \(files.count) C files") }
        let name = "\(project)/kernel/\(file)"
        try workspace.write(name, Self.edit(try workspace.read(name)))
    }

    /// A name for a call that no kernel had before.
    static func freshCallName() -> String { "bench_\(UInt64(Date().timeIntervalSince1970 * 1e3))" }

    /// Adds a system call to the project to edit; returns its folder.
    func addCall(_ name: String) throws -> String {
        let folder = "kernel/" + name
        try workspace.write(
            "\(Self.loop)/\(folder)/syscall.yaml",
            "folder: kernel\nsources: [\(name).c]\nsyscalls:\n  - name: \(name)\n    arguments: [int number]\n")
        try workspace.write("\(Self.loop)/\(folder)/\(name).c", Self.callSource(name))
        return folder
    }

    static func callSource(_ name: String) -> String {
        """
        // SPDX-License-Identifier: GPL-2.0
        #include <linux/errno.h>
        #include <linux/syscalls.h>

        SYSCALL_DEFINE1(\(name), int, number)
        {
        	return number < 0 ? -EINVAL : number;
        }

        """
    }

    private func makeSmall(_ project: String) throws {
        for name in ["kernel", "configs", "rootfs"] { try workspace.restore(name, in: project) }
        try workspace.write(project + "/programs/true.c", "int main(void) { return 0; }\n")
        // Without Swift's runtime, which only Swift programs need.
        let definition = try workspace.read(project + "/rootfs/default.yaml")
        let small = definition.replacingOccurrences(of: "\nswift-runtime: true\n", with: "\nswift-runtime: false\n")
        guard small != definition else { throw RunError("rootfs/default.yaml no longer says `swift-runtime: true`") }
        try workspace.write(project + "/rootfs/small.yaml", small)
    }

    private func makePackage(_ name: String, tests: String) throws {
        let folder = "\(Self.boot)/\(name)"
        try workspace.write(
            folder + "/Package.swift",
            """
            // swift-tools-version: 6.2
            import PackageDescription

            let package = Package(
                name: "\(name)", targets: [.testTarget(name: "\(name)Tests")], swiftLanguageModes: [.v6])

            """)
        try workspace.write("\(folder)/Tests/\(name)Tests/Tests.swift", "import Testing\n\n" + tests)
    }

    /// The patches that the repository's project file lists first.
    private func patches() throws -> [String] {
        let text = try String(contentsOfFile: workspace.repository + "/kbuild.yaml", encoding: .utf8)
        let lines = text.split(separator: "\n").drop { $0 != "  patches:" }.dropFirst()
        let patches = lines.prefix { $0.hasPrefix("    - ") }.map { String($0.dropFirst(6)) }
        guard !patches.isEmpty else { throw RunError("kbuild.yaml no longer lists kernel.patches line by line") }
        return patches
    }

    private func projectFile(patches: [String], config: String, more: String) -> String {
        """
        kernel:
          source: linux-source-6.1
          patches: [\(patches.joined(separator: ", "))]
          config: \(config)
          uml-config: [configs/uml.config]
        rootfs: {type: initramfs, definition: rootfs/small.yaml}
        # As much as the peers get. TCG, for them too: what is compared is how little a boot needs.
        machine: {accel: tcg, memory: 512M, cpus: 1}
        tests:
          - {c: programs/true.c, name: "true"}
        \(more)

        """
    }
}
