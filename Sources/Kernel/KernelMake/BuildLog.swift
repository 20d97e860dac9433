// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import FileSystem
import SystemPackage

/// Finds the useful part of a failed build's output: the compiler's own messages, those on the user's files first.
package enum BuildLog {
    /// The contents of a failure.
    package struct Report: Equatable {
        package var details: String
        package var nextStep: String?
        /// Whether the compiler, the assembler or the linker found an error, as opposed to make or a missing tool.
        package var isSourceError = false
    }

    /// An error of the compiler or assembler, with the lines around it that belong to it.
    struct Diagnostic: Equatable {
        /// The file, relative to the tree or the output folder.
        var file: String
        var lines: [String]
    }

    /// The most lines to show of a diagnostic. A long chain of includes and notes has some forty.
    private static let mostDiagnosticLines = 60

    /// Parses the lines of a build.
    ///
    /// - Parameter userFiles: The user's own files: for each path in the tree, the path that the user knows.
    package static func report(_ lines: [String], make: KernelMake, userFiles: [String: String]) -> Report {
        let paths = PathNames(make: make, userFiles: userFiles)
        let diagnostics = diagnostics(in: lines, paths: paths)
        // Ten errors are enough; the log has all of them.
        var own: [Diagnostic] = []
        var other: [Diagnostic] = []
        for diagnostic in diagnostics where own.count < 10 {
            if userFiles[diagnostic.file] != nil || diagnostic.lines.contains(where: paths.mentionsUserFile) {
                own.append(diagnostic)
            } else if other.count < 10 {
                other.append(diagnostic)
            }
        }
        var details = (own + other).prefix(10).flatMap { $0.lines.prefix(mostDiagnosticLines) }
        let linker = linkerErrors(in: lines).map(paths.shortened)
        details += linker.prefix(20)
        if details.isEmpty { details += makeErrors(in: lines).prefix(5).map(paths.shortened) }
        if details.isEmpty { details += lines.filter { !isProgress($0) }.suffix(15).map(paths.shortened) }
        return Report(
            details: details.joined(separator: "\n"), nextStep: nextStep(lines, linker: linker),
            isSourceError: !diagnostics.isEmpty || !linker.isEmpty)
    }

    // MARK: Compiler and assembler

    /// A line of the form `FILE:LINE[:COLUMN]: SEVERITY: TEXT`.
    private static func location(of line: String) -> (file: Substring, severity: Substring)? {
        for severity in ["error", "fatal error", "Error", "warning", "note"] {
            guard let mark = line.firstRange(of: ": \(severity): ") else { continue }
            var place = line[..<mark.lowerBound].split(separator: ":", omittingEmptySubsequences: false)
            var numbers = 0
            while numbers < 2, let last = place.last, !last.isEmpty, last.allSatisfy(\.isNumber) {
                place.removeLast()
                numbers += 1
            }
            guard numbers > 0, let first = place.first, let last = place.last, !first.isEmpty else { continue }
            return (line[first.startIndex..<last.endIndex], line[mark].dropFirst(2).dropLast(2))
        }
        return nil
    }

    private static func isContext(_ line: String) -> Bool {
        line.hasPrefix("In file included from ") || line.hasPrefix("                 from ")
            || (line.hasSuffix(":")
                && [": In function ", ": At top level:", ": Assembler messages:", ": In member function "]
                    .contains { line.contains($0) })
    }

    /// A source line with its number, or the line under it with the caret.
    private static func isExcerpt(_ line: String) -> Bool {
        guard line.hasPrefix(" "), let bar = line.firstIndex(of: "|") else { return false }
        return line[..<bar].allSatisfy { $0 == " " || $0.isNumber || $0 == "+" }
    }

    /// The compiler's warnings about the user's own files, in their order, each once.
    package static func warnings(_ lines: [String], make: KernelMake, userFiles: [String: String]) -> [String] {
        guard !userFiles.isEmpty else { return [] }
        let paths = PathNames(make: make, userFiles: userFiles)
        var seen = Set<String>()
        return diagnostics(in: lines, paths: paths, of: .warnings).filter { userFiles[$0.file] != nil }
            .compactMap { $0.lines.last { location(of: $0)?.severity == "warning" } }.filter {
                seen.insert($0).inserted
            }
    }

    private enum Severity {
        case errors
        case warnings
    }

    private static func diagnostics(
        in lines: [String], paths: PathNames, of wanted: Severity = .errors
    ) -> [Diagnostic] {
        var found: [Diagnostic] = []
        var context: [String] = []
        // Whether the following lines belong to the last error.
        var isInError = false
        for line in lines {
            if isContext(line) {
                if isInError { context = [] }
                isInError = false
                context.append(paths.shortened(line))
            } else if let (file, severity) = location(of: line) {
                if severity == "note" {
                    if isInError { found[found.count - 1].lines.append(paths.shortened(line)) }
                    continue
                }
                isInError = (severity == "warning") == (wanted == .warnings)
                // A skipped diagnostic, such as a warning, leaves its context to the first error of the same function.
                guard isInError else { continue }
                let name = paths.treePath(String(file))
                found.append(Diagnostic(file: name, lines: context + [paths.shortened(line)]))
                context = []
            } else if isExcerpt(line) {
                if isInError { found[found.count - 1].lines.append(line) }
            } else {
                isInError = false
                context = []
            }
        }
        return found
    }

    // MARK: Linker, make, tools

    private static func linkerErrors(in lines: [String]) -> [String] {
        var found: [String] = []
        var previous = ""
        for line in lines {
            let isError = [
                "undefined reference to ", "multiple definition of ", "undefined symbol: ", "ERROR: modpost: ",
            ]
            .contains { line.contains($0) }
            if isError {
                if previous.hasPrefix("ld: "), previous.contains("in function") { found.append(previous) }
                found.append(line)
            }
            previous = line
        }
        return found
    }

    private static func makeErrors(in lines: [String]) -> [String] {
        lines.filter { line in
            (line.hasPrefix("make") && line.contains("***") && !line.hasSuffix("Error 2")
                && !line.contains("unfinished jobs"))
                || line.hasPrefix("***") || line.contains(": not found") || line.contains("command not found")
                || line.hasPrefix("error:") || line.hasPrefix("Error:") || isKconfigError(line)
        }
    }

    /// kconfig's own form: "init/Kconfig:12: syntax error".
    private static func isKconfigError(_ line: String) -> Bool {
        let parts = line.split(separator: ":", maxSplits: 2)
        return parts.count == 3 && Int(parts[1]) != nil && !parts[2].hasPrefix("warning")
            && parts[0].split(separator: "/").last?.hasPrefix("Kconfig") == true
    }

    /// A line that only shows make's progress: two spaces, a word in capitals, a file.
    static func isProgress(_ line: String) -> Bool {
        BuildStep(line: line) != nil || line.hasPrefix("make[") && line.contains("Error 2")
    }

    private static func nextStep(_ lines: [String], linker: [String]) -> String? {
        for line in lines {
            if let tool = missingTool(line) {
                return "apt-get install \(packages[tool] ?? tool) (it has \(tool), which the kernel's build runs)"
            }
            if let header = missingHeader(line), let package = headerPackages.first(where: { header.hasPrefix($0.0) }) {
                return "apt-get install \(package.1) (it has \(header), which the kernel's tools include)"
            }
            if line.contains("No space left on device") {
                return "make room: a kernel's output takes about 0.2 GB, 1 GB with KASAN or debug information"
            }
            if line.contains("Killed signal terminated program") || line.contains("virtual memory exhausted") {
                return "the machine ran out of memory: run fewer jobs at once"
            }
            if line.contains("No rule to make target "), let object = quoted(in: line) {
                return "a Makefile names \(object), but there is no source for it: check the names in obj-y"
            }
        }
        if let line = linker.first(where: { $0.contains("undefined reference to ") || $0.contains("undefined symbol") })
        {
            let name = quoted(in: line) ?? line.split(separator: " ").last.map(String.init) ?? "the symbol"
            let place = name.contains("sys_") ? "SYSCALL_DEFINE of that name" : "function of that name"
            return "nothing defines \(name): check that a \(place) exists and that its object is in a Makefile's obj-y"
        }
        if linker.contains(where: { $0.hasPrefix("ERROR: modpost: ") }) {
            return "a module uses a symbol that the kernel does not export: EXPORT_SYMBOL it, or build the module in; "
                + "a folder of `modules` has the symbols of those listed before it"
        }
        return nil
    }

    /// The first word in the quotes that GNU tools use: 'so' or `so'.
    private static func quoted(in line: String) -> String? {
        guard let start = line.firstIndex(where: { $0 == "'" || $0 == "`" }) else { return nil }
        let rest = line[line.index(after: start)...]
        return rest.firstIndex(of: "'").map { String(rest[..<$0]) }
    }

    private static func missingTool(_ line: String) -> String? {
        // dash: "/bin/sh: 1: flex: not found"; bash: "/bin/sh: line 1: flex: command not found".
        if line.hasPrefix("/bin/") || line.hasPrefix("sh: ") {
            let parts = line.split(separator: ":").map { $0.trimmingBlanks }
            if parts.count >= 3, parts.last == "not found" || parts.last == "command not found" {
                return String(parts[parts.count - 2])
            }
        }
        // make, when it needs no shell: "make[2]: flex: No such file or directory".
        let parts = line.split(separator: ":").map { $0.trimmingBlanks }
        if parts.count == 3, parts[0].hasPrefix("make"), parts[2] == "No such file or directory",
            !parts[1].contains("/"), !parts[1].contains(" ")
        {
            return String(parts[1])
        }
        return nil
    }

    private static func missingHeader(_ line: String) -> String? {
        guard let start = line.firstRange(of: "fatal error: ")?.upperBound,
            let end = line.firstRange(of: ": No such file or directory")?.lowerBound, start < end
        else { return nil }
        return String(line[start..<end])
    }

    private static let packages = [
        "flex": "flex", "bison": "bison", "bc": "bc", "lz4": "lz4", "lz4c": "lz4", "xz": "xz-utils", "zstd": "zstd",
        "bzip2": "bzip2", "lzop": "lzop", "cpio": "cpio", "perl": "perl", "python3": "python3", "rsync": "rsync",
        "gcc": "gcc", "ld": "binutils", "objcopy": "binutils", "pahole": "dwarves", "ccache": "ccache",
        "openssl": "openssl", "depmod": "kmod", "awk": "gawk", "sed": "sed",
    ]

    private static let headerPackages = [
        ("libelf.h", "libelf-dev"), ("gelf.h", "libelf-dev"), ("openssl/", "libssl-dev"),
        ("curses.h", "libncurses-dev"), ("ncurses", "libncurses-dev"), ("gmp.h", "libgmp-dev"),
        ("gcc-plugin.h", "gcc-plugin-dev"), ("sys/cdefs.h", "libc6-dev"), ("stdio.h", "libc6-dev"),
    ]
}

