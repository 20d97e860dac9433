// SPDX-License-Identifier: Apache-2.0
import Fuzzing
import ResultsModel
import Testing

@testable import CrashReports

/// Lines with what tools put before them, damaged.
@Suite("Damaged logs", .timeLimit(.minutes(30)))
struct LogFuzzTests {
    private static let prefixes = [
        "[   12.345678] ", "[   12.345678][   T77] ", "<4>[   12.345678] ", "kern  :warn  : [   12.345678] ",
        "[  +0.000012] ", "[Tue Feb  3 10:11:12 2026] ", "2026-02-03T10:11:12,345678+01:00 ", "4,120,123456,-;",
        "6.6.30,4,120,123456,-,caller=T77;", "Feb  3 10:11:12 box kernel: [   12.345678] ",
        "2026-02-03T10:11:12.345678Z 01E+[   12.345678] ", "boot\tRun it\t2026-02-03T10:11:12.345678Z ", "\u{1B}[1;31m",
    ]
    private static let seeds = prefixes.map { prefix in
        crashSamples.prefix(4).map { sample in
            sample.text.split(separator: "\n").map { prefix + $0 + "\n" }.joined()
        }.joined()
    }
    private static let words =
        prefixes + [
            "[99999999999999999999.999999] ", "[", "]", "<", "<0>", ";", ",", "------------[ cut here ]------------\n",
            "---[ end trace 0000000000000000 ]---\n", "\u{1B}", "\u{1B}[", "kernel: ", "+0x1e/0x40", "Call Trace:\n",
        ]

    @Test("reports have their lines within the log, with chunks of any size", arguments: 0..<16 as Range<UInt64>)
    func logs(seed: UInt64) {
        var mutator = Mutator(seed: seed, of: Self.seeds, words: Self.words)
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<12 {
            let bytes = mutator.next()
            let count = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).count
            var whole = ConsoleLogParser()
            whole.consume(bytes[...])
            let crashes = whole.finish()
            for crash in crashes {
                #expect(crash.firstLine >= 1 && crash.firstLine <= crash.lastLine, "seed \(seed)")
                #expect(crash.lastLine <= count, "seed \(seed)")
                #expect(!crash.title.isEmpty && !crash.lines.isEmpty, "seed \(seed)")
            }
            var pieces = ConsoleLogParser()
            var rest = bytes[...]
            while !rest.isEmpty {
                let size = min(rest.count, Int.random(in: 1...2000, using: &generator))
                pieces.consume(rest.prefix(size))
                rest = rest.dropFirst(size)
            }
            #expect(pieces.finish() == crashes, "seed \(seed)")
        }
    }

    @Test("a line's message is a part of the line, after any prefix", arguments: 0..<8 as Range<UInt64>)
    func lines(seed: UInt64) {
        var mutator = Mutator(seed: seed, of: Self.prefixes.map { $0 + "BUG: x" }, words: Self.words)
        for _ in 0..<400 {
            for bytes in mutator.next().split(separator: 0x0A) {
                for line in ConsoleLine.lines(ofLog: Array(bytes)) {
                    #expect(line.message.utf8.count <= line.raw.utf8.count, "seed \(seed)")
                    #expect(line.kernelSeconds.map { $0.isFinite && $0 >= 0 } != false, "seed \(seed)")
                }
            }
        }
    }
}
