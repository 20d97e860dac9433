// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import SystemPackage
import TextInput

/// The value of a kernel configuration option.
public enum ConfigValue: Sendable, Hashable, CustomStringConvertible {
    /// Not set, or `n`.
    case no
    /// `m`: built as a module.
    case module
    /// `y`: built in.
    case yes
    /// A text, without its quotes.
    case string(String)
    /// A decimal or hexadecimal number, as it was written.
    case number(String)

    /// Parses the text after `=`; nil when it has none of the forms.
    init?(_ text: Substring) {
        switch text {
        case "y": self = .yes
        case "m": self = .module
        case "n": self = .no
        default:
            if text.hasPrefix("\"") {
                guard let string = Self.unquoted(text) else { return nil }
                self = .string(string)
            } else if Self.integer(text) != nil {
                self = .number(String(text))
            } else {
                return nil
            }
        }
    }

    private static func unquoted(_ text: Substring) -> String? {
        var result = ""
        var isEscaped = false
        var rest = text.dropFirst()
        while let character = rest.popFirst() {
            if isEscaped {
                result.append(character)
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character == "\"" {
                return rest.isEmpty ? result : nil
            } else {
                result.append(character)
            }
        }
        return nil
    }

    static func integer(_ text: some StringProtocol) -> Int64? {
        let isNegative = text.hasPrefix("-")
        let digits = text.dropFirst(isNegative ? 1 : 0)
        let isHexadecimal = digits.hasPrefix("0x") || digits.hasPrefix("0X")
        let body = digits.dropFirst(isHexadecimal ? 2 : 0)
        guard let first = body.first, first.isHexDigit else { return nil }
        // A hexadecimal option may use all 64 bits.
        guard let magnitude = UInt64(body, radix: isHexadecimal ? 16 : 10) else { return nil }
        let value = Int64(bitPattern: magnitude)
        return isNegative ? 0 &- value : value
    }

    /// The value as `.config` has it after `=`; "n" for an option that is not set.
    public var description: String {
        switch self {
        case .no: "n"
        case .module: "m"
        case .yes: "y"
        case .string(let text):
            "\"" + text.map { "\"\\".contains($0) ? "\\\($0)" : String($0) }.joined() + "\""
        case .number(let text): text
        }
    }

    /// Whether kconfig regards two values as the same: 0x10 and 16 are.
    func agrees(with other: ConfigValue) -> Bool {
        if case .number(let own) = self, case .number(let its) = other {
            return Self.integer(own) == Self.integer(its)
        }
        return self == other
    }
}

/// One line of a fragment: an option and its requested value.
public struct ConfigEntry: Sendable, Hashable {
    /// The option without its `CONFIG_` prefix, as Kconfig files write it.
    public var name: String
    /// The requested value.
    public var value: ConfigValue
    /// The fragment's name, for messages.
    public var file: String
    /// The line in it, counted from 1.
    public var line: Int
    /// Whether a kernel without the option is accepted: a fragment of the kernel's own tree is for several
    /// architectures.
    public var isOptional = false
    /// What kbuild does for the option beside asking for it.
    public var support = Support.none

    /// What kbuild does for an option beside asking for it.
    public enum Support: Sendable, Hashable {
        /// Nothing: what the option depends on is the user's to ask for.
        case none
        /// Adds what the option depends on.
        case dependencies
        /// The same, and tells the user of the option where it changes the base.
        case listed
    }

    /// The line as `.config` has it.
    public var text: String {
        value == .no ? "# CONFIG_\(name) is not set" : "CONFIG_\(name)=\(value)"
    }

    var place: String { line > 0 ? "\(file):\(line)" : file }
}

/// A kernel configuration fragment: some options and their values.
public struct ConfigFragment: Sendable, Hashable {
    /// The fragment's name, for messages.
    public var file: String
    /// Its options, in its order.
    public var entries: [ConfigEntry]

    /// Reads a fragment: `CONFIG_NAME=VALUE`, `# CONFIG_NAME is not set`, comments and empty lines.
    ///
    /// - Throws: `Failure` (`usage`) at the first line that is none of these. kconfig itself would only warn.
    public init(parsing text: String, file: String) throws(Failure) {
        self.file = file
        entries = []
        let text = try TextInput(file, as: "a configuration fragment").text(decoding: Array(text.utf8))
        var line = 0
        for raw in text.textLines(keepsEmpty: true) {
            line += 1
            let content = raw.trimmingBlanks
            if content.isEmpty { continue }
            if content.hasPrefix("#") {
                if let name = try Self.unsetName(content, place: "\(file):\(line)") {
                    entries.append(ConfigEntry(name: name, value: .no, file: file, line: line))
                }
                continue
            }
            guard content.hasPrefix("CONFIG_"), let equals = content.firstIndex(of: "=") else {
                throw Self.malformed(content, place: "\(file):\(line)")
            }
            let name = content[..<equals].dropFirst("CONFIG_".count)
            guard Self.isName(name), let value = ConfigValue(content[content.index(after: equals)...]) else {
                throw Self.malformed(content, place: "\(file):\(line)")
            }
            entries.append(ConfigEntry(name: String(name), value: value, file: file, line: line))
        }
    }

    /// Reads the fragment in a file.
    ///
    /// - Parameter name: The name in messages; nil for its path.
    /// - Throws: `Failure` (`usage`) when it cannot be read, or as `init(parsing:file:)`.
    public init(contentsOf path: FilePath, name: String? = nil) throws(Failure) {
        let name = name ?? path.string
        try self.init(parsing: try TextInput(name, as: "a configuration fragment").text(of: path), file: name)
    }