/// The names of files in messages: the user's own as the user knows them, others relative to the kernel tree.
private struct PathNames {
    let make: KernelMake
    let userFiles: [String: String]

    /// A path in a message, relative to the tree or the output folder. ccache makes absolute paths relative to the
    /// output.
    func treePath(_ path: String) -> String {
        let absolute = make.output.pushing(FilePath(path)).lexicallyNormalized()
        // A module's folder is in neither of the two.
        if userFiles[absolute.string] != nil { return absolute.string }
        for folder in [make.output, make.tree] {
            var relative = absolute
            if relative.removePrefix(folder), !relative.isEmpty { return relative.string }
        }
        return path
    }

    /// A line in which every path is replaced by the user's path.
    func shortened(_ line: String) -> String {
        // A path is a word; a colon, a comma or a quote may follow.
        var result = ""
        var word = ""
        func flush() {
            guard word.contains("/") else {
                result += word
                word = ""
                return
            }
            let name = treePath(word)
            result += userFiles[name] ?? name
            word = ""
        }
        for character in line {
            if " :,'`\"()[]\t".contains(character) {
                flush()
                result.append(character)
            } else {
                word.append(character)
            }
        }
        flush()
        return result
    }

    func mentionsUserFile(_ shortenedLine: String) -> Bool {
        userFiles.values.contains { shortenedLine.contains("\($0):") }
    }
}

