// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Foundation
import Processes
import SystemPackage
import Testing

@testable import Application
@testable import Project

@Suite("files of selftests", .timeLimit(.minutes(30)))
struct SelftestFilesTests {
    private let scratch = FilePath(NSTemporaryDirectory()).appending("kbuild-selftests-\(UUID().uuidString)")
    private var selftests: FilePath { scratch.pushing("tools/testing/selftests") }
    private var source: FilePath { selftests.pushing("net/forwarding") }

    private func write(_ path: String) throws {
        let file = selftests.pushing(FilePath(path)).lexicallyNormalized()
        try createFolder(file.removingLastComponent())
        try writeAtomically("x\n", to: file)
    }

    @Test("programs, scripts and files lie beside one another, files of other folders keep their places")
    func layout() throws {
        defer { try? removeAll(scratch) }
        for path in [
            "net/forwarding/run.sh", "net/forwarding/lib.sh", "net/forwarding/settings", "net/lib.sh",
            "kselftest/ktap_helpers.sh",
        ] { try write(path) }
        try write("../../../outside")
        let files = SelftestFiles(
            listing: """
                make: a remark
                beside:lib.sh
                beside:not-built
                elsewhere:../lib.sh
                elsewhere:../../../../../outside
                """, collection: "net/forwarding", source: source, selftests: selftests)
        let copies = files.copies(programs: [source.appending("run.sh")], to: "/out")
        #expect(copies.map(\.target) == ["/out/net/forwarding", "/out", "/out/net"])
        #expect(
            copies.map { $0.command.arguments.dropFirst(3).map { $0.replacing("\(selftests)/", with: "") } } == [
                [
                    "net/forwarding/run.sh", "net/forwarding/lib.sh", "net/forwarding/settings", "/out/net/forwarding",
                ],
                ["kselftest", "/out"], ["net/forwarding/../lib.sh", "/out/net"],
            ])
    }

    @Test("a script runs in its own folder, by its interpreter or by sh")
    func command() {
        let command = Kselftests.command(ofScript: "/kbuild/programs/0-selftests/net/run.sh")
        #expect(command.first == "/bin/sh" && command.last == "/kbuild/programs/0-selftests/net/run.sh")
    }

    @Test(
        "only a root with a distribution runs scripts",
        arguments: [
            (Project.RootFilesystemType.disk, false), (.initramfs, false), (.debian, true), (.host, true),
        ])
    func roots(type: Project.RootFilesystemType, hasDistribution: Bool) {
        #expect(type.hasDistribution == hasDistribution)
    }

    @Test("a collection of which only scripts are selected fails without a distribution: nothing of it would run")
    func scriptsAlone() throws {
        func choice(_ programs: [String], _ scripts: [String], hasDistribution: Bool, _ filter: String = "") throws
            -> Kselftests.Collection.Choice
        {
            try Kselftests.Collection(name: "mount", folder: "/f", programs: programs, scripts: scripts)
                .runnable(hasDistribution: hasDistribution) { filter.isEmpty || $0 == filter }
        }
        #expect(try choice(["a"], ["b.sh"], hasDistribution: true).programs == ["a", "b.sh"])
        #expect(try choice(["a"], ["b.sh"], hasDistribution: false) == .init(programs: ["a"], omitted: ["b.sh"]))
        #expect(try choice(["a"], ["b.sh"], hasDistribution: false, "a") == .init(programs: ["a"]))
        for (programs, filter) in [([], ""), (["a"], "b.sh")] {
            let failure = #expect(throws: Failure.self) {
                try choice(programs, ["b.sh"], hasDistribution: false, filter)
            }
            #expect(failure?.code == .usage)
            #expect(failure?.message.contains("1 script left out (b.sh), because scripts need a distribution") == true)
        }
        // Another entry is selected.
        #expect(try choice([], ["b.sh"], hasDistribution: false, "other").programs == [])
    }
}