    private static func unsetName(_ content: Substring, place: String) throws(Failure) -> String? {
        let words = content.dropFirst().split { $0 == " " || $0 == "\t" }
        guard let first = words.first, first.hasPrefix("CONFIG_") else { return nil }
        let name = first.dropFirst("CONFIG_".count)
        if words.dropFirst() == ["is", "not", "set"], isName(name) { return String(name) }
        // An invalid form of this comment would be silently ignored.
        if words.count <= 5, words.contains("not") || words.contains("unset") { throw malformed(content, place: place) }
        return nil
    }

    private static func isName(_ name: Substring) -> Bool {
        !name.isEmpty
            && name.utf8.allSatisfy { byte in
                byte == UInt8(ascii: "_") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
                    || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
            }
    }

    private static func malformed(_ content: Substring, place: String) -> Failure {
        Failure(
            .usage, "\(place): not a configuration line: \(content)",
            nextStep: "write CONFIG_NAME=y, =m, =n, =123, =0x1f or =\"text\", or '# CONFIG_NAME is not set'; "
                + "a comment goes on a line of its own")
    }
}

extension ConfigFragment {
    /// The fragment with optional entries: an option that this kernel cannot have is not an error, and modules are
    /// built in, because the guest has no modules.
    public var optional: ConfigFragment {
        var fragment = self
        fragment.entries = entries.map { entry in
            var entry = entry
            entry.isOptional = true
            if entry.value == .module { entry.value = .yes }
            return entry
        }
        return fragment
    }

    /// The fragment with the options that its own depend on, which kbuild adds where they can be set.
    ///
    /// - Parameter isListed: Whether to list the options that the base does not have, because the user did not request
    ///   them one by one.
    public func supported(isListed: Bool) -> ConfigFragment {
        var fragment = self
        for index in entries.indices { fragment.entries[index].support = isListed ? .listed : .dependencies }
        return fragment
    }

    /// The option that kconfig itself sets in each configuration that it writes.
    static let compilerOption = "CC_VERSION_TEXT"

    /// Whether the file is a whole configuration that kconfig wrote, not a list of requests.
    public var isWholeConfiguration: Bool { entries.contains { $0.name == Self.compilerOption } }
}

/// The request for a configuration: merged fragments, and their base.
public struct ConfigRequest: Sendable, Hashable {
    /// The base of the fragments.
    public var base = ConfigBase.smallest
    /// One entry for each option, in the order in which the options first appear.
    public var entries: [ConfigEntry]
    /// For the user: each option to which two places give different values, and the value that is used.
    public var notes: [String]

    /// Merges fragments: of two values for one option, the later is used.
    public static func merge(_ fragments: [ConfigFragment], base: ConfigBase = .smallest) -> ConfigRequest {
        var entries: [ConfigEntry] = []
        var positions: [String: Int] = [:]
        var notes: [String] = []
        for entry in fragments.flatMap(\.entries) {
            guard let position = positions[entry.name] else {
                positions[entry.name] = entries.count
                entries.append(entry)
                continue
            }
            let earlier = entries[position]
            // A required option stays required.
            if entry.isOptional, !earlier.isOptional { continue }
            if !earlier.value.agrees(with: entry.value) {
                notes.append(
                    "CONFIG_\(entry.name)=\(entry.value) (\(entry.place)) overrides =\(earlier.value) "
                        + "(\(earlier.place))")
            }
            entries[position] = entry
        }
        return ConfigRequest(base: base, entries: entries, notes: notes)
    }

    /// The request as lines of a `.config`, with comments for everything that is not an option: another base than the
    /// smallest, and the names of optional options.
    public var text: String {
        base.keyLine
            + entries.map { entry in
                (entry.isOptional ? "# where the kernel can:\n" : "")
                    + (entry.support == .none ? "" : "# with what it depends on:\n") + entry.text + "\n"
            }.joined()
    }

    /// Adds options that others depend on, and values that remove obstacles.
    mutating func add(_ prerequisites: [String], _ obstacles: [ConfigObstacle]) {
        let file = "added by kbuild"
        entries += prerequisites.map {
            ConfigEntry(name: $0, value: .yes, file: file, line: 0, isOptional: true, support: .listed)
        }
        entries += obstacles.map {
            ConfigEntry(name: $0.option, value: $0.harmless, file: file, line: 0, isOptional: true)
        }
    }
}

extension ConfigRequest {
    /// For the user: which options of the base kbuild has set on its own, and to what.
    ///
    /// - Parameters:
    ///   - base: The base before the request was merged into it.
    ///   - config: The result of both.
    func changes(of base: ConfigFile, to config: ConfigFile) -> [String] {
        var files: [String] = []
        var lines: [String: [String]] = [:]
        for entry in entries where entry.support == .listed && !base[entry.name].agrees(with: config[entry.name]) {
            let before = base[entry.name]
            if lines[entry.file] == nil { files.append(entry.file) }
            lines[entry.file, default: []].append(
                "CONFIG_\(entry.name)=\(config[entry.name])" + (before == .no ? "" : " (it was \(before))"))
        }
        return files.map { file in
            "\(file): set in \(self.base.name): \(lines[file, default: []].joined(separator: ", "))"
        }
    }
}

/// The values in a `.config` that kconfig wrote.
package struct ConfigFile: Sendable {
    /// By option, without the prefix; a missing option is not set.
    package var values: [String: ConfigValue] = [:]

    package init(parsing text: String) {
        for line in text.textLines() where line.hasPrefix("CONFIG_") {
            guard let equals = line.firstIndex(of: "=") else { continue }
            let name = line[..<equals].dropFirst("CONFIG_".count)
            values[String(name)] = ConfigValue(line[line.index(after: equals)...])
        }
    }

    subscript(name: String) -> ConfigValue { values[name] ?? .no }
}
