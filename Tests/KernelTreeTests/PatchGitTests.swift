// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Fuzzing
import Patching
import Processes
import SystemPackage
import Testing

@testable import PatchedTree

/// Compares kbuild's own applier with git's on patches that git makes of random edits.
@Suite(.timeLimit(.minutes(30))) struct PatchGitTests {
    private let runner = CommandRunner()

    private func git(_ folder: FilePath, _ arguments: String...) async throws -> CommandResult {
        let quiet = ["-c", "core.autocrlf=false", "-c", "core.safecrlf=false"]
        return try await runner.capture(
            Command(
                "git", quiet + arguments,
                environment: ["GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"],
                workingDirectory: folder))
    }

    /// Few different lines, so that a hunk often fits in several places.
    private func randomText(_ generator: inout SeededGenerator, lines: ClosedRange<Int>) -> String {
        let words = ["{", "}", "", "\treturn 0;", "int a;", "int b;", "/* x */", "call(a);", "call(b);\r"]
        var text = (0..<Int.random(in: lines, using: &generator)).map { _ in
            Int.random(in: 0..<4, using: &generator) == 0
                ? "unique \(Int.random(in: 0..<99, using: &generator))" : words.randomElement(using: &generator) ?? ""
        }.map { $0 + "\n" }.joined()
        if Int.random(in: 0..<5, using: &generator) == 0, !text.isEmpty { text.removeLast() }
        return text
    }

    private func edited(_ text: String, _ generator: inout SeededGenerator, edits: Int) -> String {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        for _ in 0..<edits {
            let index = Int.random(in: 0...lines.count, using: &generator)
            switch Int.random(in: 0..<3, using: &generator) {
            case 0: lines.insert("new \(Int.random(in: 0..<9, using: &generator))", at: index)
            case 1 where index < lines.count: lines.remove(at: index)
            case _ where index < lines.count: lines[index] += " changed"
            default: break
            }
        }
        return lines.joined(separator: "\n")
    }

    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func agreesWithGitApply(seed: UInt64) async throws {
        var generator = SeededGenerator(seed: seed)
        let scratch = try PatchScratch()
        let names = ["a.c", "sub/b.c", "sub/deep/c.h"]
        var before: [String: String] = [:]
        for name in names { before[name] = randomText(&generator, lines: 0...60) }
        for (name, text) in before { try scratch.write(text, to: "old/\(name)") }
        for (name, text) in before {
            switch Int.random(in: 0..<6, using: &generator) {
            case 0: try scratch.write(text, to: "new/moved/\(name)")
            case 1: break
            default:
                try scratch.write(
                    edited(text, &generator, edits: Int.random(in: 0...5, using: &generator)), to: "new/\(name)")
            }
        }
        try scratch.write(randomText(&generator, lines: 0...9), to: "new/fresh.c")
        let context = "-U\(Int.random(in: 1...4, using: &generator))"
        let diff = try await git(
            scratch.path, "diff", "--no-index", "--no-color", "-M", context, "--src-prefix=a/", "--dst-prefix=b/",
            "old", "new")
        // git names the two folders in every path.
        let patch = diff.output.replacing("a/old/", with: "a/").replacing("b/new/", with: "b/")
            .replacing("a/new/", with: "a/").replacing("b/old/", with: "b/")
            .replacing("rename from old/", with: "rename from ").replacing("rename to new/", with: "rename to ")
        try #require(!patch.isEmpty)
        try scratch.write(patch, to: "x.patch")

        // Half the time the tree is not quite the one that the patch was made against.
        var target = before
        if seed % 2 == 0 {
            for name in names { target[name] = edited(before[name] ?? "", &generator, edits: 2) }
        }
        try scratch.write("VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 0\n", to: "pristine/Makefile")
        try scratch.write("VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 0\n", to: "git/Makefile")
        for (name, text) in target {
            try scratch.write(text, to: "pristine/\(name)")
            try scratch.write(text, to: "git/\(name)")
        }
        let folder = scratch.path.appending("git")
        _ = try await git(folder, "init", "-q", ".")
        let applied = try await git(folder, "apply", "--whitespace=nowarn", "../x.patch")
        try removeAll(folder.appending(".git"))

        do {
            let source = try PatchSource.load(scratch.path.appending("x.patch"))
            let pristine = scratch.path.appending("pristine")
            let overlay = try TreeOverlay.compute(pristine: pristine, sources: [source])
            #expect(applied.status.isSuccess, "kbuild applies what git refuses: \(applied.errors)\n\(patch)")
            try linkTree(pristine, to: scratch.path.appending("tree"))
            let work = WorkTree(tree: scratch.path.appending("tree"), pristine: pristine)
            try work.synchronize(overlay: overlay, output: scratch.path.appending("out"))
            #expect(try contents(of: work.tree) == contents(of: folder), "\(patch)")
        } catch let failure as Failure {
            #expect(failure.code == .patch)
            #expect(!applied.status.isSuccess, "git applies what kbuild refuses: \(failure)\n\(patch)")
        }
    }
}
