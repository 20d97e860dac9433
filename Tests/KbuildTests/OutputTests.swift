// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Diagnostics
import Foundation
import Testing

@testable import kbuild

/// All that kbuild prints goes through one place.
@Suite("Output", .timeLimit(.minutes(30)))
struct OutputTests {
    private static let sources = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Sources")

    /// The Swift files of a folder with their paths from it on.
    private static func files(_ folder: URL) throws -> [(name: String, text: String)] {
        let names = try #require(FileManager.default.subpaths(atPath: folder.path)).filter { $0.hasSuffix(".swift") }
        return try names.map { ($0, try String(contentsOf: folder.appending(path: $0), encoding: .utf8)) }
    }

    @Test("only StandardStream writes to a standard stream, except for a guest's output and helpers' pipes")
    func onlyPlace() throws {
        let write =
            /(^|[^.\w"])(print|debugPrint|dump|fputs|fputc|fwrite|putchar|puts|printf|vprintf|perror|write)\(|Glibc\.write\(|(FileHandle|FileDescriptor)\.standard(Output|Error)/
        let allowed: Set = [
            "StandardStream.swift",
            // The output of a program in the guest, passed on as by ssh.
            "Commands/ShellCommand.swift",
        ]
        var writers: Set<String> = []
        for file in try Self.files(Self.sources.appending(path: "CLI")) {
            for line in file.text.split(separator: "\n") where line.contains(write) && !line.contains("func write(") {
                writers.insert(file.name)
                #expect(allowed.contains(file.name), "\(file.name): \(line)")
            }
        }
        // The expression finds the expected calls.
        #expect(writers == allowed)
    }

    @Test(
        "no other module prints",
        arguments: [
            "Application", "Authoring", "CLI/Commands", "Doctor", "Guest/GuestSession", "Kernel", "Project", "Results",
            "RunStore", "Support",
        ])
    func modules(name: String) throws {
        for file in try Self.files(Self.sources.appending(path: name)) where !file.name.hasSuffix("KUnitTests.swift") {
            #expect(!file.text.contains(/(^|[^.\w"])print\(/), "\(file.name)")
            #expect(!file.text.contains(/FileHandle\.standard(Output|Error)/), "\(file.name)")
        }
    }

    @Test("no string outside of StandardStream's calls and the text renderers contains a control sequence")
    func sequences() throws {
        for file in try Self.files(Self.sources.appending(path: "CLI")) {
            for line in file.text.split(separator: "\n") where line.contains(#"\u{1B}"#) {
                #expect(line.contains(".control("), "\(file.name): \(line)")
            }
        }
    }

    @Test("completion scripts are printed unchanged", arguments: [CompletionShell.bash, .zsh, .fish])
    func completions(shell: CompletionShell) {
        let script = Kbuild.completionScript(for: shell)
        #expect(TerminalText(lines: script).rendered() == script)
    }
}
