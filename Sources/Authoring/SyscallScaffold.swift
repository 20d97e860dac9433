// SPDX-License-Identifier: Apache-2.0
import Foundation
import Syscalls

/// The files of a new system call: a spec, a C file that checks its arguments, the contract, and a suite that tests it.
package struct SyscallScaffold {
    package let signature: SyscallSignature

    /// Creates the scaffold of a call.
    package init(signature: SyscallSignature) { self.signature = signature }

    /// The longest buffer in bytes that the call accepts, and the longest string with its NUL: a page, so that a buffer
    /// of that length can end at a guard page.
    static let bound = 4096

    private typealias Argument = SyscallSignature.Argument

    private var name: String { signature.name }
    /// The name `hello_there` in the form of a Swift type: HelloThere.
    package static func typeName(_ name: String) -> String {
        let words = name.split { $0 == "_" || $0 == "-" }.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
        return words.first?.isLetter == true ? words : "Syscall" + words
    }
    package var suite: String { Self.typeName(name) + "Tests" }

    // MARK: The arguments' roles

    /// The role of an argument in the scaffolded call.
    private enum Role {
        /// A number that must not be negative, if its type is signed.
        case number(bits: Int, isSigned: Bool)
        /// The length in bytes of the pointer before it.
        case length(bits: Int, isSigned: Bool)
        /// A string to read.
        case string
        /// Memory to read or write, with the length in the next argument, or one element.
        case memory(isRead: Bool, length: String?, element: Int)
    }

    private struct ArgumentRole {
        var argument: Argument
        var role: Role
    }

    private var roles: [ArgumentRole] {
        let arguments = signature.arguments
        return arguments.enumerated().map { index, argument in
            switch argument.kind {
            case .integer(let bits, let isSigned):
                return ArgumentRole(
                    argument: argument,
                    role: index > 0 && isLength(argument, of: arguments[index - 1])
                        ? .length(bits: bits, isSigned: isSigned) : .number(bits: bits, isSigned: isSigned)
                )
            case .pointer(let pointee, let isConst):
                let next = index + 1 < arguments.count ? arguments[index + 1] : nil
                let length = next.flatMap { isLength($0, of: argument) ? $0.name : nil }
                if isConst, pointee == .characters, length == nil {
                    return ArgumentRole(argument: argument, role: .string)
                }
                let element = if case .integers(let bits) = pointee { bits / 8 } else { 1 }
                return ArgumentRole(
                    argument: argument, role: .memory(isRead: isConst, length: length, element: element))
            }
        }
    }

    /// Whether a number is the length of the memory before it: a size_t, or a number with such a name.
    private func isLength(_ number: Argument, of pointer: Argument) -> Bool {
        guard case .integer(let bits, _) = number.kind, bits >= 32, case .pointer(let pointee, _) = pointer.kind,
            pointee == .bytes || pointee == .characters
        else { return false }
        let names = ["len", "length", "size", "count", "n", "nbytes", "bytes"]
        return number.type == "size_t" || names.contains { number.name == $0 || number.name.hasSuffix("_" + $0) }
    }

    private func rolesContain(_ isWanted: (Role) -> Bool) -> Bool { roles.contains { isWanted($0.role) } }
    private var readsMemory: Bool { rolesContain { if case .memory(isRead: true, _, _) = $0 { true } else { false } } }
    private var writesMemory: Bool {
        rolesContain { if case .memory(isRead: false, _, _) = $0 { true } else { false } }
    }
    private var readsString: Bool { rolesContain { if case .string = $0 { true } else { false } } }
    private var hasLength: Bool { rolesContain { if case .length = $0 { true } else { false } } }
    private var isBounded: Bool { hasLength || readsString }

    // MARK: syscall.yaml

    package var spec: String { Self.spec([self], file: name) }

    /// The spec of calls that share a C file.
    ///
    /// - Parameter file: The C file's name without `.c`.
    package static func spec(_ calls: [SyscallScaffold], file: String) -> String {
        [
            "# kbuild copies \(file).c to kernel/ of the tree and registers \(calls.count == 1 ? "the call" : "the calls") there.",
            "folder: kernel", "sources: [\(file).c]", "syscalls:",
        ].text + calls.map(\.specEntry).joined()
    }

    /// The call's entry in a list of calls.
    package var specEntry: String {
        var lines = ["  - name: \(name)"]
        if signature.arguments.isEmpty {
            lines.append("    arguments: []")
        } else {
            lines.append("    arguments:")
            lines += signature.arguments.map { "      - \($0.declaration)" }
        }
        return lines.text
    }

    // MARK: The C file

    private var limit: String { name.uppercased() + "_MAX" }

    package var source: String { Self.source([self]) }

    /// The C file of calls that share one.
    package static func source(_ calls: [SyscallScaffold]) -> String {
        let names = calls.map(\.name).joined(separator: ", ")
        let what = calls.count == 1 ? "checks its arguments and returns 0" : "check their arguments and return 0"
        let includes = Set(calls.flatMap(\.includes)).sorted()
        return
            (["// SPDX-License-Identifier: GPL-2.0", "/*", " * \(names): \(what).", " */"] + includes
            + calls.flatMap(\.code)).text
    }

    /// A C file with the call added at the end, and missing headers added after the last one.
    package func adding(to source: String) -> String {
        // The CR of CR LF is kept.
        var lines = source.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        while lines.last?.isEmpty == true { lines.removeLast() }
        let present = Set(lines.map { $0.filter { !$0.isWhitespace } })
        let missing = includes.filter { !present.contains($0.filter { !$0.isWhitespace }) }
        let last = lines.lastIndex { $0.hasPrefix("#include") }
        lines.insert(contentsOf: missing, at: last.map { $0 + 1 } ?? 0)
        return (lines + code).text
    }

    /// The headers that the call's code needs, in the order of their names.
    private var includes: [String] {
        var lines = ["#include <linux/errno.h>"]
        if readsMemory { lines.append("#include <linux/err.h>") }
        if !pointers.isEmpty { lines.append("#include <linux/slab.h>") }
        if readsMemory || readsString { lines.append("#include <linux/string.h>") }
        lines.append("#include <linux/syscalls.h>")
        if writesMemory || readsString { lines.append("#include <linux/uaccess.h>") }
        return lines.sorted()
    }

    /// The call's own lines of the C file.
    private var code: [String] {
        var lines: [String] = []
        if isBounded || readsMemory || writesMemory {
            lines += ["", "/* The longest buffer in bytes, and the longest string with its NUL. */"]
            lines.append("#define \(limit)\t\(Self.bound)")
        }
        if readsMemory {
            lines +=
                helper("read", "const void __user *from") + [
                    "\tvoid *copy;", "", "\tif (length > \(limit))", "\t\treturn -E2BIG;",
                    "\tcopy = memdup_user(from, length);", "\tif (IS_ERR(copy))", "\t\treturn PTR_ERR(copy);",
                    "\t/* What the call does with the bytes comes here. */", "\tkfree(copy);", "\treturn 0;", "}",
                ]
        }
        if writesMemory {
            lines +=
                helper("write", "void __user *to") + [
                    "\tlong result = 0;", "\tvoid *bytes;", "", "\tif (length > \(limit))", "\t\treturn -E2BIG;",
                    "\tbytes = kzalloc(length, GFP_KERNEL);", "\tif (!bytes)", "\t\treturn -ENOMEM;",
                    "\t/* What the call hands out comes here; now it is zeros. */",
                    "\tif (copy_to_user(to, bytes, length))", "\t\tresult = -EFAULT;", "\tkfree(bytes);",
                    "\treturn result;", "}",
                ]
        }
        if readsString {
            lines += [
                "", "static long \(name)_read_string(const char __user *from)", "{", "\tchar *text;", "\tlong length;",
                "",
                "\ttext = kmalloc(\(limit), GFP_KERNEL);", "\tif (!text)", "\t\treturn -ENOMEM;",
                // strndup_user treats a negative strnlen_user, which user-mode Linux returns for a bad address, as a
                // length.
                "\t/* -EFAULT for a bad address; \(limit) for a string without an end. */",
                "\tlength = strncpy_from_user(text, from, \(limit));",
                "\tif (length == \(limit))", "\t\tlength = -EINVAL;",
                "\t/* What the call does with the string comes here, unless length < 0. */", "\tkfree(text);",
                "\treturn length < 0 ? length : 0;", "}",
            ]
        }
        return lines + [""] + definition
    }

    private func helper(_ verb: String, _ parameter: String) -> [String] {
        ["", "static long \(name)_\(verb)(\(parameter), size_t length)", "{"]
    }

    private var pointers: [Argument] {
        signature.arguments.filter { if case .pointer = $0.kind { true } else { false } }
    }

    /// SYSCALL_DEFINEn with the checks: all numbers first, then the memory in the order of the arguments.
    private var definition: [String] {
        var head = ["SYSCALL_DEFINE\(signature.arguments.count)(\(name)"]
        for argument in signature.arguments {
            head[head.count - 1] += ","
            let piece = "\(argument.type), \(argument.name)"
            if head[head.count - 1].count + piece.count + 3 > 80 {
                head.append("\t\t" + piece)
            } else {
                head[head.count - 1] += " " + piece
            }
        }
        head[head.count - 1] += ")"
        var body: [String] = []
        for entry in roles {
            let (argument, role) = (entry.argument, entry.role)
            switch role {
            case .number(_, isSigned: true), .length(_, isSigned: true):
                body += ["\tif (\(argument.name) < 0)", "\t\treturn -EINVAL;"]
            default: break
            }
        }
        let taken = signature.arguments.map(\.name)
        let result = ["result", "status", "outcome"].first { !taken.contains($0) } ?? "kbuild_result"
        for entry in roles {
            let (argument, role) = (entry.argument, entry.role)
            let call: String
            switch role {
            case .number, .length: continue
            case .string: call = "\(name)_read_string(\(argument.name))"
            case .memory(let isRead, let length, let element):
                let size = length ?? (element == 1 ? "1" : "sizeof(*\(argument.name))")
                call = "\(name)_\(isRead ? "read" : "write")(\(argument.name), \(size))"
            }
            body += ["\t\(result) = \(call);", "\tif (\(result))", "\t\treturn \(result);"]
        }
        if !pointers.isEmpty { body.insert(contentsOf: ["\tlong \(result);", ""], at: 0) }
        return head + ["{"] + body + ["\treturn 0;", "}"]
    }

    // MARK: README.md

    package var readme: String {
        let parameters = signature.arguments.map { $0.declaration.replacing(" __user", with: "") }
        var lines = [
            "# \(name)", "", "A scaffold: the call checks its arguments and does nothing else yet.", "",
            "    long \(name)(\(parameters.isEmpty ? "void" : parameters.joined(separator: ", ")));", "",
        ]
        if isBounded {
            lines += ["Bound: a buffer or string has at most \(Self.bound) bytes, a string's NUL included.", ""]
        }
        lines += ["| result | when |", "|---|---|", "| 0 | the arguments are valid |"]
        for entry in roles {
            let (argument, role) = (entry.argument, entry.role)
            let name = "`\(argument.name)`"
            switch role {
            case .number(_, let isSigned): if isSigned { lines.append("| EINVAL | \(name) is negative |") }
            case .length(_, let isSigned):
                if isSigned { lines.append("| EINVAL | \(name) is negative |") }
                lines.append("| E2BIG | \(name) is above the bound |")
            case .string:
                lines += ["| EFAULT | \(name) cannot be read |", "| EINVAL | \(name) does not end within the bound |"]
            case .memory(let isRead, _, _):
                lines.append("| EFAULT | \(name) cannot be \(isRead ? "read" : "written") |")
            }
        }
        return lines.text
    }

    // MARK: The suite

    package var tests: String {
        let needsMemory = !pointers.isEmpty
        var lines = ["import SyscallNumbers", "import SyscallTesting", "import Testing", "", "@Suite(\"\(name)\")"]
        lines += ["struct \(suite) {"]
        if isBounded {
            lines += [
                "    /// The longest buffer or string, as kernel/\(name) documents it.",
                "    static let bound = \(Self.bound)",
            ]
        }
        lines += ["    /// A call with valid arguments, any of which a test may change.", "    private struct Call {"]
        for entry in roles {
            let (argument, role) = (entry.argument, entry.role)
            switch role {
            case .number(let bits, let isSigned):
                lines.append("        var \(swiftName(argument)): \(swiftType(bits, isSigned)) = 1")
            case .length(let bits, let isSigned):
                lines.append("        var \(swiftName(argument)): \(swiftType(bits, isSigned)) = 16")
            case .string, .memory: lines.append("        var \(swiftName(argument)): UnsafeMutableRawPointer?")
            }
        }
        if !signature.arguments.isEmpty { lines.append("") }
        let passed = (["__NR_\(name)"] + signature.arguments.map(swiftName)).joined(separator: ", ")
        lines += [
            "        @discardableResult", "        func callAsFunction() throws(Errno) -> Int {",
            "            try syscall(\(passed))", "        }", "    }", "",
        ]
        if needsMemory {
            lines += pointers.map { "    private let \(memoryName($0)): GuardedBuffer" }
            let valid = pointers.map { "\(swiftName($0)): \(memoryName($0)).bytes.baseAddress" }
            lines += ["    private var valid: Call {", "        Call("]
            lines.append(valid.map { "            " + $0 }.joined(separator: ",\n") + ")")
            lines += ["    }", "", "    init() throws {"]
            for (argument, role) in roles.map({ ($0.argument, $0.role) }) where isPointer(argument) {
                lines.append("        \(memoryName(argument)) = try GuardedBuffer(count: \(memorySize(role)))")
            }
            lines += ["    }", ""]
        } else {
            lines += ["    private let valid = Call()", ""]
        }
        lines += [
            "    @Test(\"valid arguments give 0\")", "    func validArguments() throws {",
            "        #expect(try valid() == 0)", "    }",
        ]
        for entry in roles { lines += testsOf(entry.argument, entry.role) }
        return (lines + ["}"]).text
    }

    private func isPointer(_ argument: Argument) -> Bool { if case .pointer = argument.kind { true } else { false } }

    private func memorySize(_ role: Role) -> String {
        switch role {
        case .string: "Self.bound"
        case .memory(_, let length, let element): length == nil ? "\(element)" : "Self.bound"
        case .number, .length: "1"
        }
    }

    private func swiftType(_ bits: Int, _ isSigned: Bool) -> String {
        bits == 64 ? (isSigned ? "Int" : "UInt") : (isSigned ? "Int32" : "UInt32")
    }

    /// Swift's keywords get a final underscore.
    private func swiftName(_ argument: Argument) -> String {
        Self.swiftWords.contains(argument.name) ? argument.name + "_" : argument.name
    }

    private func memoryName(_ argument: Argument) -> String { argument.name + "Memory" }

    private static let swiftWords: Set<String> = [
        "as", "associatedtype", "catch", "class", "deinit", "defer", "extension", "fallthrough", "fileprivate", "func",
        "guard", "import", "in", "init", "inout", "internal", "is", "let", "nil", "operator", "precedencegroup",
        "private", "protocol", "public", "repeat", "rethrows", "self", "Self", "subscript", "super", "throw", "throws",
        "try", "var", "where", "Any", "Type", "Protocol", "syscall", "callAsFunction",
    ]

    private func test(_ title: String, _ arguments: String? = nil, _ function: String, _ body: [String]) -> [String] {
        ["", "    @Test(\"\(title)\"\(arguments.map { ", arguments: \($0)" } ?? ""))", "    func \(function) {"]
            + body.map { "        " + $0 } + ["    }"]
    }

    private func testsOf(_ argument: Argument, _ role: Role) -> [String] {
        let name = swiftName(argument)
        let title = Self.typeName(argument.name)
        func expectError(_ error: String, _ value: String) -> [String] {
            ["var call = valid", "call.\(name) = \(value)", "#expect(throws: Errno.\(error)) { try call() }"]
        }
        switch role {
        case .number(let bits, let isSigned):
            let type = swiftType(bits, isSigned)
            if isSigned {
                let lowest = bits < 32 ? "-\(1 << (bits - 1))" : ".min"
                return test(
                    "a negative \(argument.name) is EINVAL", "[\(type)(-1), \(lowest)]",
                    "negative\(title)(value: \(type))",
                    expectError("EINVAL", "value"))
            }
            let highest = bits < 32 ? "\((1 << bits) - 1)" : ".max"
            return test(
                "any \(argument.name) is taken", "[\(type)(0), \(highest)]", "any\(title)(value: \(type)) throws",
                ["var call = valid", "call.\(name) = value", "#expect(try call() == 0)"])
        case .length(let bits, let isSigned):
            let type = swiftType(bits, isSigned)
            var lines = test(
                "\(argument.name) up to the bound is taken", "[0, 1, \(suite).bound]",
                "valid\(title)(length: Int) throws",
                ["var call = valid", "call.\(name) = \(type)(length)", "#expect(try call() == 0)"])
            lines += test(
                "\(argument.name) above the bound is E2BIG", nil, "excessive\(title)()",
                expectError("E2BIG", "\(type)(Self.bound + 1)"))
            if isSigned {
                lines += test(
                    "a negative \(argument.name) is EINVAL", "[\(type)(-1), .min]", "negative\(title)(value: \(type))",
                    expectError("EINVAL", "value"))
            }
            return lines
        case .string:
            var lines = test(
                "\(argument.name) that cannot be read is EFAULT", "BadPointer.allCases",
                "bad\(title)(pointer: BadPointer)",
                expectError("EFAULT", "pointer.address"))
            lines += test(
                "\(argument.name) may be as long as the bound; without an end it is EINVAL", nil,
                "longest\(title)() throws",
                [
                    "let text = \(memoryName(argument)).bytes",
                    "for index in text.indices.dropLast() { text[index] = 120 }", "#expect(try valid() == 0)",
                    "text[text.count - 1] = 120", "#expect(throws: Errno.EINVAL) { try valid() }",
                ])
            return lines
        case .memory(let isRead, let length, let element):
            var lines = test(
                "\(argument.name) that cannot be \(isRead ? "read" : "written") is EFAULT", "BadPointer.allCases",
                "bad\(title)(pointer: BadPointer)", expectError("EFAULT", "pointer.address"))
            if !isRead {
                // Valid calls write 16 bytes when there is a length.
                let count = length == nil ? element : 16
                var body = [
                    "let bytes = \(memoryName(argument)).bytes",
                    "for index in bytes.indices { bytes[index] = 0xA5 }", "#expect(try valid() == 0)",
                    "#expect(bytes.prefix(\(count)).allSatisfy { $0 == 0 })",
                ]
                if length != nil { body.append("#expect(bytes.dropFirst(\(count)).allSatisfy { $0 == 0xA5 })") }
                lines += test(
                    length == nil ? "\(argument.name) is written" : "\(argument.name) is written as far as it goes",
                    nil,
                    "written\(title)() throws", body)
            }
            lines += test(
                "\(argument.name) that runs into an untouchable page is EFAULT", nil, "cut\(title)()",
                cut(argument, length: length, element: element))
            return lines
        }
    }

    private func cut(_ argument: Argument, length: String?, element: Int) -> [String] {
        let back = length == nil ? element - 1 : 15
        return [
            "var call = valid",
            "call.\(swiftName(argument)) = \(memoryName(argument)).end\(back == 0 ? "" : " - \(back)")",
            "#expect(throws: Errno.EFAULT) { try call() }",
        ]
    }
}

extension [String] {
    /// The lines as a file's text.
    fileprivate var text: String { map { $0 + "\n" }.joined() }
}
