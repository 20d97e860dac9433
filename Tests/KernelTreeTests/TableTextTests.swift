// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import Patching
import SystemPackage
import Testing

@testable import PatchedTree
@testable import Syscalls

/// What a table of system calls holds becomes C, in the kernel's build and in the header for test programs.
@Suite("Text of system-call tables", .timeLimit(.minutes(30))) struct TableTextTests {
    private let scratch: PatchScratch
    private let pristine: FilePath

    init() throws {
        scratch = try PatchScratch()
        pristine = try writeSmallKernel(to: scratch)
    }

    /// A line that reads a host's file into the programs that include the header, as it was published.
    private static let incbin =
        #"mycall/**/({asm("x:.incbin\"/etc/hostname\"\n.byte\t0");451;})//"#.replacing("\\t", with: "")

    /// Table lines that the kernel's scripts would copy into C.
    static let attacks: [(table: String, line: String, reason: String)] = [
        (SyscallTable.x8664, "451\tcommon\t\(incbin)\tsys_mycall", "is not a C identifier"),
        (SyscallTable.i386, "451\ti386\t\(incbin)\tsys_mycall", "is not a C identifier"),
        (SyscallTable.x8664, "451\tcommon\tmy\"call\tsys_mycall", #""my\"call""#),
        (SyscallTable.x8664, "451\tcommon\tmy\u{B}call\tsys_mycall", #""my\u{0B}call""#),
        (SyscallTable.x8664, "451\tcommon\tmy\u{2028}call\tsys_mycall", #""my\u{2028}call""#),
        (SyscallTable.i386, "451\ti386\tmy\u{1B}]0;x\u{7}call\tsys_mycall", #"\u{1B}]0;x\u{07}"#),
        (SyscallTable.x8664, "451\tcommon\tmyc\u{0430}ll\tsys_mycall", #""myc\u{0430}ll""#),
        (SyscallTable.x8664, "451\tcommon\t4mycall\tsys_mycall", "is not a C identifier"),
        (SyscallTable.x8664, "451+1\tcommon\tmycall\tsys_mycall", "is not a decimal number"),
        (SyscallTable.x8664, "(451)\tcommon\tmycall\tsys_mycall", "is not a decimal number"),
        (SyscallTable.x8664, "0x1c3\tcommon\tmycall\tsys_mycall", "is not a decimal number"),
        // C reads this as octal, 297.
        (SyscallTable.x8664, "0451\tcommon\tmycall\tsys_mycall", "is not a decimal number"),
        (SyscallTable.x8664, "+451\tcommon\tmycall\tsys_mycall", "is not a decimal number"),
        (SyscallTable.x8664, "1073742275\tcommon\tmycall\tsys_mycall", "is not a decimal number"),
        (SyscallTable.x8664, "451\tcommon\tmycall\tsys_mycall)__SYSCALL(452,sys_x", "the column"),
        (SyscallTable.i386, "451\ti386\tmycall\tsys_mycall\tcompat_sys_x);int(y", "the column"),
        (SyscallTable.x8664, "451\tcom$(id)mon\tmycall\tsys_mycall", "is not a plain word"),
        (SyscallTable.x8664, "451\tcommon\tmy#call\tsys_mycall", "is not a C identifier"),
    ]

    private func adding(_ line: String, to table: String) throws -> [PatchSource] {
        let old = try #require(smallKernel[table]).split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        let index = try #require(old.lastIndex { $0.hasPrefix("450\t") })
        let below = old[(index + 1)...].prefix(1)
        let patch = """
            --- a/\(table)
            +++ b/\(table)
            @@ -\(index + 1),\(1 + below.count) +\(index + 1),\(2 + below.count) @@
             \(old[index])
            +\(line)
            \(below.map { " \($0)\n" }.joined())
            """
        try scratch.write(patch, to: "evil/1.patch")
        return [try PatchSource.load(scratch.path.appending("evil"))]
    }

    @Test("an added line that is not a row is refused at its line, with the text escaped", arguments: attacks)
    func added(table: String, line: String, reason: String) throws {
        let sources = try adding(line, to: table)
        let analysis = try PatchAnalysis(pristine: pristine, sources: sources)
        let finding = try #require(
            analysis.findings.first { $0.message.contains(reason) }, "\(analysis.findings)")
        #expect(finding.severity == .error)
        #expect(finding.place.file == scratch.path.pushing("evil/1.patch").string)
        #expect(finding.place.line == 5)
        for text in analysis.findings.map(\.description) {
            #expect(text.unicodeScalars.allSatisfy { $0 == "\n" || (32..<127).contains($0.value) }, "\(text)")
        }
        // `patch check`, `run` and `build` compute the overlay alone.
        let failure = #expect(throws: Failure.self) { try TreeOverlay.compute(pristine: pristine, sources: sources) }
        #expect(failure?.code == .patch)
        #expect(analysis.added.isEmpty)
        #expect(!SyscallHeader.text(analysis.overlay.syscalls).contains("asm("))
    }

    @Test("a line of the kernel itself that is not a row is also refused", arguments: attacks)
    func standing(table: String, line: String, reason: String) throws {
        let old = try #require(smallKernel[table])
        try scratch.write(old + line + "\n", to: "pristine/\(table)")
        let analysis = try PatchAnalysis(pristine: pristine, sources: [])
        let finding = try #require(
            analysis.findings.first { $0.message.contains(reason) }, "\(analysis.findings)")
        #expect(finding.severity == .error)
        #expect(finding.place.file == table)
        #expect(finding.place.line == old.split(separator: "\n", omittingEmptySubsequences: false).count)
        let failure = #expect(throws: Failure.self) { try TreeOverlay.compute(pristine: pristine, sources: []) }
        #expect(failure?.code == .patch)
    }

    @Test("a carriage return does not hide a line in the one before it")
    func carriageReturns() throws {
        let lines = "# a comment\r\n451\tcommon\tmy\"call\tsys_mycall\r\n"
        try scratch.write(try #require(smallKernel[SyscallTable.x8664]) + lines, to: "pristine/\(SyscallTable.x8664)")
        let analysis = try PatchAnalysis(pristine: pristine, sources: [])
        #expect(analysis.findings.contains { $0.message.contains("is not a C identifier") })
    }

    @Test(
        "rows of real kernels are read",
        arguments: [
            "0\tcommon\tread\t\t\tsys_read", "59\t64\texecve\t\t\t__x64_sys_execve/ptregs", "17\ti386\tbreak",
            "1\ti386\texit\t\t\tsys_exit\t\t\t-\t\t\tnoreturn", "547\tx32\tpwritev2\t\tcompat_sys_pwritev64v2",
            "156\t64\t_sysctl\t\t\tsys_ni_syscall", "38\tstat64\tfstatat64\tsys_fstatat64",
        ])
    func rows(line: String) throws {
        guard case .row(let row) = SyscallTable.parse(line) else {
            Issue.record("\(line) is not read")
            return
        }
        #expect("\(line.split(separator: "\t")[0])" == "\(row.number)")
    }

    @Test("a stored overlay with a name that is not an identifier is refused")
    func kept() throws {
        let call = RegisteredSyscall(name: try #require(CIdentifier("mine")), number: 451, abi: .common)
        let text = String(decoding: try JSONEncoder().encode(call), as: UTF8.self)
        #expect(try JSONDecoder().decode(RegisteredSyscall.self, from: Data(text.utf8)) == call)
        let forged = text.replacing("\"mine\"", with: "\"mine;\"")
        #expect(forged != text)
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode(RegisteredSyscall.self, from: Data(forged.utf8))
        }
    }

    @Test(
        "a spec's files and folder must be names that makefiles read as one word",
        arguments: [
            ("$(shell id).c", "kernel"), ("a b.c", "kernel"), ("-x.c", "kernel"), ("a\\.c", "kernel"),
            ("box.c", "ke$(shell id)l"), ("box.c", "a b"), ("box.c", "x/-y"), ("box.c", "a:b"),
        ])
    func specNames(file: String, folder: String) throws {
        let quote = { (text: String) in "'\(text)'" }
        try scratch.write("int x;\n", to: "spec/\(file)")
        try scratch.write(
            "folder: \(quote(folder))\nsources: [\(quote(file))]\nsyscalls: [{name: box}]\n", to: "spec/syscall.yaml")
        let failure = #expect(throws: Failure.self) { try PatchSource.load(scratch.path.appending("spec")) }
        #expect(failure?.message.contains("has other characters") == true, "\(failure?.message ?? "")")
    }
}
