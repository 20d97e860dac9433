// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A tool and its arguments, as a value that can be compared, printed and tested without running it.
public struct Command: Sendable, Hashable {
    /// The executable: a name to look up on `PATH`, or a path when it holds a slash.
    public var tool: String
    /// The arguments, without the executable's own name.
    public var arguments: [String]
    /// Variables set on top of the inherited environment; nil removes one.
    public var environment: [String: String?]
    /// Where the command runs; nil for kbuild's own working directory.
    public var workingDirectory: FilePath?
    /// The process's descriptors 3, 4 and so on: connected Unix sockets, and files open for reading.
    public var descriptors: [FilePath]
    /// The filter of system calls, passed to the process as BPF in the next descriptor after `descriptors`; nil for
    /// none.
    public var systemCallFilter: SystemCallFilter?

    /// The number of that descriptor.
    var systemCallFilterDescriptor: Int { 3 + descriptors.count }

    /// Creates a command.
    public init(
        _ tool: String, _ arguments: [String] = [], environment: [String: String?] = [:],
        workingDirectory: FilePath? = nil, descriptors: [FilePath] = [],
        systemCallFilter: SystemCallFilter? = nil
    ) {
        self.tool = tool
        self.arguments = arguments
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.descriptors = descriptors
        self.systemCallFilter = systemCallFilter
    }
}

extension Command: CustomStringConvertible {
    /// The command, quoted for a POSIX shell.
    public var description: String {
        var words = environment.sorted { $0.key < $1.key }.compactMap { name, value in
            value.map { "\(name)=\(Command.quoted($0))" }
        }
        let unset = environment.filter { $0.value == nil }.keys.sorted()
        if !unset.isEmpty { words = ["env"] + unset.map { "-u \($0)" } + words }
        words += ([tool] + arguments).map(Command.quoted)
        let line = words.joined(separator: " ")
        return workingDirectory.map { "(cd \(Command.quoted($0.string)) && \(line))" } ?? line
    }

    /// `word`, quoted for a POSIX shell if necessary.
    public static func quoted(_ word: String) -> String {
        let plain = word.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "-_./=,:+@%".utf8.contains(byte)
            }
        }
        if plain, !word.isEmpty { return word }
        return "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}
