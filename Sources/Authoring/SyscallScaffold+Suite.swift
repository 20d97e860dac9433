// SPDX-License-Identifier: Apache-2.0
import ProjectTemplate
import Syscalls

/// The suite of a scaffolded call.
extension SyscallScaffold {
    /// The sections of Templates/suite.template.
    package enum SuiteSection: String, CaseIterable, Sendable {
        case file, bound, number, pointer, memory
        case validWithMemory = "valid with memory"
        case value, buffer
        case validWithoutMemory = "valid without memory"
        case negative, any, length
        case badPointer = "bad pointer"
        case string, written, rest, cut
    }

    package static let suiteTemplate = Template<SuiteSection>(PackageResources.suite_template)

    package var tests: String {
        let template = Self.suiteTemplate
        var arguments = roles.flatMap(declaration)
        if !arguments.isEmpty { arguments.append("") }
        let memory = pointers.flatMap { template.lines(.memory, ["memory": memoryName($0)]) }
        let bound = template.lines(.bound, ["call": signature.name, "bound": "\(Self.bound)"])
        return template.text(
            .file,
            [
                "call": signature.name, "suite": suite, "bound": isBounded ? bound.joinedLines : "",
                "arguments": arguments.joinedLines,
                "passed": (["__NR_\(signature.name)"] + signature.arguments.map(swiftName)).joined(separator: ", "),
                "memory": memory.joinedLines, "valid": valid.joinedLines,
                "tests": roles.flatMap(tests).joinedLines,
            ])
    }

    /// How the suite declares an argument of the call.
    private func declaration(_ entry: ArgumentRole) -> [String] {
        var values = ["name": swiftName(entry.argument)]
        switch entry.role {
        case .number(let bits, let isSigned):
            (values["type"], values["value"]) = (swiftType(bits, isSigned), "1")
        case .length(let bits, let isSigned):
            (values["type"], values["value"]) = (swiftType(bits, isSigned), "\(Self.validLength)")
        case .string, .memory: return Self.suiteTemplate.lines(.pointer, values)
        }
        return Self.suiteTemplate.lines(.number, values)
    }

    /// The length in bytes that the suite's valid call has, where it has one.
    private static let validLength = 16

    /// What makes a valid call, and its memory.
    private var valid: [String] {
        let template = Self.suiteTemplate
        if pointers.isEmpty { return template.lines(.validWithoutMemory) }
        let values = pointers.flatMap {
            template.lines(.value, ["name": swiftName($0), "memory": memoryName($0)])
        }
        let buffers = roles.flatMap { entry in
            memorySize(entry.role).map {
                template.lines(.buffer, ["memory": memoryName(entry.argument), "size": $0])
            } ?? []
        }
        return template.lines(
            .validWithMemory, ["values": values.joined(separator: ",\n"), "buffers": buffers.joinedLines])
    }

    /// The bytes of memory that an argument points at; nil for a number.
    private func memorySize(_ role: Role) -> String? {
        switch role {
        case .string: "Self.bound"
        case .memory(_, let length, let element): length == nil ? "\(element)" : "Self.bound"
        case .number, .length: nil
        }
    }

    private func swiftType(_ bits: Int, _ isSigned: Bool) -> String {
        bits == 64 ? (isSigned ? "Int" : "UInt") : (isSigned ? "Int32" : "UInt32")
    }

    /// Swift's own words end in an underscore here.
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

    /// The tests of an argument.
    private func tests(_ entry: ArgumentRole) -> [String] {
        let argument = entry.argument
        var values = [
            "argument": argument.name, "name": swiftName(argument), "title": Self.typeName(argument.name),
            "suite": suite, "memory": memoryName(argument),
        ]
        var sections: [SuiteSection]
        switch entry.role {
        case .number(let bits, let isSigned):
            values["type"] = swiftType(bits, isSigned)
            // The suite's type is wider than a number of 8 or 16 bits.
            values["lowest"] = bits < 32 ? "-\(1 << (bits - 1))" : ".min"
            values["highest"] = bits < 32 ? "\((1 << bits) - 1)" : ".max"
            sections = isSigned ? [.negative] : [.any]
        case .length(let bits, let isSigned):
            values["type"] = swiftType(bits, isSigned)
            values["lowest"] = ".min"
            sections = isSigned ? [.length, .negative] : [.length]
        case .string:
            values["used"] = "read"
            sections = [.badPointer, .string]
        case .memory(let isRead, let length, let element):
            values["used"] = isRead ? "read" : "written"
            let count = length == nil ? element : Self.validLength
            values["count"] = "\(count)"
            values["extent"] = length == nil ? "" : " as far as it goes"
            values["rest"] = length == nil ? "" : Self.suiteTemplate.lines(.rest, values).joinedLines
            // One byte of the memory is readable no longer.
            values["back"] = count == 1 ? "" : " - \(count - 1)"
            sections = isRead ? [.badPointer, .cut] : [.badPointer, .written, .cut]
        }
        return sections.flatMap { Self.suiteTemplate.lines($0, values) }
    }
}
