// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Testing

@testable import Syscalls

@Suite(.timeLimit(.minutes(30))) struct SyscallSignatureTests {
    @Test func readsArgumentsGivenTogetherOrOneByOne() throws {
        let together = try SyscallSignature(name: "mine", arguments: ["const char __user *text, size_t length"])
        let single = try SyscallSignature(name: "mine", arguments: ["const char __user *text", "size_t length"])
        #expect(together == single)
        #expect(together.arguments.map(\.declaration) == ["const char __user *text", "size_t length"])
        #expect(
            together.arguments.map(\.kind) == [
                .pointer(to: .characters, isConst: true), .integer(bits: 64, isSigned: false),
            ])
        #expect(try SyscallSignature(name: "mine", arguments: []).arguments.isEmpty)
        #expect(try SyscallSignature(name: "mine", arguments: ["void"]).arguments.isEmpty)
    }

    @Test(
        arguments: [
            ("int x", .integer(bits: 32, isSigned: true)), ("unsigned x", .integer(bits: 32, isSigned: false)),
            ("unsigned long long x", .integer(bits: 64, isSigned: false)),
            ("__u16 x", .integer(bits: 16, isSigned: false)),
            ("loff_t x", .integer(bits: 64, isSigned: true)), ("void* x", .pointer(to: .bytes, isConst: false)),
            ("char const __user * x", .pointer(to: .characters, isConst: true)),
            ("unsigned int __user *x", .pointer(to: .integers(bits: 32), isConst: false)),
        ] as [(String, SyscallSignature.Kind)])
    func knowsTheTypesOfCAndTheKernel(text: String, kind: SyscallSignature.Kind) throws {
        let argument = try #require(try SyscallSignature(name: "mine", arguments: [text]).arguments.first)
        #expect(argument.kind == kind)
        #expect(argument.name == "x")
        if case .pointer = kind { #expect(argument.type.hasSuffix(" __user *")) }
    }

    @Test(
        arguments: [
            ("9lives", [], "is not a C identifier"), ("a-b", [], "is not a C identifier"),
            ("int", [], "is not a C identifier"),
            ("mine", ["int a, int b, int c, int d, int e, int f, int g"], "at most 6 arguments"),
            ("mine", ["int a", "long a"], "are named a"), ("mine", ["int"], "is not a C type and a name"),
            ("mine", ["unsigned int"], "has no name"), ("mine", ["int a,"], "is not a C type and a name"),
            ("mine", ["char **argv"], "is a pointer to a pointer"),
            ("mine", ["struct x __user *y"], "type that is not known"),
            ("mine", ["double d"], "type that is not known"), ("mine", ["int x; int y"], "is not a C type and a name"),
        ] as [(String, [String], String)])
    func refusesWhatIsNoSignature(name: String, arguments: [String], reason: String) {
        let failed = failure { _ = try SyscallSignature(name: name, arguments: arguments) }
        #expect(failed?.code == .usage)
        #expect(failed?.message.contains(reason) == true, "\(failed?.message ?? "no failure")")
        #expect(failed?.nextStep?.isEmpty == false)
    }
}
