// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Fuzzing
import Processes
import SystemPackage
import Testing

@testable import PatchedTree
@testable import Patching

/// Compares kbuild with `git apply` and `git mailinfo` on damaged patches and mails: what one takes the other takes,
/// and both come to the same tree. Where they differ on purpose, a rule says why: one by which kbuild is stricter has
/// to show in its message, and one by which it is laxer has to hold for git too once the input is written as git wants
/// it.
///
/// KBUILD_PATCH_MUTATIONS says how many mutations are tried (300), and KBUILD_PATCH_SEED where their numbers begin (1).
@Suite("Mutations of patches and mails", .serialized, .timeLimit(.minutes(30))) struct PatchMutationTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let count = environment["KBUILD_PATCH_MUTATIONS"].flatMap(Int.init) ?? 300
    private static let first = environment["KBUILD_PATCH_SEED"].flatMap(UInt64.init) ?? 1

    /// What a tool made of an input.
    private enum Outcome: Equatable {
        /// The files of the tree.
        case tree([String: [UInt8]])
        /// Its message.
        case refused(String)

        var isRefusal: Bool { if case .refused = self { true } else { false } }
    }

    /// A reason for which kbuild refuses what git takes. kbuild's message has to say it.
    private struct StricterRule {
        var name: String
        /// Parts of kbuild's messages.
        var says: [String]
    }

    private static let stricterRules = [
        StricterRule(
            name: "a header without a change is damage, not a change of nothing",
            says: [
                "changes nothing: its hunks are missing", "names only one of its two files", "the patch is cut off",
                "the file is empty", "holds no diff", "no diff",
            ]),
        StricterRule(
            name: "a file that is to be created must not be there, and one that is to be deleted is deleted whole",
            says: [
                "is to be created, but it is there already",
                "is to be deleted, but this kernel's has more than the patch removes",
            ]),
        StricterRule(
            name: "two names without a rename, or a name that is not a path, are not guessed at",
            says: [
                "the lines --- and +++ name", "has an empty component", "line does not name one file",
                "has a control character",
            ]),
        StricterRule(
            name: "a hunk has its header, the lines that the header counts, and nothing of it stands elsewhere",
            says: [
                "a hunk without the --- and +++ lines", "has no `diff --git` line above it",
                "the hunk has more lines than its header counts",
                "ends here, but its header", "belongs to no hunk", "stands outside", "is cut off",
                "is not a hunk header",
            ]),
        StricterRule(name: "line ends agree within a header", says: ["ends in CR LF"]),
        StricterRule(
            name: "damage of a mail's encoding is not passed over",
            says: ["base64", "quoted-printable", "multipart", "(no newline)", "holds no plain text, only text+plain"]),
        StricterRule(
            name: "a mode is one that Linux' tree has", says: ["is not a file mode", "is not that of a regular file"]),
        StricterRule(name: "a diff of another form is not passed over", says: ["cannot be applied"]),
    ]

    /// A reason for which kbuild takes what git refuses: git takes the input, and comes to kbuild's tree, once it is
    /// written as the rule says.
    private struct LaxerRule: Sendable {
        var name: String
        /// Writes an input as git wants it.
        var rewrite: @Sendable (String) -> String
    }

    /// Changes the lines of a text that fit.
    private static func lines(
        of text: String, where fits: (String) -> Bool, _ change: (String) -> String?
    ) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            .compactMap { fits($0) ? change($0) : $0 }.joined(separator: "\n")
    }

    private static func isHeader(_ line: String) -> Bool {
        [
            "diff --git ", "--- ", "+++ ", "rename ", "similarity ", "index ", "new file ", "deleted file ", "old mode",
            "new mode",
        ]
        .contains(where: line.hasPrefix)
    }

    private static let laxerRules = [
        LaxerRule(name: "the last line needs no newline") { $0 + "\n" },
        LaxerRule(name: "blanks at the end of a header's line mean nothing") { text in
            lines(of: text, where: isHeader) { line in
                String(line.reversed().drop { $0 == " " || $0 == "\t" || $0 == "\r" }.reversed())
            }
        },
        LaxerRule(name: "an index line only names contents") { text in
            lines(of: text, where: { $0.hasPrefix("index ") }, { _ in nil })
        },
        LaxerRule(name: "a line that is no header's ends a mail's header, as the blank one that is missing would") {
            text in
            var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
            let end = lines.firstIndex { $0.isEmpty } ?? lines.endIndex
            let isHeader = { (line: String) in line.contains(/^(From |[!-9;-~]+:|[ \t])/) }
            if let body = lines[..<end].firstIndex(where: { !isHeader($0) }) { lines.insert("", at: body) }
            return lines.joined(separator: "\n")
        },
        LaxerRule(name: "the lines --- and +++ suffice: what stands above them may be damaged, missing or twice") {
            text in
            // The rest of a mail's header is not a diff's.
            lines(
                of: text,
                where: { $0.hasPrefix("diff --git") || $0.hasPrefix("index ") }, { _ in nil })
        },
        LaxerRule(name: "a text of ASCII needs no character set that is known") { text in
            text.replacing(/charset=[^\n]*/, with: "charset=UTF-8")
        },
    ]

    // MARK: Seeds

    private static let tree: [String: String] = [
        "Makefile": "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 0\n",
        "kernel/a.c": (1...60).map { $0 % 7 == 0 ? "\treturn 0;\n" : $0 % 5 == 0 ? "}\n" : "\tcall(\($0));\n" }
            .joined(),
        "kernel/b.c": (1...30).map { "int b\($0);\n" }.joined(),
        "include/c.h": "#ifndef C\n#define C\nint c(void);\n#endif\n",
        "lib/last": "one\ntwo\nthree",
    ]

    /// Patches of that tree as git makes them, in a folder of its own.
    private static func seeds(in scratch: PatchScratch, _ runner: CommandRunner) async throws -> [String] {
        var patches: [String] = []
        let changes: [@Sendable (inout [String: String]) -> Void] = [
            {
                $0["kernel/a.c"] = $0["kernel/a.c"]?.replacing("\tcall(3);\n", with: "\tcall(3);\n\tmore(3);\n")
                    .replacing("\tcall(44);\n", with: "")
            },
            {
                $0["kernel/new.c"] = "int new;\n\nint other;\n";
                $0["kernel/b.c"] = $0["kernel/b.c"]?.replacing("int b15;\n", with: "long b15;\n")
            },
            {
                $0["include/c.h"] = nil; $0["lib/last"] = "one\n2\nthree\n"
            },
            {
                $0["kernel/moved.c"] = $0["kernel/b.c"]?.replacing("int b2;\n", with: "int b2, b2b;\n");
                $0["kernel/b.c"] = nil
            },
        ]
        for (number, change) in changes.enumerated() {
            var after = tree
            change(&after)
            let folder = "seed\(number)"
            for (path, text) in tree { try scratch.write(text, to: "\(folder)/a/\(path)") }
            for (path, text) in after { try scratch.write(text, to: "\(folder)/b/\(path)") }
            let diff = try await git(
                scratch.path.appending(folder), runner,
                ["diff", "--no-index", "--no-color", "-M", "--no-prefix", "a", "b"])
            // Renames are named with the two folders.
            patches.append(
                diff.output.replacing("diff --git b/", with: "diff --git a/").replacing(
                    " a/kernel/moved", with: " b/kernel/moved"
                )
                .replacing("rename from a/", with: "rename from ").replacing("rename to b/", with: "rename to "))
        }
        return patches
    }

    /// A message with the patch, in one of the encodings that mail programs use.
    private static func mail(_ patch: String, _ generator: inout SeededGenerator) -> String {
        let body = "Words about the change.\n\nSigned-off-by: A <a@example.org>\n---\n\n" + patch + "-- \n2.39.2\n"
        var headers = [
            "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001", "From: A <a@example.org>",
            "Date: Tue, 3 Feb 2026 10:11:12 +0100", "Subject: [PATCH 1/1] kernel: change it",
        ]
        switch generator.below(4) {
        case 0: return (headers + ["", body]).joined(separator: "\n")
        case 1:
            headers += ["Content-Type: text/plain; charset=UTF-8", "Content-Transfer-Encoding: base64"]
            let encoded = Data(body.utf8).base64EncodedString(options: [.lineLength76Characters, .endLineWithLineFeed])
            return (headers + ["", encoded + "\n"]).joined(separator: "\n")
        case 2:
            headers += ["Content-Type: text/plain; charset=UTF-8", "Content-Transfer-Encoding: quoted-printable"]
            let encoded = body.replacing("=", with: "=3D").replacing("\t", with: "=09")
            return (headers + ["", encoded]).joined(separator: "\n")
        default:
            headers += ["MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=\"xyz\""]
            let part = "--xyz\nContent-Type: text/plain; charset=UTF-8\n\n\(body)\n--xyz--\n"
            return (headers + ["", part]).joined(separator: "\n")
        }
    }

    // MARK: Mutations

    private static func mutated(_ text: String, _ generator: inout SeededGenerator) -> String {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        for _ in 0...generator.below(2) {
            let index = generator.below(lines.count)
            switch generator.below(12) {
            case 0: lines.remove(at: index)
            case 1: lines.insert(lines[index], at: index)
            case 2:
                let other = generator.below(lines.count)
                lines.swapAt(index, other)
            case 3:
                lines.insert(
                    generator.pick(["", " ", "garbage", "-- ", "+", "-x", "\\ No newline at end of file"]) ?? "",
                    at: index)
            case 4: lines[index] += generator.pick([" ", "\t", "\r", "x"]) ?? ""
            case 5: lines[index] = String(lines[index].dropFirst())
            case 6: lines[index] = String(lines[index].dropLast())
            case 7:
                // A number of a hunk's header.
                let headers = lines.indices.filter { lines[$0].hasPrefix("@@ ") }
                guard let header = generator.pick(headers) else { break }
                let digits = lines[header].indices.filter { lines[header][$0].isNumber }
                guard let digit = generator.pick(digits) else { break }
                lines[header].replaceSubrange(digit...digit, with: String(generator.below(10)))
            case 8: lines = Array(lines.prefix(index + 1))
            case 9:
                guard let place = generator.pick(Array(lines[index].indices)) else { break }
                lines[index].replaceSubrange(
                    place...place, with: generator.pick(["a", " ", "+", "-", "@", "/", "0", "\t"]) ?? "")
            case 10: lines[index] = lines[index].replacing("\t", with: "        ")
            default:
                let names = lines.indices.filter { lines[$0].hasPrefix("--- ") || lines[$0].hasPrefix("+++ ") }
                guard let name = generator.pick(names) else { break }
                lines[name] = lines[name].replacing(
                    "kernel/", with: generator.pick(["kernel//", "./kernel/", "lib/", ""]) ?? "")
            }
            if lines.isEmpty { lines = [""] }
        }
        return lines.joined(separator: "\n")
    }

    // MARK: The tools

    private static func git(
        _ folder: FilePath, _ runner: CommandRunner, _ arguments: [String], input: String? = nil
    ) async throws -> CommandResult {
        try await runner.capture(
            Command(
                "git", ["-c", "core.autocrlf=false", "-c", "core.safecrlf=false"] + arguments,
                environment: [
                    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "LC_ALL": "C",
                    "GIT_CEILING_DIRECTORIES": "/tmp",
                ],
                workingDirectory: folder))
    }

    /// Stands for files whose names are not UTF-8, as git writes them.
    private static let unreadable = "a name that is not UTF-8"

    private static func bytes(of folder: FilePath) throws -> [String: [UInt8]] {
        var files: [String: [UInt8]] = [:]
        var paths: [String] = []
        TreePath.forEachFile(in: folder) { paths.append($0) }
        for path in paths {
            // A name that is not UTF-8 is not found by its text.
            files[path] = try? readBytes(folder.pushing(FilePath(path)))
            if files[path] == nil { files[unreadable] = [] }
        }
        return files
    }

    /// The files without the blanks at the ends of their names. A mail program that adds one to a line makes git write
    /// another file; kbuild leaves it out.
    private static func withoutBlanks(_ files: [String: [UInt8]]) -> [String: [UInt8]] {
        Dictionary(files.map { name, bytes in (name.hasSuffix(" ") ? String(name.dropLast()) : name, bytes) }) { $1 }
    }

    /// What git makes of a patch, or of a mail by way of `git mailinfo`.
    private static func gitOutcome(
        isMail: Bool, _ scratch: PatchScratch, _ runner: CommandRunner
    ) async throws -> Outcome {
        var patch = "../x.patch"
        if isMail {
            let info = try await runner.capture(
                Command(
                    "sh", ["-c", "git mailinfo --scissors msg body < x.patch"],
                    environment: ["GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "LC_ALL": "C"],
                    workingDirectory: scratch.path))
            guard info.status.isSuccess else { return .refused(info.errors) }
            patch = "../body"
        }
        let folder = scratch.path.appending("git")
        let applied = try await git(folder, runner, ["apply", "--whitespace=nowarn", patch])
        guard applied.status.isSuccess else { return .refused(applied.errors) }
        return .tree(try bytes(of: folder))
    }

    private static func kbuildOutcome(_ scratch: PatchScratch, _ before: [String: [UInt8]]) -> Outcome {
        do {
            let source = try PatchSource.load(scratch.path.appending("x.patch"))
            let overlay = try TreeOverlay.compute(pristine: scratch.path.appending("pristine"), sources: [source])
            var files = before
            for (path, entry) in overlay.files {
                switch entry {
                case .file(let file): files[path] = file.bytes
                case .deleted: files[path] = nil
                }
            }
            return .tree(files)
        } catch let failure as Failure {
            return .refused("\(failure.message) \(failure.details ?? "")")
        } catch {
            return .refused("not a Failure: \(error)")
        }
    }

    /// The rule by which kbuild may take what git refuses: the first that leads git to the same tree, alone or behind
    /// those before it. Nil where there is none.
    private func laxerRule(
        for input: String, isMail: Bool, tree: [String: [UInt8]], _ scratch: PatchScratch, _ runner: CommandRunner
    ) async throws -> String? {
        func leads(_ text: String) async throws -> Bool {
            try removeAll(scratch.path.appending("git"))
            for (path, text) in Self.tree { try scratch.write(text, to: "git/\(path)") }
            try scratch.write(text, to: "x.patch")
            guard case .tree(let files) = try await Self.gitOutcome(isMail: isMail, scratch, runner) else {
                return false
            }
            return Self.withoutBlanks(files) == tree
        }
        for rule in Self.laxerRules where try await leads(rule.rewrite(input)) { return rule.name }
        var text = input
        for rule in Self.laxerRules { text = rule.rewrite(text) }
        return try await leads(text) ? "several of these rules together" : nil
    }

    @Test("kbuild and git accept the same patches with the same results", arguments: [false, true])
    func agreesWithGit(isMail: Bool) async throws {
        let scratch = try PatchScratch()
        let runner = CommandRunner()
        let seeds = try await Self.seeds(in: scratch, runner)
        try #require(seeds.allSatisfy { $0.contains("@@") })
        for (path, text) in Self.tree { try scratch.write(text, to: "pristine/\(path)") }
        let before = try Self.bytes(of: scratch.path.appending("pristine"))
        var differences: [String] = []
        var counts: [String: Int] = [:]
        for number in 0..<UInt64(Self.count / 2) {
            var generator = SeededGenerator(seed: (Self.first &+ number) &* 2 &+ (isMail ? 1 : 0))
            let seed = seeds[generator.below(seeds.count)]
            let input = Self.mutated(isMail ? Self.mail(seed, &generator) : seed, &generator)
            try removeAll(scratch.path.appending("git"))
            for (path, text) in Self.tree { try scratch.write(text, to: "git/\(path)") }
            try scratch.write(input, to: "x.patch")
            let git = try await Self.gitOutcome(isMail: isMail, scratch, runner)
            let kbuild = Self.kbuildOutcome(scratch, before)
            func differ(_ how: String) {
                counts[how, default: 0] += 1
                differences.append("\(how), seed \(Self.first &+ number):\ngit: \(git)\nkbuild: \(kbuild)\n\(input)")
            }
            switch (git, kbuild) {
            case (.refused, .refused): counts["both refuse", default: 0] += 1
            case (.tree, .refused(let message)):
                if let rule = Self.stricterRules.first(where: { $0.says.contains(where: message.contains) }) {
                    counts["stricter: \(rule.name)", default: 0] += 1
                } else {
                    differ("kbuild refuses")
                }
            case (.refused, .tree(let tree)):
                if let rule = try await laxerRule(for: input, isMail: isMail, tree: tree, scratch, runner) {
                    counts["laxer: \(rule)", default: 0] += 1
                } else {
                    differ("kbuild takes")
                }
            case (.tree(let left), .tree(let right)):
                if left["dev/null"] != nil {
                    // Without "deleted file mode" git moves the file to dev/null; patch(1) and kbuild delete it.
                    counts["git writes dev/null", default: 0] += 1
                } else if Self.withoutBlanks(left) == right {
                    counts[left == right ? "same tree" : "git's name ends in a blank", default: 0] += 1
                } else {
                    differ("other tree")
                }
            }
        }
        let sum = counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        if let folder = Self.environment["KBUILD_PATCH_REPORT"] {
            try writeAtomically(
                ([sum] + differences).joined(separator: "\n=====\n"), to: FilePath("\(folder).\(isMail)"))
        }
        #expect(
            differences.isEmpty,
            "\(isMail ? "mails" : "patches"): \(sum)\n\(differences.prefix(3).joined(separator: "\n=====\n"))")
        // Mutations that all fail would show nothing.
        #expect(counts["same tree", default: 0] > Self.count / 20)
    }
}

extension SeededGenerator {
    fileprivate mutating func pick<Value>(_ values: [Value]) -> Value? { values.randomElement(using: &self) }
    fileprivate mutating func below(_ bound: Int) -> Int { bound > 0 ? Int.random(in: 0..<bound, using: &self) : 0 }
}
