// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Testing

@testable import AgentServer

/// The reader and writer of JSON.
@Suite("JSON values", .timeLimit(.minutes(30)))
struct JSONValueTests {
    private func parse(_ text: String) throws -> JSONValue { try JSONValue(parsing: Array(text.utf8)) }

    @Test(
        "values are read",
        arguments: [
            ("null", .null), (" true ", true), ("-0", 0), ("12", 12), ("1.5", .number(1.5)), ("1e2", .number(100)),
            ("9223372036854775807", .integer(.max)), ("9223372036854775808", .number(9223372036854775808)),
            (#""a\"\\\/\b\f\n\r\t""#, .string("a\"\\/\u{8}\u{C}\n\r\t")), (#""\u00e9\ud83d\ude00""#, "é😀"),
            (#""\ud83dx""#, "\u{FFFD}x"), (#""\ud83d\u0041""#, "\u{FFFD}A"), (#""\ude00""#, "\u{FFFD}"),
            ("[]", []), ("[1, [2], {}]", [1, [2], [:]]), (#"{"a": 1, "b": {"c": null}}"#, ["a": 1, "b": ["c": .null]]),
            (#"{"a": 1, "a": 2}"#, ["a": 2]),
        ] as [(String, JSONValue)])
    func values(text: String, value: JSONValue) throws {
        #expect(try parse(text) == value)
        // What is written is read as the same.
        #expect(try parse(value.encoded) == value)
    }

    @Test(
        "other texts are refused",
        arguments: [
            "", " ", "tru", "nul", "+1", "01", "1.", ".5", "1e", "-", "1 2", "1e999", "'a'", "\"a", "\"\\x\"",
            "\"\\u12g4\"",
            "\"\u{1}\"", "[1,]", "[1 2]", "[", "{", "{a:1}", #"{"a"}"#, #"{"a":1,}"#, #"{"a":1"#, "{} {}", "NaN",
        ])
    func refused(text: String) {
        #expect(throws: Failure.self) { try parse(text) }
    }

    @Test("bytes that are not UTF-8 are refused, and deep nesting does not use up the stack")
    func limits() throws {
        #expect(throws: Failure.self) { try JSONValue(parsing: [0x22, 0xFF, 0x22]) }
        let deep = String(repeating: "[", count: 100_000) + String(repeating: "]", count: 100_000)
        #expect(throws: Failure.self) { try parse(deep) }
        let allowed = String(repeating: "[", count: 60) + String(repeating: "]", count: 60)
        #expect(try parse(allowed).encoded == allowed)
    }

    @Test("an encoded value is one line, with sorted keys and escaped control characters")
    func encoding() {
        #expect(JSONValue.object(["b": 1, "a": ["x\n\u{1}\u{7F}é"]]).encoded == #"{"a":["x\n\u0001\#u{7F}é"],"b":1}"#)
        #expect(JSONValue.number(.infinity).encoded == "null")
        #expect(JSONValue.number(0.5).encoded == "0.5")
    }
}

/// The beginning and the end of a long text.
@Suite("bounded text", .timeLimit(.minutes(30)))
struct BoundedTextTests {
    @Test("a short text stays")
    func short() {
        let text = BoundedText("one\ntwo\n", limit: 8)
        #expect(text.text == "one\ntwo\n")
        #expect(text.omitted == 0)
    }

    @Test("of a long text the beginning and the end stay, whole lines of both, and the rest is counted")
    func long() {
        let lines = (1...10_000).map { "line \($0)\n" }.joined()
        let bounded = BoundedText(lines, limit: 3000)
        #expect(bounded.text.hasPrefix("line 1\n"))
        #expect(bounded.text.hasSuffix("line 10000\n"))
        #expect(bounded.text.contains("\n[\(bounded.omitted) bytes left out]\nline "))
        #expect(bounded.text.utf8.count <= 3000 + 40)
        let remark = "\n[\(bounded.omitted) bytes left out]\n".utf8.count
        #expect(bounded.text.utf8.count - remark + bounded.omitted == lines.utf8.count)
    }

    @Test("characters are not cut", arguments: 100...110)
    func characters(limit: Int) {
        let text = String(repeating: "é😀", count: 1000)
        let bounded = BoundedText(text, limit: limit)
        #expect(!bounded.text.contains("\u{FFFD}"))
        #expect(bounded.omitted > 0)
    }
}
