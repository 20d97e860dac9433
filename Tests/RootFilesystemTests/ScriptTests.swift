// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import SystemPackage
import Testing

@testable import RootFilesystem

@Suite("Scripts", .timeLimit(.minutes(30)))
struct ScriptTests {
    private func withProgram<Result>(_ text: String, _ body: (FilePath) throws -> Result) throws -> Result {
        let file = FilePath(NSTemporaryDirectory()).appending("script-\(UInt64.random(in: 0 ... .max))")
        try writeAtomically(text, to: file)
        defer { try? removeAll(file) }
        return try body(file)
    }

    @Test("the first line names the interpreter and its argument")
    func interpreter() throws {
        try withProgram("#!/bin/sh -e\nexit 0\n") { file in
            let script = try #require(try Script(file))
            #expect(script.interpreter == "/bin/sh")
            #expect(script.argument == "-e")
        }
        #expect(try withProgram("#! /usr/bin/env\tawk \n") { try Script($0)?.argument } == "awk")
        #expect(try withProgram("\u{7F}ELF") { try Script($0)?.interpreter } == nil)
        #expect(try withProgram("") { try Script($0)?.interpreter } == nil)
    }

    @Test("a first line without an interpreter is an error", arguments: ["#!\n", "#!sh\n", "#!/bin/sh\r\n"])
    func broken(text: String) throws {
        try withProgram(text) { file in
            let failure = #expect(throws: Failure.self) { try Script(file) }
            #expect(failure?.code == .usage)
        }
    }

    @Test("an interpreter that the guest does not have is an error that names it")
    func missing() throws {
        var tree = GuestTree()
        try tree.add(GuestEntry(kind: .file(.bytes([])), mode: 0o755), at: "/bin/busybox")
        try tree.add(GuestEntry(kind: .link("busybox"), mode: 0o777), at: "/bin/sh")
        try tree.add(GuestEntry(kind: .link("busybox"), mode: 0o777), at: "/bin/env")
        for (line, missing) in [
            ("#!/bin/sh", nil), ("#!/bin/env sh", nil), ("#!/usr/bin/python3", "/usr/bin/python3"),
            ("#!/bin/env python3", "python3"), ("#!/bin/bash -e", "/bin/bash"),
        ] {
            try withProgram(line + "\n") { file in
                let script = try #require(try Script(file))
                if let missing {
                    let failure = #expect(throws: Failure.self) { try script.check(file, in: tree) }
                    #expect(failure?.code == .usage)
                    #expect(failure?.message.contains("a script for \(missing), which the guest") == true)
                } else {
                    try script.check(file, in: tree)
                }
            }
        }
    }
}
