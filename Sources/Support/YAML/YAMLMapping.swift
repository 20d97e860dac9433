// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Yams

/// A mapping of a YAML file with known keys. Every accessor refuses a value of another type and names the file and
/// line.
package struct YAMLMapping {
    private let values: [String: Node]
    private let marks: [String: Int]
    private let file: String
    /// The line on which the mapping begins, from 1.
    package let line: Int

    /// Parses a file whose top level is a mapping with some of `keys`.
    ///
    /// - Throws: `Failure` (`usage`).
    package init(text: String, file: String, keys: [String]) throws {
        guard let node = try YAMLText.compose(text, file: file) else {
            throw Failure(.usage, "\(file):1: the file is empty")
        }
        try self.init(node, file: file, keys: keys)
    }

    private init(_ node: Node, file: String, keys: [String]) throws {
        self.file = file
        line = node.mark?.line ?? 1
        guard case .mapping(let mapping) = node else {
            let better = node.scalar.flatMap { YAMLText.gluedKey(in: $0.string) }
            throw Failure(
                .usage,
                "\(file):\(line): a mapping with the keys \(keys.joined(separator: ", ")) is needed"
                    + (better.map { "; write a blank after the colon: \($0)" } ?? ""))
        }
        var values: [String: Node] = [:]
        var marks: [String: Int] = [:]
        for (key, value) in mapping {
            let place = "\(file):\(key.mark?.line ?? line)"
            guard let name = key.scalar?.string, keys.contains(name) else {
                let word = key.scalar?.string ?? ""
                throw Failure(
                    .usage, "\(place): unknown key \(word)\(Self.advice(on: word, keys: keys))",
                    details: "allowed: \(keys.joined(separator: ", "))")
            }
            guard values.updateValue(value, forKey: name) == nil else {
                throw Failure(.usage, "\(place): the key \(name) is given twice")
            }
            marks[name] = key.mark?.line
        }
        self.values = values
        self.marks = marks
    }

    private static func advice(on word: String, keys: [String]) -> String {
        YAMLText.gluedKey(in: word).map { "; write a blank after the colon: \($0)" } ?? guess(for: word, among: keys)
    }

    /// An error about the value of `key`, or about the mapping.
    package func failure(_ message: String, at key: String? = nil) -> Failure {
        Failure(.usage, "\(file):\(key.flatMap { marks[$0] } ?? line): \(message)")
    }

    package func has(_ key: String) -> Bool { values[key] != nil }

    package func string(_ key: String) throws -> String? {
        guard let node = values[key] else { return nil }
        return try string(node, key: key)
    }

    private func string(_ node: Node, key: String) throws -> String {
        guard let text = node.scalar?.string, !text.isEmpty else { throw wrongType(node, key, "a text") }
        return text
    }

    package func strings(_ key: String) throws -> [String]? {
        guard let node = values[key] else { return nil }
        guard case .sequence(let items) = node else { throw wrongType(node, key, "a list of texts") }
        return try items.map { try string($0, key: key) }
    }

    package func isBoolean(_ key: String) -> Bool { values[key]?.bool != nil }

    package func boolean(_ key: String) throws -> Bool? {
        guard let node = values[key] else { return nil }
        guard let value = node.bool ?? ["on": true, "yes": true, "off": false, "no": false][node.scalar?.string ?? ""]
        else { throw wrongType(node, key, "true or false") }
        return value
    }

    /// An integer, or nil when the value is a mapping and `orMapping` allows one.
    package func integer(_ key: String, orMapping: Bool = false) throws -> Int? {
        guard let node = values[key] else { return nil }
        if orMapping, case .mapping = node { return nil }
        guard let value = node.int, value >= 0 else {
            throw wrongType(node, key, orMapping ? "a number, or a mapping from a kernel's version to one" : "a number")
        }
        return value
    }

    /// A mapping from kernel versions such as "6.1" to integers.
    package func integersByKey(_ key: String) throws -> [String: Int] {
        guard let node = values[key], case .mapping(let mapping) = node else { return [:] }
        var numbers: [String: Int] = [:]
        for (name, value) in mapping {
            guard let version = name.scalar?.string, version.split(separator: ".").count == 2,
                version.split(separator: ".").allSatisfy({ Int($0) != nil })
            else { throw wrongType(name, key, "a kernel's VERSION.PATCHLEVEL such as \"6.1\"") }
            guard let number = value.int, number >= 0 else { throw wrongType(value, key, "a number") }
            numbers[version] = number
        }
        return numbers
    }

    package func mapping(_ key: String, keys: [String]) throws -> YAMLMapping? {
        try values[key].map { try YAMLMapping($0, file: file, keys: keys) }
    }

    package func mappings(_ key: String, keys: [String]) throws -> [YAMLMapping]? {
        guard let node = values[key] else { return nil }
        guard case .sequence(let items) = node else { throw wrongType(node, key, "a list") }
        return try items.map { try YAMLMapping($0, file: file, keys: keys) }
    }

    private func wrongType(_ node: Node, _ key: String, _ wanted: String) -> Failure {
        var advice = ""
        if wanted.hasPrefix("a list") {
            switch node {
            case .scalar(let scalar) where !scalar.string.isEmpty: advice = "; for example \(key): [\(scalar.string)]"
            case .mapping: advice = "; write a dash before the first key of each entry"
            default: break
            }
        }
        return Failure(.usage, "\(file):\(node.mark?.line ?? marks[key] ?? line): \(key) must be \(wanted)\(advice)")
    }
}
