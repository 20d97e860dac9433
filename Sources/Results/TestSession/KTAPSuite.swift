// SPDX-License-Identifier: Apache-2.0
import KTAP
import ResultsModel

/// The tests of a program that prints KTAP or TAP.
struct KTAPSuite {
    /// One test for each result without nested results, named by its path.
    var tests: [TestResult] = []
    /// The errors in its output.
    var problems: [String]

    /// Reads all of a program's output.
    init(output: [UInt8], program: String) {
        var parser = KTAPParser()
        parser.consume(output)
        self.init(parser.finish(), program: program)
    }

    /// The tests of a document.
    init(_ document: KTAPDocument, program: String) {
        problems = document.problems.filter(\.isError).map(\.description)
        for (index, result) in document.results.enumerated() {
            Self.add(result, path: program, position: index + 1, to: &tests)
        }
        if let reason = document.skipReason, document.results.isEmpty {
            tests = [TestResult(id: program, name: program, status: .skipped, reason: reason)]
        }
        // Two results may have the same description; a report needs unique names.
        var seen: [String: Int] = [:]
        var taken: Set<String> = []
        for index in tests.indices {
            let id = tests[index].id
            // Another result's description may be equal to this numbered name.
            while !taken.insert(tests[index].id).inserted {
                seen[id, default: 1] += 1
                tests[index].id = "\(id) #\(seen[id, default: 1])"
            }
        }
    }

    /// Notes on a document that are not failures.
    static func notes(of document: KTAPDocument) -> [String] {
        document.problems.filter { $0.kind == .torn }.map(\.description)
    }

    /// Whether a selftest is judged by its KTAP: when it printed any.
    ///
    /// Some selftests count their results and print none, except a plan and at the end `# Totals:`. If these agree, and
    /// nothing failed, the exit code alone is the result.
    static func judges(_ output: [UInt8]) -> Bool {
        let lines = KTAPParser.shownLines(of: output)
        guard
            lines.contains(where: { line in
                ["TAP version ", "KTAP version ", "1..", "ok ", "not ok "].contains { line.hasPrefix($0) }
            })
        else { return false }
        if lines.contains(where: { $0.hasPrefix("ok ") || $0.hasPrefix("not ok ") }) { return true }
        guard let plan = lines.first(where: { $0.hasPrefix("1..") }).flatMap({ Int($0.dropFirst(3)) }),
            let totals = lines.last(where: { $0.hasPrefix("# Totals: ") })
        else { return true }
        var counts: [Substring: Int] = [:]
        for word in totals.split(separator: " ") {
            let parts = word.split(separator: ":")
            if parts.count == 2, let count = Int(parts[1]) { counts[parts[0]] = count }
        }
        let good = ["pass", "xfail", "skip"].map { counts[$0[...]] ?? 0 }.reduce(0, +)
        let bad = ["fail", "xpass", "error"].map { counts[$0[...]] ?? 0 }.reduce(0, +)
        return good != plan || bad > 0
    }

    /// The most bytes of a result's name to keep in the names of its tests.
    static let longestName = 512

    private static func add(_ result: KTAPResult, path: String, position: Int, to tests: inout [TestResult]) {
        var name = result.name.isEmpty ? "\(result.number ?? position)" : result.name
        // A path repeats the names of its parents, so long names would multiply.
        if name.utf8.count > longestName { name = String(decoding: name.utf8.prefix(longestName), as: UTF8.self) + "…" }
        let path = "\(path)/\(name)"
        let childFails = result.children.contains(where: \.status.isFailure)
        for (index, child) in result.children.enumerated() { add(child, path: path, position: index + 1, to: &tests) }
        // A parent is a separate test only when it fails for a reason that no child shows.
        guard result.children.isEmpty || result.status.isFailure && !childFails else { return }
        let status: TestStatus =
            switch result.status {
            case .passed, .expectedFailure: .passed
            case .failed, .error: .failed
            case .skipped: .skipped
            case .timedOut: .timedOut
            }
        var test = TestResult(id: path, name: name, status: status)
        test.reason = result.reason ?? (result.isTorn ? "torn by a kernel message" : nil)
        test.output = result.diagnostics + result.yaml
        if status == .failed {
            let text = [result.isOK ? "ok" : "not ok"] + [result.reason].compactMap { $0 } + test.output
            test.issues = [.init(message: text.joined(separator: "\n"), file: nil, line: nil, isKnown: false)]
        }
        tests.append(test)
    }
}

extension SessionRecorder {
    /// Judges a program by its KTAP. Its exit code must agree: otherwise it did not print everything. A selftest may
    /// skip the remaining tests with its own code.
    mutating func judgeKTAP(
        _ index: Int, ending: String, ended: Double, isKselftest: Bool = false
    ) -> [SessionEvent] {
        let suite = KTAPSuite(output: programOutput, program: plannedName(index))
        var (tests, problems) = (suite.tests, suite.problems)
        if outputWasCut { problems.append("it printed more than \(Self.longestOutput) bytes; the rest is lost") }
        if ending == "timeout" {
            let name = plannedName(index)
            tests.append(TestResult(id: name, name: name, status: .timedOut, reason: "it ran into its limit"))
        }
        let anyFailed = tests.contains { $0.status == .failed || $0.status == .timedOut }
        // kselftest programs exit with 1 when a test failed, and with 4 when all were skipped.
        let isSkip =
            ending == "exit 4" && !tests.isEmpty
            && (isKselftest
                ? tests.contains { $0.status == .skipped } : tests.allSatisfy { $0.status == .skipped })
        if ending != "exit 0", ending != "timeout", !anyFailed, !isSkip, !ending.hasPrefix("failed ") {
            problems.append("it ended with \(ending) although no result says that it failed")
        }
        return finishProgram(index, tests: tests, problems: problems, ended: ended)
    }
}
