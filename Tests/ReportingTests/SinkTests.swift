// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import ResultsModel
import Testing

@testable import Reporting

/// Texts that try to send commands to a terminal or to a CI service.
private let orders = [
    "\u{1B}[2J", "\u{1B}]0;title\u{7}", "\u{9B}31m", "\u{90}q", "\u{7F}", "\u{0}", "\u{8}\u{8}", "\u{202E}abc",
    "\u{2066}x",
    "\u{200E}", "\u{61C}", "\u{200B}", "\u{AD}", "\u{FEFF}", "\u{E0041}", "\u{378}", "\u{115F}", "\u{34F}",
    "x" + String(repeating: "\u{301}", count: 99), "a\u{2028}b", "a\u{2029}b", "a\u{85}b", "a\rb", "a\r\nb", "a\nb",
    "::stop-commands::x", "  ::add-mask::x", "\u{A0}::error::x", "\u{3000}::error::x", "\u{FEFF}::error::x",
    "\n::error file=a,line=1::x", "\r\n::warning::x", "\r::notice::x", "\u{85}::debug::x",
    "\u{2028}::set-output name=a::b",
    ":\u{200D}:group::x", ":\u{AD}:error::x", "::ERROR::x", "##[add-matcher]x.json", "a ##[GROUP]x",
    "#\u{FE0F}#[error]x",
    "##\u{200B}[error]x", "x\n##[command]y", "##vso[task.setvariable variable=a]b", "##teamcity[message text='a']",
    "section_start:1:a\r\u{1B}[0K", "section_end:1:a",
]

/// An output of untrusted text.
struct Sink: Sendable, CustomTestStringConvertible {
    var name: String
    /// The output of a report that has a text in every place.
    var print: @Sendable (RunReport) throws -> String
    var testDescription: String { name }

    init(_ name: String, _ print: @escaping @Sendable (RunReport) throws -> String) {
        self.name = name
        self.print = print
    }

    static let terminal: [Sink] = [
        Sink("text") { TextReport().render($0).rendered() },
        Sink("narrow text") { TextReport(width: 20).render($0).rendered() },
        Sink("verdict") { TextReport().verdict($0).rendered() },
        Sink("live lines") { report in
            report.tests.map { TextReport(width: 40).liveLine(for: $0) }.joined().rendered()
        },
        Sink("log report") { TextReport().render(log(of: $0)).rendered() },
        Sink("run list") { report in
            let entry = RunList.Entry(place: -1, id: report.startedAt, file: report.project, report: report)
            return TextReport().render(RunList(runs: [entry, entry])).rendered()
        },
        Sink("comparison") { report in
            let base = RunReport(startedAt: "", seconds: 1, project: "")
            let text = report.startedAt
            return [
                RunComparison(base: .init(id: text, report: base), head: .init(id: text, report: report)),
                RunComparison(base: .init(id: text, report: report), head: .init(id: text, report: base)),
                RunComparison(base: .init(id: text, report: report), head: .init(id: text, report: report)),
            ].map { TextReport().render($0) }.joined().rendered()
        },
        Sink("plan") { report in
            let text = report.startedAt
            let step = RunPlan.Step(
                name: text, outcome: .miss, key: text, detail: text, dependsOn: [text],
                actions: [.command(text), .remark(text)])
            return RunPlan(project: text, profile: text, steps: [step, step]).text.rendered()
        },
        Sink("error") { report in report.errors.map(\.failure.terminalText).joined().rendered() },
        Sink("JSON") { TerminalText(json: try JSONReport.render($0)).rendered() },
        Sink("JSON of a log") { TerminalText(json: try JSONReport.render(log(of: $0))).rendered() },
        Sink("progress") { report in
            let text = report.startedAt
            let parts: [TerminalText] = [
                "  \(text)", "\(text)", "\(TerminalText(text).painted(.red)) \(text)", TerminalText(lines: text),
                "\(TerminalText(lines: text))\(text)", "a:\(text)", "#\(text)", "\(text)\(text)",
            ]
            return (parts + parts.flatMap { $0.wrapped(width: 3) }).joined().rendered()
        },
    ]

