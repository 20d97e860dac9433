// SPDX-License-Identifier: Apache-2.0
import KTAP
import ResultsModel

/// The results of a test of the Linux Test Project: its lines, and the bits of its exit code.
///
/// The words and bits are those of LTP's include/tst_res_flags.h. A line is `FILE:LINE: TFAIL: TEXT` of the C
/// interface, `NAME 1 TFAIL: TEXT` of the shell's, or `NAME 1 TFAIL : FILE:LINE: TEXT` of the one before 2016.
struct LTPResults {
    /// The kinds of result, with the bit of each in the exit code.
    enum Kind: String, CaseIterable {
        case passed = "TPASS"
        case failed = "TFAIL"
        case broken = "TBROK"
        case warned = "TWARN"
        case unsuitable = "TCONF"
        case information = "TINFO"

        /// Its bit.
        var bit: Int32 {
            switch self {
            case .passed: 0
            case .failed: 1
            case .broken: 2
            case .warned: 4
            case .information: 16
            case .unsuitable: 32
            }
        }

        /// Whether it prevents a pass.
        var isFailure: Bool {
            switch self {
            case .failed, .broken, .warned: true
            case .passed, .unsuitable, .information: false
            }
        }
    }

    /// A line with a result.
    struct Entry: Equatable {
        var kind: Kind
        var text: String
        var file: String?
        var line: Int?
    }

    /// The results, in their order.
    private(set) var entries: [Entry] = []

    /// Reads all of a program's output.
    init(output: [UInt8]) {
        for line in KTAPParser.shownLines(of: output) {
            if let entry = Self.entry(in: line) { entries.append(entry) }
        }
    }

    /// The entries of a kind.
    func count(_ kind: Kind) -> Int { entries.count { $0.kind == kind } }

    static func entry(in line: String) -> Entry? {
        let words = line.split(separator: " ", omittingEmptySubsequences: true)
        // The kind comes after `FILE:LINE:`, or after a name and a number.
        for (index, word) in words.enumerated().prefix(3) where index > 0 {
            let name = word.hasSuffix(":") ? word.dropLast() : word
            guard let kind = Kind(rawValue: String(name)) else { continue }
            var rest = line[word.endIndex...].drop { $0 == " " }
            if word.last != ":" {
                guard rest.first == ":" else { return nil }
                rest = rest.dropFirst().drop { $0 == " " }
            }
            var entry = Entry(kind: kind, text: String(rest))
            if index == 1, let place = place(words[0]) {
                (entry.file, entry.line) = (place.file, place.line)
            } else if index == 2, Int(words[1]) != nil {
                let first = rest.prefix { $0 != " " }
                if let place = place(first) {
                    (entry.file, entry.line) = (place.file, place.line)
                    entry.text = String(rest[first.endIndex...].drop { $0 == " " })
                }
            } else {
                return nil
            }
            return entry
        }
        return nil
    }

    /// `open01.c:53:`.
    private static func place(_ word: Substring) -> (file: String, line: Int)? {
        guard word.last == ":" else { return nil }
        let parts = word.dropLast().split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, let line = Int(parts[1]), line > 0 else { return nil }
        return (String(parts[0]), line)
    }

    /// The verdict from the lines and the program's exit.
    struct Verdict {
        var status: TestStatus
        /// The reason.
        var reason: String?
        /// The contradictions.
        var problems: [String] = []
    }

    /// How the test ended.
    ///
    /// - Parameter ending: The program's exit, in the words of rootfs/init/Program.swift.
    /// - Returns: Its verdict. An exit code that reports less than the lines is not believed, and 0 without a TPASS is
    ///   not a pass.
    func verdict(ending: String) -> Verdict {
        let worst = entries.first { $0.kind == .broken } ?? entries.first { $0.kind.isFailure }
        if ending == "timeout" { return Verdict(status: .timedOut) }
        guard ending.hasPrefix("exit "), let code = Int32(ending.dropFirst(5)) else {
            return Verdict(status: .failed, reason: "the program ended with \(ending)")
        }
        let known = Kind.allCases.reduce(0) { $0 | $1.bit }
        if code & ~known != 0 {
            return Verdict(status: .failed, reason: "it exited with \(code), which no LTP result has")
        }
        let kinds = Kind.allCases.filter { $0.isFailure && code & $0.bit != 0 }
        if !kinds.isEmpty {
            let words = kinds.map(\.rawValue).joined(separator: ", ")
            return Verdict(
                status: .failed, reason: kinds.contains(.broken) ? "error: the test itself broke (\(words))" : words)
        }
        if let worst {
            return Verdict(
                status: .failed, reason: worst.kind.rawValue,
                problems: ["it exited with \(code) although it printed \(worst.kind.rawValue): \(worst.text)"])
        }
        let skip = entries.first { $0.kind == .unsuitable }
        if code & Kind.unsuitable.bit != 0 || skip != nil && count(.passed) == 0 {
            return Verdict(status: .skipped, reason: skip?.text ?? "it exited with \(code), which is TCONF")
        }
        guard count(.passed) > 0 else {
            return Verdict(
                status: .failed, reason: "no result", problems: ["it exited with \(code) and printed no TPASS"])
        }
        return Verdict(status: .passed)
    }
}

extension SessionRecorder {
    /// Judges a program by the rules of the Linux Test Project.
    mutating func judgeLTP(_ index: Int, ending: String, ended: Double) -> [SessionEvent] {
        let results = LTPResults(output: programOutput)
        let verdict = results.verdict(ending: ending)
        var problems = verdict.problems
        if outputWasCut { problems.append("it printed more than \(Self.longestOutput) bytes; the rest is lost") }
        let name = plannedName(index)
        var test = TestResult(id: name, name: name, status: verdict.status)
        test.reason = verdict.reason
        test.issues = results.entries.filter { $0.kind.isFailure }.map {
            .init(message: "\($0.kind.rawValue): \($0.text)", file: $0.file, line: $0.line, isKnown: false)
        }
        if verdict.status == .failed, test.issues.isEmpty {
            test.issues = [
                .init(
                    message: verdict.reason ?? "the program ended with \(ending)", file: nil, line: nil, isKnown: false)
            ]
        }
        test.output = lastOutputLines
        return finishProgram(index, tests: [test], problems: problems, ended: ended)
    }
}
