// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import SystemPackage

/// The compilations of a built kernel, as editors read them from compile_commands.json (Clang's JSON compilation
/// database), from the commands that make recorded.
public struct CompileCommands: Sendable {
    /// A compilation.
    public struct Entry: Sendable, Equatable, Codable {
        /// The folder in which the command runs.
        public var directory: String
        /// The source.
        public var file: String
        /// The command, as a shell takes it.
        public var command: String
    }

    /// One entry a source, in the order of the sources' paths.
    public private(set) var entries: [Entry]

    /// Reads the records of an output folder.
    ///
    /// - Parameters:
    ///   - output: The folder.
    ///   - tree: The tree that was built in it.
    ///   - userFiles: The user's files with copies in the tree, by their paths there. They have the commands of their
    ///     copies.
    ///   - origin: The user's tree whose copy `tree` is; nil when the user has none. Files that are there are named
    ///     there.
    /// - Throws: `Failure` (`infrastructure`) when a folder cannot be read; `CancellationError`.
    public init(output: FilePath, tree: FilePath, userFiles: [String: FilePath] = [:], origin: FilePath? = nil) throws {
        var found: [String: Entry] = [:]
        for target in try CommandRecords(output: output).targets where target.hasSuffix(".o") {
            guard let text = try? readText(output.pushing(FilePath(CommandRecords.record(of: target)))),
                let compilation = Self.compilation(inRecord: text)
            else { continue }
            var path = output.pushing(FilePath(compilation.source)).lexicallyNormalized()
            var command = compilation.command
            let name = path.removePrefix(tree) ? path.string : nil
            let shown = name.flatMap { name in
                userFiles[name]
                    ?? origin.map { $0.pushing(FilePath(name)) }.flatMap { fileExists($0) ? $0 : nil }
            }
            let source = output.pushing(FilePath(compilation.source)).lexicallyNormalized()
            if let shown { command.replaceSubrange(compilation.place, with: shown.string) }
            let file = (shown ?? source).string
            found[file] = Entry(directory: output.string, file: file, command: command)
        }
        entries = found.values.sorted { $0.file < $1.file }
    }

    /// The database as JSON, with a newline at its end.
    ///
    /// - Throws: `EncodingError`, which no entry is known to cause.
    public func rendered() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(entries), as: UTF8.self) + "\n"
    }

    /// The command that compiled an object, without a compiler cache before it; nil when the output has no record
    /// of one.
    ///
    /// - Parameters:
    ///   - object: The object's path in the output folder.
    ///   - output: The folder.
    package static func command(ofObject object: String, output: FilePath) -> String? {
        (try? readText(output.pushing(FilePath(CommandRecords.record(of: object))))).flatMap(compilation(inRecord:))?
            .command
    }

    /// A compilation of a record.
    struct Compilation: Equatable {
        /// The command, without a compiler cache before it.
        var command: String
        /// The source, as the command has it.
        var source: String
        /// The position of that word in the command.
        var place: Range<String.Index> { command.index(command.endIndex, offsetBy: -source.count)..<command.endIndex }
    }

    /// The compilation in the first line of a record: `savedcmd_lib/x.o := ccache gcc ... -o lib/x.o ../lib/x.c ; ...`.
    /// Nil for what links or archives.
    static func compilation(inRecord text: String) -> Compilation? {
        guard let line = text.textLines().first, line.hasPrefix("cmd_") || line.hasPrefix("savedcmd_"),
            let assignment = line.range(of: ".o := ")
        else { return nil }
        // What follows checks the object (objtool).
        var command = String(line[assignment.upperBound...].split(separator: " ; ", maxSplits: 1).first ?? "")
        while command.last == " " || command.last == ";" { command.removeLast() }
        if command.hasPrefix("ccache ") { command.removeFirst("ccache ".count) }
        // As make writes them into a makefile.
        command = command.replacing("$(pound)", with: "#").replacing("\\#", with: "#").replacing("$$", with: "$")
        guard let last = command.split(separator: " ").last, last.hasSuffix(".c") || last.hasSuffix(".S") else {
            return nil
        }
        return Compilation(command: command, source: String(last))
    }
}
