// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import ResultsModel

@testable import Reporting

/// Texts that try to break out of their place in a page or a table.
let nastyTexts = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "' onmouseover='alert(1)", "</pre></td></script>",
    "</style></title><h1>", "<!--", "-->", "]]>", "&lt;script&gt;", "&#60;script&#62;", "\u{0}<script>",
    "<\u{0}script>",
    "javascript:alert(1)", "\u{202E}<b>", "\u{2028}<b>", "a\r\n<b>\n</pre>", "`${alert(1)}`", "<\u{301}script>",
    "\u{FF1C}script\u{FF1E}", "\\\"><b>",
]

/// A report that has a text wherever one can be, and the console's log that goes with it.
func report(of text: String) -> (RunReport, ConsoleExcerpt) {
    var report = RunReport(
        startedAt: text, seconds: 3, project: "/" + text, profile: text,
        kernel: .init(source: text, version: text, release: text, identity: text),
        machine: .init(
            type: text, accelerator: text, acceleratorReason: text, memoryMegabytes: 1, cpus: 1, rootfs: text,
            results: text, qemuVersion: text),
        syscalls: [.init(name: text, number: 1)],
        steps: [
            .init(name: text, outcome: text, seconds: 1, detail: text, startSeconds: 0),
            .init(name: text, outcome: "failed", seconds: 1, detail: text),
        ],
        suites: [
            .init(
                name: text, kind: text,
                tests: TestStatus.allCases.map {
                    .init(
                        id: text, name: text + "!", status: $0, seconds: 1, reason: text,
                        issues: [
                            .init(message: text, file: text, line: 1), .init(message: text, isKnown: true),
                        ], kernelLog: [text], output: [text])
                }, problems: [text], output: [text])
        ],
        crashes: [
            .init(title: text, isFatal: true, test: text, lines: [text]),
            .init(title: text, isFatal: false, lines: [text]),
        ],
        errors: [.init(Failure(.infrastructure, text, details: text, nextStep: text))],
        artifacts: .init(folder: text, console: text, buildLog: text))
    for index in report.crashes.indices {
        report.crashes[index].function = text
        report.crashes[index].task = text
        report.crashes[index].corruption = text
        report.crashes[index].firstLine = index + 1
        report.crashes[index].lastLine = index + 1
        report.crashes[index].frames = [
            .init(
                symbol: text, offset: 1, size: 2, module: text, isReliable: index == 0,
                locations: [.init(function: text + "!", file: text, line: 1)])
        ]
    }
    report.filter = text
    report.kbuildVersion = text
    report.host = text
    report.commandLine = text
    report.configuration = text
    report.commands = [text]
    report.kernel?.compiler = text
    let oneLine = text.replacingOccurrences(of: "\r", with: " ").replacingOccurrences(of: "\n", with: " ")
    return (report, ConsoleExcerpt(text: [oneLine, oneLine, oneLine].joined(separator: "\n"), omittedBytes: 7))
}
