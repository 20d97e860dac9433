// SPDX-License-Identifier: Apache-2.0
import Fuzzing
import KTAP
import Testing

/// A stream of pieces that mean something and bytes that do not.
private func randomStream(_ generator: inout SeededGenerator) -> [UInt8] {
    let pieces = [
        "KTAP version 1", "TAP version 13", "TAP version 14", "1..2", "1..0 # SKIP x", "ok 1 a", "not ok 2 b # TODO",
        "ok", "not ok", "ok 3 # SKIP", "# Subtest: s", "---", "...", "Bail out! x", "# ", "#", "  ", "    ", "\t",
        "[    1.234567] ", "[    1.2][   T12] ", "<6>", "log: ", "message: 'x'", "ok 999999999999", "\r", "\n", "\n",
        "\n",
        "text [    1.234567] ", "[    1.234567][    C0] ", "\0", "\u{1B}[0m", "é", "ok 4 - x # exit=3",
        "not ok 5 # TIMEOUT 1 seconds", "\\#", "not ok 1 - y # XFAIL",
    ].map { Array($0.utf8) }
    var bytes: [UInt8] = []
    for _ in 0..<Int.random(in: 0...120, using: &generator) {
        if Int.random(in: 0..<12, using: &generator) == 0 {
            bytes.append(UInt8.random(in: .min ... .max, using: &generator))
        } else if let piece = pieces.randomElement(using: &generator) {
            bytes += piece
        }
    }
    return bytes
}

/// A tree of results as an emitter may be given, with text that is hard to carry.
private func randomResults(_ generator: inout SeededGenerator, depth: Int = 0) -> [KTAPResult] {
    let names = [
        "a", "open: read", "with # hash", "back\\slash", "\\#", "- dash", "12", "ok 1", "é日本", "x#y", "# SKIP", "",
    ]
    let diagnostics = [
        "note", "ok 1 not a result", "1..4", "Bail out! no", "Subtest: no", "KTAP version 1", "---", "x: y",
    ]
    return (0..<Int.random(in: 1...4, using: &generator)).map { index in
        let status = KTAPResult.Status.allCases.randomElement(using: &generator) ?? .passed
        var result = KTAPResult(
            number: index + 1, name: names.randomElement(using: &generator) ?? "", status: status)
        if depth < 3, Bool.random(using: &generator) {
            result.children = randomResults(&generator, depth: depth + 1)
            let isFailing = result.children.contains { $0.status.isFailure }
            if isFailing, [.passed, .skipped].contains(result.status) { result.status = .failed }
        }
        result.diagnostics = diagnostics.filter { _ in Int.random(in: 0..<4, using: &generator) == 0 }
        return result
    }
}

@Suite(.timeLimit(.minutes(30))) struct RobustnessTests {
    @Test(arguments: 0..<300 as Range<UInt64>)
    func chunkBoundariesDoNotMatter(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let bytes = randomStream(&generator)
        var limits = KTAPLimits()
        if seed % 3 == 0 {
            limits.lineBytes = 24
            limits.depth = 3
            limits.results = 8
            limits.diagnosticLines = 4
            limits.textBytes = 300
        }
        var whole = KTAPParser(limits: limits)
        let reported = whole.consume(bytes)
        let expected = whole.finish()
        for _ in 0..<4 {
            var parser = KTAPParser(limits: limits)
            var rest = bytes[...]
            var pieces: [KTAPParser.Reported] = []
            while !rest.isEmpty {
                let count = min(rest.count, Int.random(in: 1...9, using: &generator))
                pieces += parser.consume(rest.prefix(count))
                rest = rest.dropFirst(count)
            }
            #expect(parser.finish() == expected)
            #expect(pieces == reported)
        }
    }

    @Test(arguments: 0..<200 as Range<UInt64>)
    func whatIsEmittedIsParsed(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let results = randomResults(&generator)
        let text = KTAPEmitter.emit(results)
        let document = KTAPParser.parse(text)
        #expect(outline(document.results) == outline(results), "\(text)")
        #expect(document.problems.filter(\.isError).isEmpty)
        #expect(KTAPEmitter.emit(document.results).split(separator: "\n").count == text.split(separator: "\n").count)
    }

    @Test func diagnosticsSurviveEmission() {
        let result = KTAPResult(name: "a", status: .timedOut, reason: "45 seconds", diagnostics: ["note", "x: 1"])
        let document = KTAPParser.parse(KTAPEmitter.emit([result]))
        #expect(document.results.first?.diagnostics == ["note", "x: 1"])
        #expect(document.results.first?.reason == "45 seconds")
        #expect(document.problems.isEmpty)
    }

    @Test func aParserStartsAnewAfterItsEnd() {
        var parser = KTAPParser()
        parser.consume(Array("1..2\nok 1 a\n".utf8))
        #expect(!parser.finish().isPass)
        parser.consume(Array("1..1\nok 1 b\n".utf8))
        #expect(parser.finish().isPass)
    }

    @Test func resultsAreToldAsTheyCome() {
        var parser = KTAPParser()
        #expect(parser.consume(Array("1..1\n  1..1\n  ok 1 in".utf8)).isEmpty)
        #expect(parser.consume(Array("ner\n".utf8)).map(\.result.name) == ["inner"])
        let outer = parser.consume(Array("ok 1 outer\n".utf8))
        #expect(outer.map(\.depth) == [0])
        #expect(outer.first?.result.children.map(\.name) == ["inner"])
    }
}

