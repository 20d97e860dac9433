// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import ResultsModel
import Syscalls
import SystemPackage
import TestSession
import Testing

@testable import Application
@testable import GuestSession
@testable import Project

@Suite("Input for a guest", .timeLimit(.minutes(30)))
struct EscapeFilterTests {
    private func actions(_ pieces: String...) -> [EscapeFilter.Action] {
        var filter = EscapeFilter()
        return pieces.flatMap { filter.consume($0.utf8) }
    }

    private func send(_ text: String) -> EscapeFilter.Action { .send(Array(text.utf8)) }

    @Test("a tilde and a key at the beginning of a line are kbuild's, in one piece or two")
    func escapes() {
        #expect(actions("~.") == [.end])
        #expect(actions("~", ".") == [.end])
        #expect(actions("ls\r~?ls") == [send("ls\r"), .help, send("ls")])
        #expect(actions("~k~k") == [.toggleKernelMessages, .toggleKernelMessages])
        #expect(actions("\n~\u{1A}") == [send("\n"), .suspend])
    }

    @Test("all other input is the guest's")
    func plain() {
        #expect(actions("a~.") == [send("a~.")])
        #expect(actions("~~.") == [send("~.")])
        #expect(actions("~x~.") == [send("~x~.")])
        #expect(actions("~\r~.") == [send("~\r"), .end])
        #expect(actions("~") == [])
    }

    @Test("the terminal's answer about its cursor does not end a line's beginning; other keys do")
    func reports() {
        #expect(actions("ls\r\u{1B}[12;22R~.") == [send("ls\r\u{1B}[12;22R"), .end])
        #expect(actions("x\u{1B}[12;22R~.") == [send("x\u{1B}[12;22R~.")])
        #expect(actions("\r\u{1B}[A~.") == [send("\r\u{1B}[A~.")])
    }
}

@Suite("The environment of a shell in the guest", .timeLimit(.minutes(30)))
struct ShellFolderTests {
    private let calls: [RegisteredSyscall]

    init() throws {
        let name = try #require(CIdentifier("hello"))
        calls = [.init(name: name, number: 451, abi: .common), .init(name: name, number: 452, abi: .i386)]
    }

    private func folder(_ command: [String]?, shares: [Project.SharedFolder] = []) -> ShellFolder {
        ShellFolder(
            syscalls: calls, version: "6.1", programs: [], shares: shares,
            request: ShellRequest(command: command, isTerminal: command == nil, terminalName: "xterm"))
    }

    @Test("numbers, programs and the terminal's name are in its environment, and its kind is in the plan")
    func environment() throws {
        let planned = folder(nil).planned
        #expect(planned.environment.contains("NR_hello=451"))
        #expect(planned.environment.contains("NR_ia32_hello=452"))
        #expect(planned.environment.contains("TERM=xterm"))
        #expect(planned.environment.contains { $0.hasPrefix("PATH=/kbuild/programs/bin:") })
        #expect(try SessionPlan(programs: [planned]).encoded().contains("\nprogram terminal 0\n"))
        #expect(
            try SessionPlan(programs: [folder(["ls"]).planned]).encoded().contains("\nprogram streams 0\n"))
    }

    @Test("a command is quoted word by word")
    func command() {
        let script = folder(
            ["printf", "%s", "it's\n$HOME"],
            shares: [.init(path: "/host", target: "/root/a b", isWritable: true)]
        ).script
        #expect(script == "cd '/root/a b' 2>/dev/null || cd /tmp\nexec printf %s 'it'\\''s\n$HOME'\n")
    }

    @Test("the greeting names what the guest lacks, with the option that gives it")
    func hints() throws {
        let scratch = FilePath(FileManager.default.temporaryDirectory.path).appending("shell-\(UUID().uuidString)")
        defer { try? removeAll(scratch) }
        func hints(_ yaml: String) throws -> String {
            try createFolder(scratch)
            let file = scratch.appending("kbuild.yaml")
            try writeAtomically("kernel: {config: [a], uml-config: [a]}\n" + yaml, to: file)
            return ShellFolder.hints(for: try Project.load(file)).joined(separator: "\n")
        }
        #expect(try hints("").contains("--network user") && hints("").contains("--rootfs debian"))
        #expect(try !hints("network: {type: user}\n").contains("--network"))
        #expect(try !hints("machine: {type: uml}\n").contains("--network"))
        #expect(try hints("rootfs: {type: debian}\n").contains("apt cannot install anything"))
        #expect(try !hints("rootfs: {type: host}\n").contains("--rootfs"))
    }

    @Test("the exit code is the program's, unless another error occurred")
    func exitCodes() {
        var result = ShellResult(ending: .exited(3))
        #expect(result.exitCode == 3)
        result.ending = .signaled(9)
        #expect(result.exitCode == 137)
        result.wasHungUp = true
        #expect(result.exitCode == 130)
        result.failures = [Failure(.guestCrash, "")]
        #expect(result.exitCode == 5)
        #expect(ShellResult(ending: nil).exitCode == 7)
        #expect(ShellResult(ending: .timedOut).exitCode == 6)
    }

    @Test("input is sent as hexadecimal digits")
    func input() {
        #expect(GuestInput.encoded([0, 0x7E, 0xFF]) == Array("in 007eff\n".utf8))
    }
}
