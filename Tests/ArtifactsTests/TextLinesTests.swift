// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Testing

@Suite("Lines of a text", .timeLimit(.minutes(30)))
struct TextLinesTests {
    @Test(
        "LF and CR LF end lines, and a lone CR does not",
        arguments: [
            ("a\nb", ["a", "b"], ["a", "b"]), ("a\r\nb\r\n", ["a", "b"], ["a", "b", ""]), ("", [], [""]),
            ("\n\na", ["a"], ["", "", "a"]), ("a\rb", ["a\rb"], ["a\rb"]), ("é\r\n\r\nö", ["é", "ö"], ["é", "", "ö"]),
        ])
    func lines(text: String, full: [String], all: [String]) {
        #expect(text.textLines().map(String.init) == full)
        #expect(text.textLines(keepsEmpty: true).map(String.init) == all)
        #expect(text.dropFirst(0).textLines().map(String.init) == full)
    }
}
