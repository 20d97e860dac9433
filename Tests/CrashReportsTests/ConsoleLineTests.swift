// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import CrashReports

@Suite("Console lines", .timeLimit(.minutes(30)))
struct ConsoleLineTests {
    @Test(
        "time stamps and callers are removed",
        arguments: [
            ("[    1.234567] hello", 1.234567, "hello"),
            ("[   12.5][   T42] hello", 12.5, "hello"),
            ("[   12.5][    C0] hello", 12.5, "hello"),
            ("[   12.5] (T34) hello", 12.5, "hello"), ("[   12.5] (C1)  hello", 12.5, " hello"),
            ("[   12.5] (Tea) hello", 12.5, "(Tea) hello"), ("[   12.5] (34) hello", 12.5, "(34) hello"),
            ("[   12.5] [not a caller] hello", 12.5, "[not a caller] hello"),
            ("[    1.0] ", 1.0, ""),
        ])
    func stamped(raw: String, seconds: Double, message: String) {
        let line = ConsoleLine(Array(raw.utf8))
        #expect(line.kernelSeconds == seconds)
        #expect(line.message == message)
        #expect(line.raw == raw)
    }

    @Test("anything else is text", arguments: ["", "[", "[]", "[abc] x", "[12] x", "plain", " [ 1.0] indented"])
    func plain(raw: String) {
        let line = ConsoleLine(Array(raw.utf8))
        #expect(line.kernelSeconds == nil)
        #expect(line.message == raw)
    }
}