    static let page: [Sink] = [
        Sink("HTML") { HTMLReport.render($0, console: ConsoleExcerpt(text: $0.startedAt)) },
        Sink("JUnit") { JUnitReport.render($0) },
        Sink("Markdown") { MarkdownSummary.render($0) },
        Sink("annotations") { GitHubAnnotations.render($0).map { $0.line + "\n" }.joined() },
    ]

    private static func log(of report: RunReport) -> LogReport {
        LogReport(
            source: report.startedAt, format: .ktap, isEmpty: false, crashes: report.crashes, suites: report.suites)
    }
}

/// Every sink with every text. Add new sinks to the table above.
@Suite("Untrusted text", .timeLimit(.minutes(30)))
struct SinkTests {
    private func unseen(_ text: String) -> [String] {
        // A variation selector behind an emoji is as it should be.
        text.unicodeScalars.filter { $0 != "\n" && $0 != "\t" && !VisibleText.isSeen($0) }.map(VisibleText.spelled)
    }

    @Test(
        "no character that a terminal or a browser interprets or hides is printed", arguments: Sink.terminal + Sink.page
    )
    func unseen(sink: Sink) throws {
        for text in orders + nastyTexts {
            let printed = try sink.print(report(of: text).0)
            #expect(unseen(printed).isEmpty, "\(text.debugDescription)")
        }
    }

    @Test("no line is a command to the CI service", arguments: Sink.terminal)
    func commands(sink: Sink) throws {
        for text in orders + nastyTexts {
            let found = JobRunner.commands(in: try sink.print(report(of: text).0))
            #expect(found.isEmpty, "\(text.debugDescription)")
        }
    }

    @Test("each line of annotations is exactly the intended command, and GitHub decodes its text to the original")
    func annotations() throws {
        for text in orders + nastyTexts {
            let commands = GitHubAnnotations.render(report(of: text).0)
            #expect(!commands.isEmpty)
            for command in commands {
                #expect(command.line.hasPrefix("::error ") || command.line.hasPrefix("::warning "))
                #expect(JobRunner.commands(in: command.line).count == 1, "\(text.debugDescription)")
                let properties = command.line.dropFirst(2).prefix { $0 != ":" }
                #expect(properties.split(separator: ",").allSatisfy { $0.contains("=") })
            }
        }
    }

