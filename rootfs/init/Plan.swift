// SPDX-License-Identifier: Apache-2.0
/// The programs for PID 1, read from the file `plan` on the share of test programs.
///
/// The file's lines: `kbuild-plan 1`, then for each program `program KIND SECONDS`, its `module NAME PATH PARAMETERS`,
/// `arg TEXT` and `env NAME=VALUE` lines, and `end`; last `done`. A plan without `done` is truncated and is refused.
struct Plan {
    /// How a program is connected to the host.
    enum Kind {
        /// It writes Swift Testing's event stream to a descriptor.
        case swift
        /// Its output is forwarded.
        case output
        /// The host is its terminal; see Shell.swift.
        case terminal
        /// Its standard streams are connected to the host; see Shell.swift.
        case streams

        init?(_ word: String) {
            switch word {
            case "swift": self = .swift
            case "output": self = .output
            case "terminal": self = .terminal
            case "streams": self = .streams
            default: return nil
            }
        }
    }

    /// A kernel module that a program needs.
    struct Module {
        var name: String
        var path: String
        var parameters: String
    }

    struct Program {
        var kind: Kind
        /// The time limit in seconds; 0 for no limit.
        var seconds: Int
        var arguments: [String] = []
        var environment: [String] = []
        /// Each after those that it depends on.
        var modules: [Module] = []
    }

    var programs: [Program] = []

    /// Reads a plan; nil when it is damaged or of another version.
    init?(_ bytes: [UInt8]) {
        let lines = bytes.lines()
        guard lines.first?.text() == "kbuild-plan 1", lines.last?.text() == "done" else { return nil }
        var program: Program?
        for line in lines.dropFirst().dropLast() {
            let space = line.firstIndex(of: UInt8(ascii: " ")) ?? line.count
            let keyword = Array(line[..<space]).text()
            let rest = Array(line[min(space + 1, line.count)...]).text()
            if keyword == "program" {
                let fields = words(line)
                guard program == nil, fields.count == 3, let kind = Kind(fields[1]), let seconds = Int(fields[2])
                else { return nil }
                program = Program(kind: kind, seconds: seconds)
            } else if keyword == "arg", program != nil {
                program?.arguments.append(rest)
            } else if keyword == "module", program != nil {
                let fields = words(line)
                guard fields.count >= 3 else { return nil }
                program?.modules.append(
                    Module(
                        name: fields[1], path: fields[2], parameters: fields.dropFirst(3).joined(separator: " ")))
            } else if keyword == "env", program != nil {
                program?.environment.append(rest)
            } else if keyword == "end", let finished = program, !finished.arguments.isEmpty {
                programs.append(finished)
                program = nil
            } else {
                return nil
            }
        }
        guard program == nil else { return nil }
    }
}
