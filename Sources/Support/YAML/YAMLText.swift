// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Yams

/// Parses the YAML of a file, and names the place and the likely cause of a mistake in it.
package enum YAMLText {
    /// The root of a document.
    ///
    /// - Parameter file: The file's name in messages.
    /// - Returns: Nil for a text without a document.
    /// - Throws: `Failure` (`usage`) with file, line and column.
    package static func compose(_ text: String, file: String) throws(Failure) -> Node? {
        do {
            return try Yams.compose(yaml: text)
        } catch let error as YamlError {
            throw failure(for: error, in: text, file: file)
        } catch {
            throw Failure(.usage, "\(file) cannot be read", details: "\(error)")
        }
    }

    /// `key: value` for a line with `key:value`, which YAML reads as one word.
    package static func gluedKey(in line: String) -> String? {
        guard let match = line.firstMatch(of: /^\s*(?:- )?([a-z][a-z0-9-]*):([^\s:\/].*)$/) else { return nil }
        return "\(match.1): \(match.2)"
    }

    /// A parser's error with its place, in the form of all other errors.
    private static func failure(for error: YamlError, in text: String, file: String) -> Failure {
        func at(_ mark: Mark, _ message: String) -> Failure {
            Failure(.usage, "\(file):\(mark.line):\(mark.column): \(message)")
        }
        // Carriage returns are not part of a line; "\r\n" is one Character.
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map(String.init)
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return cause(near: mark, in: lines, file: file) ?? at(mark, "this is not valid YAML: \(problem)")
        case .duplicatedKeysInMapping(let keys, let context):
            let names = keys.joined(separator: ", ")
            // In a map of lines the second place is the next line with the key and the map's indentation.
            let indent = String(repeating: " ", count: max(0, context.mark.column - 1))
            let places = lines.indices.filter { index in
                index + 1 >= context.mark.line && keys.contains { lines[index].hasPrefix("\(indent)\($0):") }
            }
            if places.count > 1 {
                return Failure(
                    .usage,
                    "\(file):\(places[1] + 1):\(context.mark.column): the key \(names) occurs twice in one map, first on "
                        + "line \(places[0] + 1)")
            }
            let inBraces = keys.lazy.compactMap { key in
                FlowMap(lines: lines, from: context.mark).places(of: key)
            }.first { $0.count > 1 }
            guard let inBraces else { return at(context.mark, "the key \(names) occurs twice in one map") }
            return Failure(
                .usage,
                "\(file):\(inBraces[1].line):\(inBraces[1].column): the key \(names) occurs twice in one map, first on "
                    + "line \(inBraces[0].line), column \(inBraces[0].column)")
        default:
            return Failure(.usage, "\(file) is not valid YAML", details: "\(error)")
        }
    }

    /// The probable mistake at or above the place where the parser stopped.
    private static func cause(near mark: Mark, in lines: [String], file: String) -> Failure? {
        for number in [mark.line, mark.line - 1] where lines.indices.contains(number - 1) {
            let text = lines[number - 1]
            let indent = text.prefix { $0 == " " || $0 == "\t" }
            if let tab = indent.firstIndex(of: "\t") {
                let column = indent.distance(from: indent.startIndex, to: tab) + 1
                return Failure(
                    .usage, "\(file):\(number):\(column): a tab indents this line; YAML requires blanks",
                    nextStep: "replace the tab by blanks, as many as the lines beside it have")
            }
            if let better = gluedKey(in: text) {
                return Failure(.usage, "\(file):\(number):1: write a blank after the colon: \(better)")
            }
        }
        return nil
    }
}

/// A map in braces, from one of its keys or its opening brace on.
private struct FlowMap {
    /// A place in a file, both from 1.
    struct Place {
        var line: Int
        var column: Int
    }

    let lines: [String]
    let start: Place

    init(lines: [String], from mark: Mark) {
        self.lines = lines
        start = Place(line: mark.line, column: mark.column)
    }

    /// Where a key stands in the map itself, not in a map within it.
    func places(of key: String) -> [Place] {
        var found: [Place] = []
        var depth = 0
        var quote: Character?
        var isKeyNext = true
        for number in lines.indices.dropFirst(start.line - 1) {
            let line = Array(lines[number])
            var index = number + 1 == start.line ? start.column - 1 : 0
            if number + 1 == start.line, line.indices.contains(index), line[index] == "{" { index += 1 }
            while index < line.count {
                let character = line[index]
                if let open = quote {
                    if character == open { quote = nil }
                } else if character == "#", index > 0, line[index - 1] == " " {
                    break
                } else if isKeyNext, depth == 0, let width = width(of: key, in: line, at: index) {
                    found.append(Place(line: number + 1, column: index + 1))
                    index += width
                    isKeyNext = false
                    continue
                } else {
                    switch character {
                    case "\"", "'": quote = character
                    case "{", "[": depth += 1
                    case "}", "]":
                        depth -= 1
                        if depth < 0 { return found }
                    default: break
                    }
                    isKeyNext = character == "," || (isKeyNext && character == " ")
                }
                index += 1
            }
        }
        return found
    }

    /// The characters of a key with its colon, plain or in quotes; nil when another text is there.
    private func width(of key: String, in line: [Character], at index: Int) -> Int? {
        for form in [key, "\"\(key)\"", "'\(key)'"] where line[index...].starts(with: "\(form):") {
            return form.count + 1
        }
        return nil
    }
}