@Suite(.timeLimit(.minutes(30))) struct LimitTests {
    /// Every text that a document holds.
    private func textBytes(_ document: KTAPDocument) -> Int {
        func size(_ result: KTAPResult) -> Int {
            ([result.name, result.reason ?? ""] + result.diagnostics + result.yaml).reduce(0) { $0 + $1.utf8.count }
                + result.children.reduce(0) { $0 + size($1) }
        }
        return document.results.reduce(0) { $0 + size($1) } + document.diagnostics.reduce(0) { $0 + $1.utf8.count }
            + document.problems.reduce(0) { $0 + $1.message.utf8.count }
    }

    @Test func aLongLineIsCutAndTheNextOneIsWhole() {
        var parser = KTAPParser()
        let long = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
        parser.consume(Array("1..2\nok 1 ".utf8))
        for _ in 0..<10 { parser.consume(long) }
        parser.consume(Array("\nok 2 b\n".utf8))
        let document = parser.finish()
        #expect(document.results.map(\.name.utf8.count) == [KTAPLimits().lineBytes - "ok 1 ".utf8.count, 1])
        #expect(kinds(document) == [.longLine])
    }

    @Test func diagnosticsKeepTheLastLines() {
        var limits = KTAPLimits()
        limits.diagnosticLines = 10
        let noise = (0..<1000).map { "noise \($0)\n" }.joined()
        let document = KTAPParser.parse("1..1\n\(noise)ok 1 a\n", limits: limits)
        #expect(document.results.first?.diagnostics == (990..<1000).map { "noise \($0)" })
    }

    @Test func theTextKeptIsBounded() {
        var limits = KTAPLimits()
        limits.textBytes = 10_000
        limits.results = 100
        // Malformed UTF-8 grows when it is repaired.
        let noise = [UInt8](repeating: 0xFF, count: 200) + [UInt8(ascii: "\n")]
        var parser = KTAPParser(limits: limits)
        for number in 1...400 {
            for _ in 0..<5 { parser.consume(noise) }
            parser.consume(Array("ok \(number) ".utf8) + noise)
        }
        let document = parser.finish()
        #expect(document.results.count == 100)
        #expect(textBytes(document) <= 10_000 + 100 * 3 * limits.clippedNameBytes + limits.problems * 300)
        #expect(kinds(document).contains(.tooManyResults))
        #expect(!document.isPass)
    }

    @Test func depthIsBounded() {
        let text = "1..1\n" + (1...5000).map { String(repeating: " ", count: $0) + "1..1\n" }.joined() + "ok 1 a\n"
        let document = KTAPParser.parse(text)
        #expect(kinds(document).contains(.tooDeep))
        #expect(!document.isPass)
    }

    @Test func subtestsWithoutResultsCountAsResults() {
        var limits = KTAPLimits()
        limits.results = 10
        let text = "1..1\n" + String(repeating: "  1..1\n  KTAP version 1\n", count: 1000)
        let document = KTAPParser.parse(text, limits: limits)
        #expect(document.results.count <= 10)
        #expect(document.problems.count <= limits.problems)
        #expect(!document.isPass)
    }
}
