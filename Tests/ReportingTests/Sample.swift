// SPDX-License-Identifier: Apache-2.0
import ResultsModel

@testable import Reporting

/// A report with something of everything.
func sample() -> RunReport {
    var report = RunReport(
        startedAt: "2026-01-02T03:04:05Z", seconds: 12.3456, project: "/p", profile: "fast",
        kernel: .init(source: "linux-source-6.1", version: "6.1.192", release: "6.1.192"),
        machine: .init(
            type: "q35", accelerator: "tcg", acceleratorReason: "no /dev/kvm", memoryMegabytes: 512, cpus: 2,
            rootfs: "disk", results: "virtio"),
        syscalls: [.init(name: "call", number: 451)],
        steps: [
            .init(name: "compile", outcome: "hit", seconds: 0.001, detail: "", startSeconds: 0.5),
            .init(name: "test", outcome: "made", seconds: 3.5, detail: "2 of 4", startSeconds: 1),
        ],
        suites: [
            .init(
                name: "suite", kind: "swift-testing",
                tests: [
                    .init(id: "M.S/good()", name: "good works", status: .passed, seconds: 0.0004),
                    .init(
                        id: "M.S/bad()", name: "bad works", status: .failed, seconds: 1.5,
                        issues: [.init(message: "Expectation failed: a == b", file: "/p/T.swift", line: 12)],
                        kernelLog: ["[    1.0] the kernel's word"]),
                    .init(id: "M.S/gone()", name: "gone", status: .notReported, reason: "the guest panicked"),
                    .init(id: "M.S/later()", name: "later", status: .skipped, reason: "not today"),
                ], output: ["printed"])
        ],
        crashes: [
            .init(title: "WARNING in f", isFatal: false, test: "M.S/bad()", lines: ["[ 1.0] WARNING", "[ 1.1] trace"])
        ], artifacts: .init(folder: "/r", console: "/r/console.log"))
    report.crashes[0].kind = .warning
    report.crashes[0].function = "f"
    report.crashes[0].cpu = 1
    report.crashes[0].task = "probe"
    report.crashes[0].pid = 42
    report.crashes[0].corruption = "its end is missing"
    report.crashes[0].firstLine = 7
    report.crashes[0].lastLine = 8
    report.crashes[0].frames = [
        .init(
            symbol: "f.isra.0", offset: 16, size: 32, module: "m",
            locations: [
                .init(function: "g", file: "kernel/f.c", line: 12), .init(function: "f", file: "kernel/f.c", line: 3),
            ])
    ]
    report.kernel?.compiler = "gcc 12.2.0"
    report.machine?.qemuVersion = "QEMU emulator version 7.2"
    report.guests = .init(
        count: 2, maxConcurrentGuests: 1, isFromSnapshot: true, medianStartSeconds: 0.1, medianSeconds: 0.2)
    report.filter = "M.S"
    report.kbuildVersion = "0.1.0"
    report.host = "Linux 6.1 x86_64"
    report.commandLine = "kbuild test M.S"
    report.configuration = "kernel:\n  source: linux-source-6.1"
    report.commands = ["make -j2", "qemu-system-x86_64 -M q35"]
    return report
}
