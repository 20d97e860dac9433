// SPDX-License-Identifier: Apache-2.0
import Foundation
import Measurement

/// What the benchmarks read of kbuild's report (docs/reference/report-schema.json).
struct Report: Decodable {
    struct Step: Decodable {
        var name: String
        var outcome: String
        var seconds: Double
        var detail: String?
    }
    struct Machine: Decodable {
        var type: String
        var accelerator: String
    }
    struct Kernel: Decodable {
        var version: String
    }
    struct Guests: Decodable {
        var count: Int
        var isFromSnapshot: Bool
        var medianStartSeconds: Double?
        var medianSeconds: Double?
    }
    struct Artifacts: Decodable {
        var buildLog: String?
    }
    var verdict: String
    var steps: [Step]
    var machine: Machine?
    var kernel: Kernel?
    var guests: Guests?
    var artifacts: Artifacts

    /// Reads what `kbuild run --format json` printed.
    init(_ text: String) throws {
        do {
            self = try JSONDecoder().decode(Report.self, from: Data(text.utf8))
        } catch {
            throw RunError("kbuild printed no report: \(error)")
        }
    }

    /// The objects that make compiled.
    var compiledObjects: Int { steps.compileObjects }
}

extension [Report.Step] {
    /// The steps that kbuild printed on standard error: ` compile made 1.30 s 1 object, incremental`.
    init(log: String) {
        self = log.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ", maxSplits: 4)
            guard words.count >= 4, ["hit", "made"].contains(words[1]), let seconds = Double(words[2]) else {
                return nil
            }
            return Report.Step(
                name: String(words[0]), outcome: String(words[1]), seconds: seconds,
                detail: words.count > 4 ? words[4].trimmingCharacters(in: .whitespaces) : "")
        }
    }

    /// The objects that make compiled: none when the kernel came from the store.
    var compileObjects: Int {
        guard let step = first(where: { $0.name == "compile" }), step.outcome == "made" else { return 0 }
        return step.detail?.split(separator: " ").first.flatMap { Int($0) } ?? 0
    }
}
