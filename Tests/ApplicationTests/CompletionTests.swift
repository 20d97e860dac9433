// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Reporting
import ResultsModel
import SystemPackage
import Testing

@testable import Application
@testable import RunStore

@Suite("Shell completion", .timeLimit(.minutes(30)))
struct CompletionTests {
    private let folder: FilePath
    private let cache: CacheLayout

    init() throws {
        folder = FilePath(FileManager.default.temporaryDirectory.path(percentEncoded: false))
            .appending("kbuild-\(UUID().uuidString)")
        cache = CacheLayout(root: folder.appending("cache"))
        try createFolder(folder.appending("project/deep"))
    }

    /// The last word is the one that is completed.
    private func completions(_ words: [String] = [], in place: String = "project/deep") -> Completions {
        Completions(
            words: words, index: words.isEmpty ? nil : words.count - 1, in: folder.pushing(FilePath(place)),
            environment: ["KBUILD_CACHE": cache.root.string, "HOME": folder.string])
    }

    /// A project with a suite, programs and patches.
    private func makeProject() throws -> FilePath {
        let project = folder.appending("project")
        for name in ["Tests/GuestTests/Tests/OneTests", "kernel/one", "kernel/two", "configs"] {
            try createFolder(project.pushing(FilePath(name)))
        }
        try writeAtomically("", to: project.pushing("Tests/GuestTests/Tests/notes.txt"))
        try writeAtomically(
            """
            kernel:
              source: linux-source-6.1
              patches: [kernel/one]
              config: [configs/base.config]
            rootfs: {type: disk, definition: rootfs.yaml}
            tests:
              - swift: Tests/GuestTests
              - {c: Tests/programs/put.c, arguments: [hello]}
            profiles:
              both:
                kernel: {patches: [kernel/one, kernel/two]}
            """, to: project.appending("kbuild.yaml"))
        return project
    }

    @Test("profiles are those of the project file, here, above or named, even if the file has errors elsewhere")
    func profiles() throws {
        defer { try? removeAll(folder) }
        #expect(completions().profiles == [])
        let file = folder.appending("project").appending("kbuild.yaml")
        try writeAtomically("nonsense: 1\nprofiles:\n  small: {}\n  big: {}\n", to: file)
        #expect(completions().profiles == ["big", "small"])
        #expect(completions(in: "cache/..").profiles == [])
        // The last one in bash's form.
        for words in [["--project", "project"], ["--project=project"], ["--project", "=", "project"]] {
            #expect(completions(["kbuild", "run"] + words + ["--profile", ""], in: ".").profiles == ["big", "small"])
        }
        try writeAtomically("profiles: [", to: file)
        #expect(completions().profiles == [])
    }

    @Test("tests are those of the last runs' reports, as patterns without a need for quoting")
    func tests() throws {
        defer { try? removeAll(folder) }
        let project = folder.appending("project")
        try writeAtomically("", to: project.appending("kbuild.yaml"))
        #expect(completions().tests == [])
        var report = RunReport(startedAt: "", project: project.string)
        report.suites = [
            .init(
                name: "s", kind: "swift-testing",
                tests: [
                    .init(id: "M.S/good()", name: "good()", status: .passed),
                    .init(id: "M.S/cases(a:b:)", name: "cases(a:b:)", status: .passed),
                ]),
            .init(name: "k", kind: "ktap", tests: [.init(id: "k/a long name", name: "a long name", status: .passed)]),
        ]
        let run = cache.folder(ofProject: project).appending("runs").appending("20260101T000000-1-1")
        try createFolder(run)
        try writeAtomically(try JSONReport.render(report), to: run.appending("report.json"))
        try createFolder(run.removingLastComponent().appending("20260102T000000-1-1"))
        #expect(completions().tests == ["M.S/cases", "M.S/good"])
        #expect(completions().runs == ["20260101T000000-1-1"])
    }

    @Test("before the first run the package's suites are offered as patterns, and its programs as commands")
    func suites() throws {
        defer { try? removeAll(folder) }
        _ = try makeProject()
        #expect(completions().tests == ["OneTests"])
        #expect(completions().programs == ["put"])
    }

    @Test("patches are those of the project and the profile, as paths from here; then files and folders")
    func patches() throws {
        defer { try? removeAll(folder) }
        let project = try makeProject()
        try writeAtomically("", to: project.appending("mine.patch"))
        try writeAtomically("", to: project.appending(".hidden"))
        let check = ["kbuild", "syscall", "check"]
        #expect(completions(check + ["m"], in: "project").patches == ["kernel/one", "mine.patch"])
        #expect(
            completions(check + ["--profile", "both", "kernel/"], in: "project").patches == [
                "kernel/one", "kernel/two",
            ])
        #expect(completions(check + ["kernel/t"], in: "project").patches == ["kernel/one", "kernel/two/"])
        #expect(completions(check + ["../m"]).patches == ["\(project)/kernel/one", "../mine.patch"])
        #expect(completions(check + [".h"], in: "project").patches == ["kernel/one", ".hidden"])
        #expect(completions(["kbuild", "run", "--kernel", "~/proj"]).kernels.last == "~/project/")
        // Missing files are not an error.
        #expect(completions(check + ["no/such/folder"], in: ".").patches == [])
        #expect(completions(check + ["x"], in: ".").programs == [])
        #expect(completions(check + ["x"], in: ".").runs == [])
    }

    @Test("words that a shell would execute are not offered")
    func harmless() {
        let good = ["M.S/good", "kselftest:openat2/x_y-1", "../a+b@2.patch", "Grüße", "-1"]
        let bad = [
            "`reboot`", "$(reboot)", "a b", "a;b", "a|b", "'", "\"", "\\", "{a,b}", "a\nb", "a\u{1B}[2J", "", "<x", "*",
        ]
        #expect(Completions.harmless(good + bad) == good)
    }

    @Test("a key's words are those of the project file's schema")
    func choices() {
        #expect(Completions.choices(ofKey: "machine.type") == ["auto", "microvm", "q35", "pc", "uml"])
        #expect(Completions.choices(ofKey: "isolate") == ["none", "test"])
        #expect(Completions.choices(ofKey: "sandbox").contains("on"))
        #expect(Completions.choices(ofKey: "machine.memory") == [])
        #expect(Completions.choices(ofKey: "machine.nothing") == [])
    }
}

@Suite("The report's folder", .timeLimit(.minutes(30)))
struct ReportFolderTests {
    @Test("it contains the report and this run's logs, and no log of an earlier run")
    func write() throws {
        let folder = FilePath(FileManager.default.temporaryDirectory.path(percentEncoded: false))
            .appending("kbuild-\(UUID().uuidString)")
        defer { try? removeAll(folder) }
        let run = folder.appending("run")
        try createFolder(run)
        for name in ["console.log", "console-2.log", "plan"] { try writeAtomically(name, to: run.appending(name)) }
        try writeAtomically("make", to: folder.appending("build.log"))
        var report = RunReport(startedAt: "", project: "/p")
        report.artifacts = .init(folder: run.string)
        report.artifacts.buildLog = folder.appending("build.log").string
        let kept = ReportFolder(in: folder)
        try kept.write(report)
        #expect(try namesInFolder(kept.path) == ["build.log", "console-2.log", "console.log", "report.json"])
        #expect(try JSONReport.parse(readText(kept.path.appending("report.json"))) == report)

        try writeAtomically("mine", to: kept.path.appending("notes.txt"))
        report.artifacts = .init(folder: nil)
        try kept.write(report)
        #expect(try namesInFolder(kept.path) == ["notes.txt", "report.json"])
    }
}