    @Test(
        "the oracle knows the commands that GitHub documents",
        arguments: [
            "::error::x", "  ::group::x", "\u{A0}::add-mask::x", "##[error]x", "a ##[group]b", "::Stop-Commands::x",
            ":\u{200B}:debug::x", "##vso[a]", "a\r::notice::b",
        ])
    func oracle(line: String) { #expect(JobRunner.commands(in: line).count == 1) }

    @Test("random texts are also escaped", arguments: 0..<30)
    func fuzz(seed: UInt64) throws {
        // Everything below follows from the seed in the test's name.
        var state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
        func random(_ limit: Int) -> Int {
            // Steele and others: SplitMix64.
            state &+= 0x9E37_79B9_7F4A_7C15
            var value = state
            value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
            value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
            return Int((value ^ (value >> 31)) % UInt64(limit))
        }
        let pieces =
            orders.flatMap { [$0, String($0.prefix(2)), String($0.suffix(3))] } + JobRunner.names
            + [":", "::", "#", "##", "[", "]", " ", "\t", "\n", "\r", "a", "\\", "\"", "é", "😀\u{FE0F}", "%0A", ","]
        for _ in 0..<4 {
            let text = (0..<(1 + random(8))).map { _ in pieces[random(pieces.count)] }.joined()
            for sink in Sink.terminal {
                let printed = try sink.print(report(of: text).0)
                #expect(JobRunner.commands(in: printed).isEmpty, "seed \(seed), \(sink.name): \(text.debugDescription)")
                let others = printed.unicodeScalars.filter {
                    $0 != "\n" && $0 != "\t" && $0 != "\u{FE0F}" && !VisibleText.isSeen($0)
                }
                #expect(others.isEmpty, "seed \(seed), \(sink.name): \(text.debugDescription)")
            }
            for command in GitHubAnnotations.render(report(of: text).0) {
                #expect(JobRunner.commands(in: command.line).count == 1, "seed \(seed): \(text.debugDescription)")
            }
        }
    }
}

@Suite("Terminal text", .timeLimit(.minutes(30)))
struct TerminalTextTests {
    @Test("invisible characters are escaped; line ends stay only in texts of several lines")
    func spelled() {
        let esc = "a\u{1B}[2J\u{9B}\u{202E}\u{7F}\nb"
        #expect(TerminalText(esc).plain == #"a\u{1B}[2J\u{9B}\u{202E}\u{7F}\u{0A}b"#)
        #expect(TerminalText(lines: esc).plain == #"a\u{1B}[2J\u{9B}\u{202E}\u{7F}"# + "\nb")
        #expect(("<\(esc)>" as TerminalText).plain == #"<a\u{1B}[2J\u{9B}\u{202E}\u{7F}\u{0A}b>"#)
        #expect(TerminalText("é 日本 👍 naïve\tx").plain == "é 日本 👍 naïve\tx")
        #expect(TerminalText("❤\u{FE0F} a\u{FE0F}").plain == "❤\u{FE0F} a\\u{FE0F}")
        #expect(TerminalText(lines: "a\r\nb\n").plain == "a\nb\n")
        // A second escape changes nothing.
        #expect(TerminalText(TerminalText(esc).plain) == TerminalText(esc))
    }

    @Test("colours are added after escaping, and only if requested")
    func colors() {
        let text: TerminalText = "\(TerminalText("FAIL\u{1B}").painted(.red)) \("x\u{1B}[0m")"
        #expect(text.rendered() == #"FAIL\u{1B} x\u{1B}[0m"#)
        #expect(text.rendered(usesColor: true) == "\u{1B}[31m" + #"FAIL\u{1B}"# + "\u{1B}[0m" + #" x\u{1B}[0m"#)
        let parts = text.wrapped(width: 6).map { $0.rendered(usesColor: true) }
        #expect(parts.first == "\u{1B}[31m" + #"FAIL\u"# + "\u{1B}[0m")
    }

    @Test("escaped JSON has the same value")
    func json() throws {
        let values = ["\u{9B}\u{7F}\u{202E}\u{E0041}", "::error::x", "##[group]x", "section_start:1", "é\u{FE0F}"]
        let encoded = String(decoding: try JSONEncoder().encode(values), as: UTF8.self)
        let printed = TerminalText(json: encoded).rendered()
        #expect(try JSONDecoder().decode([String].self, from: Data(printed.utf8)) == values)
        #expect(JobRunner.commands(in: printed).isEmpty)
        #expect(printed.unicodeScalars.allSatisfy(VisibleText.isSeen))
    }

    @Test("an error's evidence cannot be mistaken for kbuild's own messages")
    func failure() {
        let failure = Failure(.patch, "bad\nerror: forged", details: "PASSED: 9 passed\r\nnext: rm", nextStep: "a\nb")
        let lines = failure.terminalText.plain.split(separator: "\n")
        #expect(lines == ["error: bad", "  error: forged", "  PASSED: 9 passed", "  next: rm", "next: a", "  b"])
    }

    @Test("bytes that are not UTF-8 are shown separately")
    func invalid() {
        #expect(
            VisibleText.decoded([0x61, 0xFF, 0xC3, 0xA9, 0xE2, 0x82, 0xF0, 0x9F, 0x98, 0x80, 0xC0])
                == #"a\xFFé\xE2\x82😀\xC0"#)
        #expect(VisibleText.decoded(Array("plain é".utf8)) == "plain é")
        #expect(VisibleText.decoded([UInt8]()) == "")
    }
}
