// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// What README and the documentation print of Swift is what a compiler takes. Nothing is run.
@Suite("Snippets of the documentation", .timeLimit(.minutes(30)), .tags(.guest), .costly)
struct SnippetTests {
    /// A page with Swift in it, from the repository on.
    static let pages: [String] = {
        let folders = [
            "docs", "docs/guide", "docs/reference", "docs/tutorial", "docs/decisions",
            "Sources/SyscallTesting/SyscallTesting.docc",
        ]
        let found = folders.flatMap { folder in
            ((try? namesInFolder(Fixture.repository.pushing(FilePath(folder)))) ?? []).filter { $0.hasSuffix(".md") }
                .map { "\(folder)/\($0)" }
        }
        return (["README.md"] + found).filter { page in
            ((try? readText(Fixture.repository.pushing(FilePath(page)))) ?? "").contains("```swift")
        }
    }()

    /// The Swift of a page, as one file: what is imported once holds for all of it.
    static func source(of page: String) -> String {
        var lines: [Substring] = []
        var isSwift = false
        for line in page.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("```") {
                isSwift = line == "```swift"
            } else if isSwift {
                lines.append(line)
            }
        }
        let imports = Set(lines.filter { $0.hasPrefix("import ") }).sorted()
        return (imports + lines.filter { !$0.hasPrefix("import ") }).joined(separator: "\n") + "\n"
    }

    @Test("pages with snippets are found, including the recipes")
    func found() {
        #expect(Self.pages.contains("docs/guide/recipes.md"))
        #expect(Self.source(of: "a\n```swift\nlet a = 1\n```\nb\n```\nc\n```\n") == "let a = 1\n")
    }

    @Test("a page's snippets compile", arguments: SnippetTests.pages)
    func compiles(page: String) async throws {
        let source = Self.source(of: try readText(Fixture.repository.pushing(FilePath(page))))
        let folder = FilePath(NSTemporaryDirectory()).appending("kbuild-snippet-\(UUID().uuidString)")
        try createFolder(folder)
        defer { try? removeAll(folder) }
        // The module that kbuild makes of the tables, with the numbers that the page names.
        let numbers = Set(source.matches(of: /__NR_\w+/).map { String($0.output) }).sorted()
        try writeAtomically(
            numbers.map { "public let \($0): Int32 = 451\n" }.joined(), to: folder.appending("Numbers.swift"))
        try writeAtomically(source, to: folder.appending("Snippets.swift"))
        let runner = CommandRunner()
        let common = ["-swift-version", "6", "-parse-as-library"]
        _ = try await runner.output(
            of: Command(
                "swiftc",
                common + ["-emit-module", "-module-name", "SyscallNumbers", folder.appending("Numbers.swift").string],
                workingDirectory: folder))
        let modules = Fixture.repository.pushing(".build/debug")
        let result = try await runner.capture(
            Command(
                "swiftc",
                common + [
                    "-typecheck", "-module-name", "Snippets", "-I", folder.string, "-I",
                    modules.appending("Modules").string, "-Xcc",
                    "-fmodule-map-file=\(modules.pushing("CSyscall.build/module.modulemap"))",
                    folder.appending("Snippets.swift").string,
                ], workingDirectory: folder))
        #expect(result.status == .exited(0), "\(result.errors)")
    }
}
