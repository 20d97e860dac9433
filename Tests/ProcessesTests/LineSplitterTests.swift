// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Testing

@Suite("Lines of a stream", .timeLimit(.minutes(30)))
struct LineSplitterTests {
    private func lines(_ chunks: [[UInt8]], longest: Int = 8) -> [LineSplitter.Line] {
        var splitter = LineSplitter(longest: longest)
        var lines: [LineSplitter.Line] = []
        for chunk in chunks { splitter.consume(chunk[...]) { lines.append($0) } }
        splitter.finish { lines.append($0) }
        return lines
    }

    @Test("the cuts between chunks do not matter", arguments: 1...7)
    func chunks(size: Int) {
        let bytes = Array("one\r\n\ntwo\r\r\n123456789\nend".utf8)
        let chunks = stride(from: 0, to: bytes.count, by: size).map { Array(bytes[$0..<min($0 + size, bytes.count)]) }
        let found = lines(chunks)
        #expect(found.map(\.text) == ["one", "", "two", "12345678 ... and 1 more byte not shown", "end"])
        #expect(found.map(\.omitted) == [0, 0, 0, 1, 0])
    }

    @Test("an endless line takes only its limit of memory, in chunks of any size")
    func endless() {
        var splitter = LineSplitter(longest: 100)
        let chunk = [UInt8](repeating: 0x78, count: 1 << 16)
        var seen = 0
        for _ in 0..<1000 { splitter.consume(chunk[...]) { _ in seen += 1 } }
        #expect(seen == 0)
        splitter.finish { line in
            seen += 1
            #expect(line.bytes.count == 100)
            #expect(line.omitted == (1000 << 16) - 100)
        }
        #expect(seen == 1)
    }

    @Test("a stream that ends with a line's end has no empty line after it")
    func end() {
        #expect(lines([Array("a\n".utf8)]).map(\.text) == ["a"])
        #expect(lines([]).isEmpty)
        #expect(lines([[]]).isEmpty)
    }
}
