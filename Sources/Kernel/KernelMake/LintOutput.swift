// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import SystemPackage

/// A program that reads the project's own C files and reports doubtful places.
public enum LintTool: String, Sendable, CaseIterable {
    /// The kernel's own check of style, `scripts/checkpatch.pl` in its tree.
    case checkpatch
    /// A checker of types, such as addresses of user space (Documentation/dev-tools/sparse.rst).
    case sparse
}

/// A place that sparse or checkpatch reports.
public struct LintFinding: Sendable, Hashable {
    /// The file, by its path in the kernel's tree.
    public var file: String
    /// The line, from 1.
    public var line: Int
    /// The column, from 1; nil where the tool names none.
    public var column: Int?
    /// Whether the tool calls it an error.
    public var isError: Bool
    /// What the tool says, on one line.
    public var message: String
    /// The tool, with the name of its rule where it has one: "sparse", "checkpatch LONG_LINE".
    public var rule: String

    /// The finding in the form of a compiler's warning.
    ///
    /// - Parameter name: What the user calls the file.
    public func text(file name: String) -> String {
        let place = [name, String(line)] + (column.map { [String($0)] } ?? [])
        return "\(place.joined(separator: ":")): \(isError ? "error" : "warning"): \(message) [\(rule)]"
    }
}

/// Reads what sparse and checkpatch print.
public struct LintOutput: Sendable {
    /// The tree whose files the tools read.
    private let tree: FilePath
    /// The folder in which they run, to which the names of files are relative.
    private let folder: FilePath

    /// Creates a reader.
    ///
    /// - Parameters:
    ///   - tree: The kernel's tree.
    ///   - folder: The tool's working directory.
    public init(tree: FilePath, folder: FilePath) {
        self.tree = tree
        self.folder = folder
    }

    /// The findings in the output of a tool, in its order, each once.
    public func findings(_ lines: some Sequence<Substring>, of tool: LintTool) -> [LintFinding] {
        var found: [LintFinding] = []
        var seen: Set<LintFinding> = []
        for line in lines {
            guard let place = Place(line, tool: tool) else { continue }
            let file = treePath(place.file)
            if tool == .sparse, place.text.hasPrefix("   ") {
                // sparse continues a message in lines of the same place: what it expected, and what it got.
                guard let last = found.indices.last, found[last].file == file, found[last].line == place.line else {
                    continue
                }
                found[last].message += (found[last].message.hasSuffix(")") ? ": " : ", ") + Self.words(place.text)
                continue
            }
            guard let finding = tool == .sparse ? sparse(place, file) : checkpatch(place, file) else { continue }
            found.append(finding)
        }
        return found.filter { seen.insert($0).inserted }
    }

    /// A line's beginning, `FILE:LINE:` or `FILE:LINE:COLUMN:`, and the rest of it.
    private struct Place {
        var file: Substring
        var line: Int
        var column: Int?
        var text: Substring

        init?(_ line: Substring, tool: LintTool) {
            let parts = line.split(separator: ":", maxSplits: tool == .sparse ? 3 : 2, omittingEmptySubsequences: false)
            guard parts.count >= 3, !parts[0].isEmpty, let number = Int(parts[1]), number > 0 else { return nil }
            (file, self.line) = (parts[0], number)
            if tool == .sparse {
                guard parts.count == 4, let column = Int(parts[2]) else { return nil }
                self.column = column
                text = parts[3].dropFirst(parts[3].hasPrefix(" ") ? 1 : 0)
            } else {
                text = parts[2].dropFirst(parts[2].hasPrefix(" ") ? 1 : 0)
            }
        }
    }

    private func sparse(_ place: Place, _ file: String) -> LintFinding? {
        for (word, isError) in [("warning: ", false), ("error: ", true)] where place.text.hasPrefix(word) {
            return LintFinding(
                file: file, line: place.line, column: place.column, isError: isError,
                message: Self.words(place.text.dropFirst(word.count)), rule: LintTool.sparse.rawValue)
        }
        return nil
    }

    /// `--terse --show-types` prints `FILE:LINE: WARNING:TYPE: TEXT`.
    private func checkpatch(_ place: Place, _ file: String) -> LintFinding? {
        let parts = place.text.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, ["ERROR", "WARNING", "CHECK"].contains(parts[0]) else { return nil }
        return LintFinding(
            file: file, line: place.line, isError: parts[0] == "ERROR", message: Self.words(parts[2]),
            rule: "\(LintTool.checkpatch.rawValue) \(parts[1])")
    }

    /// Text with single blanks between its words.
    private static func words(_ text: Substring) -> String {
        text.split { $0 == " " || $0 == "\t" }.joined(separator: " ")
    }

    private func treePath(_ name: Substring) -> String {
        var path = folder.pushing(FilePath(String(name))).lexicallyNormalized()
        return path.removePrefix(tree) && !path.isEmpty ? path.string : String(name)
    }
}
