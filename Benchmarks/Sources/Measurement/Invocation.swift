// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A command to measure.
public struct Invocation: Sendable {
    /// The program and its arguments; a name without a slash is looked up on PATH.
    public var words: [String]
    /// Where it runs.
    public var directory: String
    /// What it has in its environment beside ours.
    public var environment: [String: String]
    /// Seconds until it is ended.
    public var limit: Double
    /// What is watched.
    public var watch: Watch

    /// What is measured of a command beside its time.
    public enum Watch: Sendable {
        case nothing
        /// How long the first guest among its descendants lives.
        case guest
        /// What it and its descendants hold in memory at most. The samples cost time, so a command is watched so or
        /// timed, not both.
        case memory
    }

    /// Describes a command.
    public init(
        _ words: [String], in directory: String, environment: [String: String] = [:], limit: Double = 120,
        watch: Watch = .nothing
    ) {
        self.words = words
        self.directory = directory
        self.environment = environment
        self.limit = limit
        self.watch = watch
    }

    /// The command as it could be pasted into a shell.
    ///
    /// - Parameter names: The replacements of this machine's paths; longer paths first.
    public func text(_ names: [(path: String, name: String)]) -> String {
        let variables = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\(Self.quoted($0.value))" }
        var text = (variables + words.map(Self.quoted)).joined(separator: " ")
        for (path, name) in names where !path.isEmpty { text = text.replacingOccurrences(of: path, with: name) }
        return text
    }

    static func quoted(_ word: String) -> String {
        let isPlain = word.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
            default: "-_./=:,+@%".utf8.contains(byte)
            }
        }
        if isPlain, !word.isEmpty { return word }
        return "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}
