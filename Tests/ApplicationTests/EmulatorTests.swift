// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import SystemPackage
import Testing

@testable import Application
@testable import Doctor
@testable import Project

@Suite("QEMU's version, and suites in the kernel", .timeLimit(.minutes(30)))
struct EmulatorTests {
    @Test(
        "a version that is new enough is accepted", arguments: ["7.1.0", "7.2.17", "8.0", "10.1.2"])
    func newEnough(version: String) throws {
        #expect(try Emulator.version(in: "QEMU emulator version \(version) (Debian 1:\(version)+dfsg)\n") == version)
    }

    @Test("an old or unknown version is reported", arguments: ["QEMU emulator version 7.0.0", "5.2.0", "", "words"])
    func tooOld(text: String) {
        #expect(throws: Failure.self) { try Emulator.version(in: text) }
    }

    @Test("with kunit on the command line only KUnit runs, with the pattern if there is one")
    func kunit() throws {
        let text = "tests: [{kunit: \"list*\", timeout: 7}, {program: /x}]"
        let project = try Project.load(text: text, file: "/p/kbuild.yaml", profile: nil, overrides: [])
        #expect(project.tests.first == .kunit(pattern: "list*", timeout: 7))
        #expect(project.rendered().contains("- {kunit: \"list*\", timeout: 7}"))
        #expect(project.selecting("kunit").project.tests == [.kunit(pattern: "*", timeout: nil)])
        #expect(project.selecting("kunit:bits?").project.tests == [.kunit(pattern: "bits?", timeout: nil)])
        #expect(project.selecting("kunit:a b").filter == "kunit:a b")
        #expect(KUnitTests.kernelArguments(project.tests) == ["log_buf_len=8M", "kunit.filter_glob=list*"])
        #expect(KUnitTests.kernelArguments([.kunit(pattern: "*", timeout: nil)]) == ["log_buf_len=8M"])
        #expect(KUnitTests.kernelArguments([]) == [])
        #expect(throws: Failure.self) {
            try Project.load(
                text: "tests: [{kunit: \"a init=/bin/sh\"}]", file: "/p/kbuild.yaml", profile: nil, overrides: [])
        }
    }
}
