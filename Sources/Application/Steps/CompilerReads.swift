// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import SystemPackage

/// The files that compilers, assemblers and linkers recorded as read, and the files that would replace these if they
/// appeared. No I/O except through the closures.
enum CompilerReads {
    /// The prerequisites in a makefile that a compiler wrote (gcc -MD, as --MD, ld --dependency-file, swiftc
    /// -emit-dependencies).
    ///
    /// - Parameter folder: A folder that the makefile may name. A makefile cannot quote a newline: the tools write the
    ///   byte unchanged, so only the newlines of a known path can be distinguished from the ends of lines.
    static func prerequisites(inMakefile text: String, below folder: FilePath? = nil) -> [String] {
        let newlines = newlines(in: folder?.string ?? "")
        guard !newlines.isEmpty else { return words(inMakefile: text) }
        // U+0001 replaces a newline meanwhile.
        let marked = newlines.reduce(text) { $0.replacing($1, with: $1.replacing("\n", with: "\u{1}")) }
        return words(inMakefile: marked).map { $0.replacing("\u{1}", with: "\n") }
    }

    /// Each run of newlines in a path, with the neighbouring characters that all tools write in the same way.
    private static func newlines(in path: String) -> [String] {
        path.matches(of: /[^ \t#$\\\/\n]*\n+[^ \t#$\\\/\n]*/).map { String($0.output) }.filter { $0 != "\n" }
    }

    private static func words(inMakefile text: String) -> [String] {
        var paths: [String] = []
        var word: [UInt8] = []
        var isPrerequisite = false
        let bytes = Array(text.utf8)
        func end() {
            defer { word = [] }
            guard !word.isEmpty else { return }
            if isPrerequisite { paths.append(String(decoding: word, as: UTF8.self)) }
        }
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            let next = index + 1 < bytes.count ? bytes[index + 1] : nil
            switch byte {
            case UInt8(ascii: "\\") where next == UInt8(ascii: "\n"):
                end()
                index += 1
            case UInt8(ascii: "\\") where next == UInt8(ascii: " ") || next == UInt8(ascii: "#"):
                if let next { word.append(next) }
                index += 1
            case UInt8(ascii: "$") where next == byte:
                word.append(byte)
                index += 1
            case UInt8(ascii: "\n"):
                end()
                isPrerequisite = false
            case UInt8(ascii: " "), UInt8(ascii: "\t"): end()
            case UInt8(ascii: ":")
            where !isPrerequisite
                && (next == nil || next == UInt8(ascii: " ") || next == UInt8(ascii: "\n")
                    || next == UInt8(ascii: "\\")):
                word = []
                isPrerequisite = true
            default: word.append(byte)
            }
            index += 1
        }
        end()
        return paths
    }

    /// Whether a file is one that the compiler driver makes for its own use, and has removed by now.
    static func isIntermediate(_ path: FilePath) -> Bool {
        let name = path.lastComponent?.string ?? ""
        return name.hasPrefix("cc") && [".s", ".o", ".res", ".le"].contains { name.hasSuffix($0) }
    }

    /// The contents of `gcc -E -v`'s output.
    struct SearchList {
        /// The folders that are searched for headers, existing or not.
        var folders: [String]
        /// The compiler proper.
        var compiler: String?
    }

    /// Parses the output of `gcc -E -v`.
    static func searchList(inVerboseOutput text: String) -> SearchList {
        var folders: [String] = []
        var compiler: String?
        var isList = false
        for line in text.textLines() {
            if let quoted = line.split(separator: "\"").last, line.hasPrefix("ignoring nonexistent directory") {
                folders.append(String(quoted))
            } else if line.hasSuffix("search starts here:") {
                isList = true
            } else if line.hasPrefix("End of search list") {
                isList = false
            } else if isList, line.hasPrefix(" ") {
                folders.append(String(line.dropFirst()))
            } else if let word = line.split(separator: " ").first, line.hasPrefix(" "), word.hasSuffix("/cc1") {
                compiler = String(word)
            }
        }
        return SearchList(folders: folders, compiler: compiler)
    }

    /// The names of files in quotes and in angle brackets.
    struct IncludedNames {
        var quoted: Set<String> = []
        var angled: Set<String> = []
    }

    /// The names of files that a text includes or tests for, in C and in assembly.
    static func includedNames(in text: [UInt8]) -> IncludedNames {
        var names = IncludedNames()
        for line in text.split(separator: UInt8(ascii: "\n")) {
            guard line.contains(UInt8(ascii: "\"")) || line.contains(UInt8(ascii: "<")) else { continue }
            let words = String(decoding: line, as: UTF8.self)
            let isDirective = words.drop { $0 == " " || $0 == "\t" }.hasPrefix("#")
            for marker in ["include", "embed", "import", ".incbin"] {
                var rest = Substring(words)
                while let place = rest.range(of: marker) {
                    rest = rest[place.upperBound...]
                    guard isDirective || marker == ".incbin" || marker == "include" else { continue }
                    // include, include_next, __has_include(, .include \"
                    let start = rest.drop {
                        $0.isLetter || $0 == "_" || $0 == " " || $0 == "\t" || $0 == "(" || $0 == "\\"
                    }
                    if start.first == "\"" {
                        let name = start.dropFirst().prefix { $0 != "\"" && $0 != "\\" }
                        if !name.isEmpty { names.quoted.insert(String(name)) }
                    } else if start.first == "<" {
                        let name = start.dropFirst().prefix { $0 != ">" }
                        if !name.isEmpty { names.angled.insert(String(name)) }
                    }
                }
            }
        }
        return names
    }

    /// Files that were not read.
    struct MissedFiles {
        /// They do not exist.
        var absent: Set<String>
        /// They exist; other files come first, or they were made too late.
        var passedOver: Set<String>
    }

    /// The files that were not read, but that a compiler would have read instead of, or in addition to, the files that
    /// it read, if it had found them.
    ///
    /// - Parameters:
    ///   - files: The files that were read.
    ///   - folders: The folders that are searched for headers.
    static func missed(
        including files: [String], folders: [String], text: (String) -> [UInt8]?, exists: (String) -> Bool
    ) -> MissedFiles {
        var asked = Set<String>()
        for file in files {
            guard let bytes = text(file) else { continue }
            let names = includedNames(in: bytes)
            let own = FilePath(file).removingLastComponent().string
            for name in names.quoted {
                for folder in [own] + folders { asked.insert(name.hasPrefix("/") ? name : folder + "/" + name) }
            }
            for name in names.angled {
                for folder in folders { asked.insert(name.hasPrefix("/") ? name : folder + "/" + name) }
            }
        }
        asked.subtract(files)
        let passedOver = asked.filter(exists)
        return MissedFiles(absent: asked.subtracting(passedOver), passedOver: passedOver)
    }
}
