// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import SystemPackage
import Yams

/// Edits a project file's text without changing the rest, including comments and layout.
///
/// The text is edited at the positions that the YAML parser reports, and then parsed again: when the result is not the
/// expected one, nothing is written and the user is asked to make the edit.
package struct ProjectFileEditor {
    package let file: FilePath
    package private(set) var text: String

    /// Creates an editor for the text of a project file.
    package init(file: FilePath, text: String) {
        self.file = file
        self.text = text
    }

    /// Adds a patch source to the project's list and to the list of every profile that has one.
    ///
    /// - Parameter path: The source, relative to the file.
    /// - Throws: `Failure` (`usage`) when the file's layout cannot be edited.
    package mutating func addPatchSource(_ path: String) throws {
        try edit("kernel: patches:", adding: path, key: "patches", item: path) { ($0?["kernel"], "kernel") }
    }

    /// Adds a package of suites to the project's tests.
    ///
    /// - Parameter path: The package, relative to the file.
    /// - Throws: `Failure` (`usage`) when the file's layout cannot be edited.
    package mutating func addTestPackage(_ path: String) throws {
        let old = try Project.load(text: text, file: file, profile: nil, overrides: [])
        var lines = Self.lines(text)
        if let tests = try root()["tests"] {
            try append("{swift: \(path)}", to: tests, in: &lines)
        } else {
            lines += ["", "tests:", "  - swift: \(path)"]
        }
        text = lines.joined(separator: "\n") + "\n"
        let new = try? Project.load(text: text, file: file, profile: nil, overrides: [])
        guard let new, new.tests.dropLast() == old.tests[...], new.kernel == old.kernel else {
            throw byHand("tests:", "- swift: \(path)")
        }
    }

    /// Adds a kernel module to the project's modules, and a program with its tests to the project's tests.
    ///
    /// - Parameters:
    ///   - path: The module's folder, relative to the file; its name is the module's.
    ///   - program: The C file of the program, which prints KTAP, relative to the file.
    ///   - name: The program's name in reports.
    /// - Throws: `Failure` (`usage`) when the file's layout cannot be edited.
    package mutating func addModule(_ path: String, testedBy program: String, named name: String) throws {
        let old = try Project.load(text: text, file: file, profile: nil, overrides: [])
        let module = FilePath(path).lastComponent?.string ?? path
        try add("{path: \(path)}", toListAt: "modules")
        try add("{c: \(program), name: \(name), protocol: ktap, modules: [\(module)]}", toListAt: "tests")
        let new = try? Project.load(text: text, file: file, profile: nil, overrides: [])
        guard let new, new.modules.dropLast() == old.modules[...], new.modules.last?.name == module,
            new.tests.dropLast() == old.tests[...], new.moduleNames(ofTest: old.tests.count) == [module],
            new.kernel == old.kernel
        else { throw byHand("modules", "- {path: \(path)}") }
    }

    /// Adds an item to a list of the file, or begins the list at the end.
    private mutating func add(_ item: String, toListAt key: String) throws {
        var lines = Self.lines(text)
        if let list = try root()[key] {
            try append(item, to: list, in: &lines)
        } else {
            lines += ["", "\(key):", "  - \(item)"]
        }
        text = lines.joined(separator: "\n") + "\n"
    }

    /// Removes a patch source from the project's list and from those of the profiles, where it is on a separate line.
    ///
    /// - Parameter path: The source's folder or file.
    /// - Throws: `Failure` (`usage`) when the file's layout cannot be edited.
    package mutating func removePatchSource(_ path: FilePath) throws {
        let folder = file.removingLastComponent()
        let profiles = try root()["profiles"]?.mapping?.keys.compactMap(\.string) ?? []
        let before = try ([nil] + profiles).map { try patches(profile: $0) }
        let lines = Self.lines(text).filter { line in
            let words = line.split(separator: " ").prefix { !$0.hasPrefix("#") }
            guard words.count == 2, words[0] == "-" else { return true }
            let item = words[1].filter { $0 != "\"" && $0 != "'" }
            return folder.pushing(FilePath(item)).lexicallyNormalized() != path.lexicallyNormalized()
        }
        text = lines.joined(separator: "\n") + "\n"
        for (profile, old) in zip([nil] + profiles, before) {
            let new = (try? patches(profile: profile)) ?? []
            guard new == old.filter({ $0 != path }), !new.isEmpty || old.isEmpty else {
                throw Failure(
                    .usage, "\(file) is laid out in a way that kbuild cannot edit, or names no other patch",
                    nextStep: "remove \(path) under `kernel: patches:` of the project and its profiles")
            }
        }
    }

    private func root() throws -> Node {
        let node = (try? Yams.compose(yaml: text)) ?? nil
        guard let node else { throw byHand("the file", "kernel: {patches: []}") }
        return node
    }

    private func byHand(_ key: String, _ what: String) -> Failure {
        Failure(
            .usage, "\(file) is laid out in a way that kbuild cannot edit",
            nextStep: "add \(what) under `\(key)` of the project and its profiles, then try again")
    }

    private mutating func edit(
        _ title: String, adding path: String, key: String, item: String,
        _ place: (Node?) -> (Node?, String)
    ) throws {
        let root = try root()
        let profiles = root["profiles"]?.mapping?.keys.compactMap(\.string) ?? []
        let before = try ([nil] + profiles).map { try patches(profile: $0) }
        guard !before[0].contains(where: { $0.string.hasSuffix("/" + path) }) else { return }

        var lines = Self.lines(text)
        var targets = [root["kernel"]?[key]]
        targets += profiles.map { root["profiles"]?[$0]?["kernel"]?[key] }
        // From the end, so that the marks above stay valid; an alias has the marks of its anchor.
        var seen: Set<String> = []
        let nodes = targets.compactMap { $0 }.filter {
            seen.insert("\($0.mark?.line ?? 0):\($0.mark?.column ?? 0)").inserted
        }
        .sorted { ($0.mark?.line ?? 0, $0.mark?.column ?? 0) > ($1.mark?.line ?? 0, $1.mark?.column ?? 0) }
        for node in nodes { try append(item, to: node, in: &lines) }
        if root["kernel"]?[key] == nil {
            if root["kernel"] == nil {
                lines += ["", "kernel:", "  \(key):", "    - \(item)"]
            } else if let line = lines.firstIndex(where: { $0.hasPrefix("kernel:") }) {
                let next = lines[(line + 1)...].first { !$0.allSatisfy { $0 == " " } && !$0.hasPrefix("#") } ?? ""
                let indent = String(next.prefix { $0 == " " })
                lines.insert("\(indent)\(key):", at: line + 1)
                lines.insert("\(indent)  - \(item)", at: line + 2)
            }
        }
        text = lines.joined(separator: "\n") + "\n"

        let added = file.removingLastComponent().pushing(FilePath(path)).lexicallyNormalized()
        for (profile, old) in zip([nil] + profiles, before) {
            let new = try? patches(profile: profile)
            guard new == old + [added] else { throw byHand(title, "- \(path)") }
        }
    }

    private func patches(profile: String?) throws -> [FilePath] {
        try Project.load(text: text, file: file, profile: profile, overrides: []).kernel.patches
    }

    private static func lines(_ text: String) -> [String] {
        var lines = text.textLines(keepsEmpty: true).map(String.init)
        while lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }

    /// Adds an item to a list in the list's style.
    private func append(_ item: String, to node: Node, in lines: inout [String]) throws {
        guard case .sequence(let sequence) = node, let mark = node.mark, lines.indices.contains(mark.line - 1) else {
            throw byHand("the list", "- \(item)")
        }
        // The parser does not report the style. An anchor or a tag may precede the bracket.
        let start = lines[mark.line - 1].dropFirst(mark.column - 1).split(separator: " ")
            .first { !$0.hasPrefix("&") && !$0.hasPrefix("!") }
        if start?.hasPrefix("[") == true {
            try appendInFlow(item, isEmpty: sequence.isEmpty, from: mark, in: &lines)
            return
        }
        guard let last = sequence.last, let end = Self.lastLine(of: last), let first = sequence.first?.mark?.line,
            let dash = lines[first - 1].firstIndex(of: "-")
        else { throw byHand("the list", "- \(item)") }
        lines.insert(String(lines[first - 1][..<dash]) + "- \(item)", at: end)
    }

    /// The last line on which a part of a node begins; multi-line scalars are detected when the result is parsed.
    private static func lastLine(of node: Node) -> Int? {
        switch node {
        case .mapping(let mapping):
            mapping.flatMap { [lastLine(of: $0.key), lastLine(of: $0.value)] }.compactMap { $0 }.max()
                ?? node.mark?.line
        case .sequence(let sequence): sequence.compactMap(lastLine).max() ?? node.mark?.line
        default: node.mark?.line
        }
    }

    /// Inserts an item before the closing bracket of a list.
    private func appendInFlow(_ item: String, isEmpty: Bool, from mark: Mark, in lines: inout [String]) throws {
        var depth = 0
        var quote: Character?
        for line in (mark.line - 1)..<lines.count {
            var characters = Array(lines[line])
            var index = line == mark.line - 1 ? mark.column - 1 : 0
            while index < characters.count {
                let character = characters[index]
                if let open = quote {
                    if character == open { quote = nil }
                } else if character == "\"" || character == "'" {
                    quote = character
                } else if character == "#", index == 0 || characters[index - 1] == " " {
                    break
                } else if character == "[" || character == "{" {
                    depth += 1
                } else if character == "]" || character == "}" {
                    depth -= 1
                    if depth == 0 {
                        let isAlone = characters[..<index].allSatisfy { $0 == " " }
                        if isAlone, !isEmpty {
                            // The bracket is on a separate line, so the item is too.
                            let above = lines[line - 1]
                            let indent = String(above.prefix { $0 == " " })
                            if !above.hasSuffix(",") { lines[line - 1] += "," }
                            lines.insert(indent + item, at: line)
                            return
                        }
                        var end = index
                        while end > 0, characters[end - 1] == " " { end -= 1 }
                        let hasComma = end > 0 && characters[end - 1] == ","
                        characters.insert(contentsOf: isEmpty ? item : (hasComma ? " " : ", ") + item, at: end)
                        lines[line] = String(characters)
                        return
                    }
                }
                index += 1
            }
        }
        throw byHand("the list", "- \(item)")
    }
}
