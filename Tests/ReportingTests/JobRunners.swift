// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// The commands that CI services recognize in a job's output, written in Swift after their sources.
enum JobRunner {
    /// The names that GitHub's runner registers (actions/runner, ActionCommandManager.cs), in any case.
    static let names: Set<String> = [
        "add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group", "internal-set-repo-path",
        "notice", "remove-matcher", "save-state", "set-env", "set-output", "stop-commands", "warning",
    ]

    /// The lines of an output that a service would execute.
    static func commands(in output: String) -> [String] {
        // .NET's StreamReader.ReadLine ends a line at CR, LF, or both.
        let lines = output.unicodeScalars.split { $0 == "\n" || $0 == "\r" }.map { String($0) }
        return lines.filter { line in
            // .NET compares by the culture, which ignores invisible characters.
            let skeleton = String(String.UnicodeScalarView(line.unicodeScalars.filter { isWeighed($0) }))
            return [line, skeleton].contains { isGitHub($0) || isOther($0) }
        }
    }

    private static func isWeighed(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace || VisibleText.isSeen(scalar)
    }

    private static func isGitHub(_ line: String) -> Bool {
        name(afterColons: line).map { names.contains($0.lowercased()) } == true
            || name(afterHashes: line).map { names.contains($0.lowercased()) } == true
    }

    /// ActionCommand.TryParseV2: `::name key=value,key=value::data` behind blanks.
    private static func name(afterColons line: String) -> String? {
        let text = line.unicodeScalars.drop { $0.properties.isWhitespace }
        guard text.starts(with: "::".unicodeScalars) else { return nil }
        let rest = Array(text.dropFirst(2))
        guard let end = rest.indices.first(where: { rest[$0...].starts(with: "::".unicodeScalars) }) else { return nil }
        return word(rest[..<end])
    }

    /// ActionCommand.TryParse: the first `##[`, wherever it is, and the first `]` behind it.
    private static func name(afterHashes line: String) -> String? {
        let text = Array(line.unicodeScalars)
        guard let start = text.indices.first(where: { text[$0...].starts(with: "##[".unicodeScalars) }) else {
            return nil
        }
        let rest = text[(start + 3)...]
        guard let end = rest.firstIndex(of: "]") else { return nil }
        return word(rest[..<end])
    }

    private static func word(_ text: ArraySlice<Unicode.Scalar>) -> String {
        String(String.UnicodeScalarView(text.prefix { $0 != " " }))
    }

    /// Azure Pipelines, TeamCity, and GitLab, whose marks work only with control characters after them.
    private static func isOther(_ line: String) -> Bool {
        let text = line.lowercased()
        return ["##vso[", "##teamcity[", "section_start:", "section_end:"].contains { text.contains($0) }
    }
}
