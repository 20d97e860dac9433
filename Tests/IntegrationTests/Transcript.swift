// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import ProjectFixture
import SystemPackage

/// A document with a session in it: indented lines that begin with `$ ` are commands, and the lines after them are what
/// they print. `...` as a line matches any number of lines; within a line any text.
struct Transcript {
    /// A command and its expected output.
    struct Step {
        /// The document's line, from 1.
        var line: Int
        var command: String
        var output: [String]
    }

    var steps: [Step] = []

    init(parsing text: String) {
        var current: Step?
        /// The word that ends a here-document.
        var terminator: String?
        func flush() {
            if let step = current { steps.append(step) }
            current = nil
            terminator = nil
        }
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            guard line.hasPrefix("    ") else {
                // Output and here-documents may contain empty lines.
                if line.isEmpty, terminator != nil {
                    current?.command += "\n"
                } else if !line.isEmpty {
                    flush()
                }
                continue
            }
            let code = String(line.dropFirst(4))
            if let word = terminator {
                current?.command += "\n" + code
                if code == word { terminator = nil }
            } else if code.hasPrefix("$ ") {
                flush()
                let command = String(code.dropFirst(2))
                current = Step(line: index + 1, command: command, output: [])
                if let match = command.firstMatch(of: /<<'(\w+)'/) { terminator = String(match.output.1) }
            } else {
                current?.output.append(code)
            }
        }
        flush()
    }

    /// Runs the commands one after another, as in one shell, and returns the differences.
    ///
    /// - Parameters:
    ///   - folder: The session's first folder.
    ///   - bin: A folder before all others on PATH.
    ///   - skipped: The prefixes of commands to skip.
    func mistakes(startingIn folder: FilePath, bin: FilePath, skipping skipped: String?) async throws -> [String] {
        var mistakes: [String] = []
        var here = folder
        var last = "0"
        let note = folder.appending(".here")
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        for step in steps where skipped.map({ !step.command.hasPrefix($0) }) ?? true {
            // The exit code and the folder are passed from one command to the next.
            let script = "(exit \(last)); \(step.command)\nstatus=$?; pwd >\(Command.quoted(note.string)); exit $status"
            let result = try await CommandRunner().capture(
                Command(
                    "sh", ["-c", "exec 2>&1\n" + script], environment: ["PATH": "\(bin):\(path)", "NO_COLOR": "1"],
                    workingDirectory: here))
            print("$ \(step.command)\n\(result.output)=> \(result.status)")
            if let text = try? readText(note) { here = FilePath(String(text.dropLast())) }
            last = if case .exited(let code) = result.status { String(code) } else { "1" }
            let lines = result.output.split(separator: "\n").map(String.init)
            if !Self.fits(lines, step.output.filter { !$0.allSatisfy(\.isWhitespace) }) {
                mistakes.append(
                    "line \(step.line): `\(step.command.prefix(80))` printed\n\(result.output)and not\n"
                        + step.output.joined(separator: "\n"))
            }
        }
        return mistakes
    }

    /// Whether lines match a pattern, except for the widths of their gaps.
    static func fits(_ lines: [String], _ pattern: [String]) -> Bool {
        guard let first = pattern.first else { return lines.isEmpty }
        let rest = Array(pattern.dropFirst())
        guard words(first) == ["..."] else {
            return lines.first.map { fitsLine($0, first) && fits(Array(lines.dropFirst()), rest) } ?? false
        }
        return (0...lines.count).contains { fits(Array(lines[$0...]), rest) }
    }

    private static func fitsLine(_ line: String, _ pattern: String) -> Bool {
        let text = words(line).joined(separator: " ")
        let parts = words(pattern).joined(separator: " ").components(separatedBy: "...")
        guard parts.count > 1, let head = parts.first, let tail = parts.last else { return text == parts.first }
        guard text.hasPrefix(head) else { return false }
        var rest = text.dropFirst(head.count)
        for part in parts.dropFirst().dropLast() {
            guard let range = rest.range(of: part) else { return false }
            rest = rest[range.upperBound...]
        }
        return rest.hasSuffix(tail)
    }

    private static func words(_ line: String) -> [String] { line.split(separator: " ").map(String.init) }
}
