// SPDX-License-Identifier: Apache-2.0
import ResultsModel

/// Crash reports of one fault, which are shown once: a fault in every test gives a report for each test.
struct CrashGroup: Sendable, Equatable {
    /// Their indexes in the report's list of crashes, in order; at least one.
    private(set) var indices: [Int]
    /// The tests during which the later ones came, each once.
    private(set) var laterTests: [String] = []

    /// The index of the report that is shown.
    var first: Int { indices[0] }

    /// How many functions of a call trace, from the fault outwards, must be equal.
    private static let comparedFrames = 4

    /// Groups a run's reports, in the order of the first of each group.
    static func groups(of crashes: [Crash]) -> [CrashGroup] {
        var groups: [CrashGroup] = []
        var places: [[String]: Int] = [:]
        for (index, crash) in crashes.enumerated() {
            let key = key(of: crash)
            guard let place = places[key] else {
                places[key] = groups.count
                groups.append(CrashGroup(indices: [index]))
                continue
            }
            groups[place].indices.append(index)
            guard let test = crash.test, test != crashes[groups[place].first].test,
                !groups[place].laterTests.contains(test)
            else { continue }
            groups[place].laterTests.append(test)
        }
        return groups
    }

    /// A key that is equal for reports of one fault: their kind, their effect, and their origin.
    private static func key(of crash: Crash) -> [String] {
        let frames = crash.frames.filter(\.isReliable).prefix(comparedFrames).map {
            "\($0.symbol)+\($0.offset)"
        }
        return [
            crash.title, crash.kind.rawValue, "\(crash.isFatal)", "\(crash.isAtBoot)", crash.knownReason ?? "",
            crash.corruption ?? "",
        ] + frames
    }

    /// "and in 7 more tests"; nil for one report. Reports outside tests, or again in the first report's test, are
    /// counted as reports.
    var remark: String? {
        let again = indices.count - 1
        switch (again, laterTests.count) {
        case (0, _): return nil
        case (_, 0): return "and \(again) more time\(again == 1 ? "" : "s")"
        case (_, let tests): return "and in \(tests) more test\(tests == 1 ? "" : "s")"
        }
    }
}

extension Crash {
    /// The report's lines that explain the fault: without registers, code bytes, the kernel's time stamps and the
    /// functions that the unwinder is not certain of. Those are in `lines`.
    var tellingLines: [String] {
        var telling: [String] = []
        var isInTrace = false
        for line in lines {
            let text = Self.withoutStamp(line)
            let words = text.split(separator: " ", maxSplits: 2)
            guard let first = words.first else { continue }
            if text.hasPrefix("Call Trace") || text.hasPrefix("Call trace") { isInTrace = true }
            // The kernel's registers are printed again after the report's end.
            if first == "---[", text.contains("end trace") { break }
            if Self.isNoise(first, text) || first == "?" || words.count == 1 && first.hasPrefix("<") { continue }
            // The program's registers and the place where it called the kernel.
            if isInTrace, text.hasPrefix("RIP: 0033:") || text.hasPrefix("RIP: 0023:") { continue }
            telling.append(text)
        }
        return telling
    }

    /// Whether a line of the kernel's log has registers, or ends a report, rather than a word of its own.
    static func isOfRegisters(_ line: String) -> Bool {
        let text = withoutStamp(line)
        guard let first = text.split(separator: " ", maxSplits: 1).first else { return true }
        // "note: cat[37] exited with irqs disabled" (kernel/exit.c).
        let isEpilogue = first == "---[" || text.hasPrefix("note: ") && text.contains("] exited with ")
        return isNoise(first, text) || isEpilogue || text.hasPrefix("RIP: ") || text.hasPrefix("EIP: ")
    }

    /// A line without `<4>`, `[   12.345678]` and `[  T123]` before it.
    private static func withoutStamp(_ line: String) -> String {
        var text = line[...]
        if text.hasPrefix("<"), let end = text.firstIndex(of: ">"), text[..<end].dropFirst().allSatisfy(\.isNumber) {
            text = text[text.index(after: end)...]
        }
        for _ in 0..<2 {
            guard text.hasPrefix("["), let end = text.firstIndex(of: "]"),
                text[..<end].dropFirst().allSatisfy({ $0.isNumber || $0 == "." || $0 == " " || $0 == "T" || $0 == "C" })
            else { break }
            text = text[text.index(after: end)...]
            if text.hasPrefix(" ") { text = text.dropFirst() }
        }
        return String(text)
    }

    /// Whether a line has registers, code bytes, page tables or a repetition of the title. `first` is its first word.
    private static func isNoise(_ first: Substring, _ text: String) -> Bool {
        let starts = [
            "Code: ", "PGD ", "FS:  ", "CS:  ", "CR2: ", "DR0: ", "DR3: ", "PKRU: ", "RSP: ", "EFLAGS: ", "Oops: ",
            "Modules linked in:",
            "Hardware name: ", "Call Trace:", "Call trace:", "#PF: error_code", "ORIG_RAX: ", "------------[ cut here",
        ]
        if starts.contains(where: text.hasPrefix) { return true }
        // RAX: to RDI:, R08: to R15:, EAX: and so on.
        guard first.hasSuffix(":"), first.count == 4, let letter = first.first, letter == "R" || letter == "E" else {
            return false
        }
        return first != "RIP:" && first != "EIP:"
    }
}