/// One of make's short lines: `  CC      init/main.o`.
package struct BuildStep: Equatable {
    /// CC, AS, LD, AR ...
    package var tool: Substring
    /// The target.
    package var target: Substring

    /// Reads a line; nil when it is another kind of line.
    package init?(line: String) {
        guard line.hasPrefix("  "), !line.hasPrefix("   ") else { return nil }
        let words = line.split(separator: " ")
        guard words.count >= 2, words[0].utf8.allSatisfy({ (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) })
        else {
            return nil
        }
        tool = words[0]
        // A module's line reads "CC [M]  drivers/foo.o".
        target = words[1].hasPrefix("[") && words.count > 2 ? words[2] : words[1]
    }

    /// Whether an object of the kernel was compiled or assembled.
    package var isCompilation: Bool { tool == "CC" || tool == "AS" }
    /// Whether the step counts for progress: the bulk of a build, and the parts of the link, which are what an edit
    /// waits for.
    package var isCounted: Bool { isCompilation || ["AR", "LD", "NM", "KSYMS"].contains(tool) }
    /// Whether make does it each time, even when everything is up to date.
    package var isRoutine: Bool {
        ["CALL", "DESCEND", "INSTALL", "LINK"].contains(tool) || (tool == "GEN" && target == "Makefile")
    }
}
