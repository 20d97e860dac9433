// SPDX-License-Identifier: Apache-2.0
import Fuzzing
import Testing

@testable import TestSession

@Suite("Results frames", .timeLimit(.minutes(30)))
struct FrameTests {
    static func frame(_ sequence: Int, _ kind: Frame.Kind = .output, _ text: String = "text") -> Frame {
        Frame(sequence: sequence, kind: kind, payload: Array(text.utf8))
    }

    @Test("CRC-32 agrees with the standard's check value")
    func checksum() {
        #expect(CRC32.checksum(of: "123456789".utf8) == 0xCBF4_3926)
    }

    @Test(
        "a payload is decoded unchanged",
        arguments: ["", "plain", "two\nlines", "back\\slash \\n", "tab\t\u{1E}\u{7F}\r", "über → 漢字", "  spaces  "])
    func roundTrip(text: String) throws {
        let frame = Self.frame(7, .event, text)
        let encoded = frame.encoded
        #expect(encoded.filter { $0 == 0x0A }.count == 1)
        #expect(Frame.parse(encoded.dropFirst().dropLast()) == .frame(frame))
    }

    @Test("a changed byte anywhere is noticed")
    func everyByteCounts() {
        let encoded = Array(Self.frame(12, .stop, "0 123 exit 0").encoded.dropFirst().dropLast())
        for index in encoded.indices {
            var damaged = encoded
            damaged[index] ^= 0x01
            if case .frame = Frame.parse(damaged) { Issue.record("byte \(index) may change unnoticed") }
        }
    }

    @Test("a port's frames are decoded in order, with chunks of any size", arguments: [1, 2, 3, 7, 1000])
    func pieces(size: Int) {
        let frames = (1...20).map { Self.frame($0, .output, "number \($0)\n") }
        let bytes = frames.flatMap(\.encoded)
        var decoder = ResultsDecoder.port()
        var items: [ResultsDecoder.Item] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            items += decoder.consume(bytes[start..<min(start + size, bytes.count)])
        }
        items += decoder.finish()
        #expect(items == frames.map { .frame($0) })
        #expect(decoder.takeReplies().isEmpty)
    }

    @Test("a port that repeats, skips, damages or cuts a record is at fault")
    func portFaults() {
        func faults(_ bytes: [UInt8]) -> Int {
            var decoder = ResultsDecoder.port()
            let items = decoder.consume(bytes) + decoder.finish()
            return items.filter { if case .fault = $0 { true } else { false } }.count
        }
        let one = Self.frame(1).encoded
        #expect(faults(one) == 0)
        #expect(faults(one + one) == 1)
        #expect(faults(one + Self.frame(3).encoded) == 1)
        #expect(faults(Self.frame(2).encoded) == 1)
        #expect(faults(one + Array("noise\n".utf8)) == 1)
        #expect(faults(Array("x".utf8) + one) == 1)
        #expect(faults(one + one.prefix(10)) == 1)
        var damaged = one
        damaged[15] ^= 0x20
        #expect(faults(damaged) == 1)
    }

    @Test("a console's lines and frames are reported separately, and each frame is acknowledged")
    func console() {
        var decoder = ResultsDecoder.console(carriesResults: true)
        let text = "[    1.0] kernel\r\n"
        let items = decoder.consume(Array(text.utf8) + Self.frame(1).encoded + Array("half".utf8))
        #expect(items == [.line(Array("[    1.0] kernel".utf8)), .frame(Self.frame(1))])
        #expect(decoder.takeReplies() == Array("ack 1\n".utf8))
        #expect(decoder.takeReplies().isEmpty)
        #expect(decoder.finish() == [.line(Array("half".utf8))])
    }

    @Test("a frame that a kernel message truncated is requested again and counted once")
    func tornFrame() {
        let frame = Self.frame(1, .event, "{\"kind\":\"test\"}")
        let encoded = frame.encoded
        let torn = Array(encoded[..<12]) + Array("[    2.0] printk in the middle\r\n".utf8) + Array(encoded[12...])
        var decoder = ResultsDecoder.console(carriesResults: true)
        let first = decoder.consume(torn)
        #expect(!first.contains(.frame(frame)))
        #expect(decoder.takeReplies() == Array("nak 1\n".utf8))
        #expect(decoder.consume(encoded) == [.frame(frame)])
        #expect(decoder.takeReplies() == Array("ack 1\n".utf8))
        // The acknowledgement was lost, so init sends once more.
        #expect(decoder.consume(encoded).isEmpty)
        #expect(decoder.takeReplies() == Array("ack 1\n".utf8))
    }

    @Test("an endless line is passed on in pieces")
    func endlessLine() {
        var decoder = ResultsDecoder.console(carriesResults: false)
        let piece = [UInt8](repeating: 0x41, count: 1 << 16)
        var total = 0
        for _ in 0..<64 {
            for case .line(let line) in decoder.consume(piece) { total += line.count }
        }
        #expect(total >= (64 << 16) - ResultsDecoder.longestLine - piece.count)
    }

    @Test("invalid bytes never stop the decoder")
    func garbage() {
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<200 {
            var decoder = ResultsDecoder.console(carriesResults: true)
            let bytes = (0..<300).map { _ in
                [Frame.marker, 0x0A, 0x20, UInt8.random(in: 0...255, using: &generator)].randomElement(
                    using: &generator) ?? 0
            }
            let items = decoder.consume(bytes) + decoder.finish()
            #expect(!items.contains { if case .frame = $0 { true } else { false } })
        }
    }
}
