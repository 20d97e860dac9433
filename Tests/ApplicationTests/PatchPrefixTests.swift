// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import ResultsModel
import SystemPackage
import Testing

@testable import Application
@testable import Project

/// Patches from a mail without a project, and series one patch after the other.
@Suite("Patches from the command line", .timeLimit(.minutes(30)))
struct PatchPrefixTests {
    private let scratch: FilePath
    private let environment: [String: String]

    init() throws {
        scratch = FilePath(FileManager.default.temporaryDirectory.path).appending("mail-\(UUID().uuidString)")
        environment = ["KBUILD_CACHE": scratch.appending("cache").string]
        try createFolder(scratch)
    }

    private func patch(_ index: Int, of total: Int) -> String {
        """
        From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001
        From: A <a@b.c>
        Date: Mon, 1 Jan 2024 00:00:00 +0000
        Subject: [PATCH \(index)/\(total)] part \(index)

        Text.
        ---
        diff --git a/f\(index) b/f\(index)
        new file mode 100644
        --- /dev/null
        +++ b/f\(index)
        @@ -0,0 +1 @@
        +\(index)
        --
        2.40


        """
    }

    @Test("a mail without a project uses kbuild's own project, which boots; without a mail a project is required")
    func withoutProject() throws {
        defer { try? removeAll(scratch) }
        #expect(throws: Failure.self) { try Project.locate(nil, from: scratch, environment: environment) }
        let file = try Project.locate(nil, from: scratch, needsProject: false, environment: environment)
        let mail = try KernelTree.keep(mail: Array(patch(1, of: 1).utf8), environment: environment)
        #expect(try KernelTree.keep(mail: Array(patch(1, of: 1).utf8), environment: environment) == mail)
        let project = try Project.load(
            file,
            overrides: [
                .init(key: "kernel.patches", .entry(mail.string), flag: "--mbox"),
                .init(key: "kernel.source", value: "linux-source-6.12", flag: "--kernel"),
            ])
        #expect(project.isStandIn && project.onlyBoots && project.kernelTree == nil)
        #expect(project.kernel.patches == [mail] && project.kernel.source == "linux-source-6.12")
        // The author of the mail is not trusted.
        #expect(Provenance(of: project).hasForeignKernel)
    }

    @Test("a series is tested patch by patch, in the order of its numbers")
    func prefixes() throws {
        defer { try? removeAll(scratch) }
        let mail = scratch.appending("series.mbox")
        try writeAtomically(patch(2, of: 3) + patch(1, of: 3) + patch(3, of: 3), to: mail)
        try writeAtomically("kernel: {patches: [series.mbox]}\n", to: scratch.appending("kbuild.yaml"))
        let project = try Project.load(scratch.appending("kbuild.yaml"))
        let prefixes = try PatchPrefixes(of: project)
        #expect(prefixes.names.count == 3)
        for (index, name) in prefixes.names.enumerated() { #expect(name.contains("part \(index + 1)")) }
        #expect(prefixes.project(with: 2).kernel.patchLimit == 2 && project.kernel.patchLimit == nil)
        var report = RunReport(startedAt: "", project: "/p")
        report.errors = [.init(Failure(.build, "no"))]
        #expect(prefixes.line(2, report).hasPrefix("2/3 build-failed"))
        #expect(prefixes.line(2, report).hasSuffix(prefixes.names[1]))
        let none = try Project.load(text: "kernel: {}\n", file: "/p/kbuild.yaml", profile: nil, overrides: [])
        #expect(throws: Failure.self) { try PatchPrefixes(of: none) }
    }

    @Test(
        "git bisect run gets the exit codes for good, bad, untestable and stop",
        arguments: [(0, 0), (1, 1), (5, 1), (6, 1), (3, 125), (4, 125), (2, 130), (7, 135), (130, 130)]
            as [(Int32, Int32)])
    func codes(own: Int32, git: Int32) {
        #expect(BisectCode.code(for: own) == git)
        // git treats 126 and 127 as a shell's own errors, and stops at 128 and above.
        #expect([0, 1, 125].contains(git) || git >= 128)
    }
}
