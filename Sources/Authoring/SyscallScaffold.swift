// SPDX-License-Identifier: Apache-2.0
import ProjectTemplate
import Syscalls

/// The files of a new system call: a spec, a C file that checks its arguments, the contract, and a suite that tests it.
package struct SyscallScaffold {
    package let signature: SyscallSignature

    /// Creates the scaffold of a call.
    package init(signature: SyscallSignature) { self.signature = signature }

    /// Longest buffer in bytes that the call takes, and longest string with its NUL: a page, so that a buffer of that
    /// length can end at a guard page.
    static let bound = 4096

    typealias Argument = SyscallSignature.Argument

    /// The name `hello_there` in the form of a Swift type: HelloThere.
    package static func typeName(_ name: String) -> String {
        let words = name.split { $0 == "_" || $0 == "-" }.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
        return words.first?.isLetter == true ? words : "Syscall" + words
    }
    package var suite: String { Self.typeName(signature.name) + "Tests" }

    // MARK: What each argument is for

    /// The role of an argument in the scaffolded call.
    enum Role {
        /// A number that must not be negative, if its type is signed.
        case number(bits: Int, isSigned: Bool)
        /// The length in bytes of the pointer before it.
        case length(bits: Int, isSigned: Bool)
        /// A string that is read.
        case string
        /// Memory that is read or written: as long as the next argument says, or one element.
        case memory(isRead: Bool, length: String?, element: Int)
    }

    struct ArgumentRole {
        var argument: Argument
        var role: Role
    }

    var roles: [ArgumentRole] {
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

    /// Whether a number says how long the memory before it is: a size_t, or a number with such a name.
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
    var isBounded: Bool { hasLength || readsString }

    var pointers: [Argument] {
        signature.arguments.filter { if case .pointer = $0.kind { true } else { false } }
    }
}

// MARK: syscall.yaml and README.md

extension SyscallScaffold {
    /// The sections of Templates/contract.template.
    package enum ContractSection: String, CaseIterable, Sendable {
        case spec = "syscall.yaml"
        case entryWithoutArguments = "entry without arguments"
        case entry, argument
        case readme = "README.md"
        case bound, negative, excessive, endless, unreadable, unwritable
    }

    package static let contract = Template<ContractSection>(PackageResources.contract_template)

    package var spec: String { Self.spec([self], file: signature.name) }

    /// The spec of calls that share a C file.
    ///
    /// - Parameter file: The C file's name without `.c`.
    package static func spec(_ calls: [SyscallScaffold], file: String) -> String {
        contract.text(
            .spec,
            [
                "file": file, "calls": calls.count == 1 ? "the call" : "the calls",
                "entries": calls.flatMap(\.specLines).joinedLines,
            ])
    }

    /// The call's entry in a list of calls.
    package var specEntry: String { specLines.map { $0 + "\n" }.joined() }

    private var specLines: [String] {
        let arguments = signature.arguments.flatMap { Self.contract.lines(.argument, ["declaration": $0.declaration]) }
        return Self.contract.lines(
            arguments.isEmpty ? .entryWithoutArguments : .entry,
            ["call": signature.name, "arguments": arguments.joinedLines])
    }

    package var readme: String {
        let parameters = signature.arguments.map { $0.declaration.replacing(" __user", with: "") }
        let errors = roles.flatMap { entry in
            Self.errors(of: entry.role).flatMap { Self.contract.lines($0, ["argument": entry.argument.name]) }
        }
        return Self.contract.text(
            .readme,
            [
                "call": signature.name, "parameters": parameters.isEmpty ? "void" : parameters.joined(separator: ", "),
                "bound": isBounded ? Self.contract.lines(.bound, ["bound": "\(Self.bound)"]).joinedLines : "",
                "errors": errors.joinedLines,
            ])
    }

    /// What the call refuses of an argument.
    private static func errors(of role: Role) -> [ContractSection] {
        switch role {
        case .number(_, let isSigned): isSigned ? [.negative] : []
        case .length(_, let isSigned): isSigned ? [.negative, .excessive] : [.excessive]
        case .string: [.endless]
        case .memory(let isRead, _, _): [isRead ? .unreadable : .unwritable]
        }
    }
}

// MARK: The C file

extension SyscallScaffold {
    /// The sections of Templates/source.template.
    package enum SourceSection: String, CaseIterable, Sendable {
        case file, limit, read, write
        case readString = "read string"
        case definition, declaration, sign, use
    }

    package static let sourceTemplate = Template<SourceSection>(PackageResources.source_template)

    package var source: String { Self.source([self]) }

    /// The C file of calls that share one.
    package static func source(_ calls: [SyscallScaffold]) -> String {
        sourceTemplate.text(
            .file,
            [
                "names": calls.map(\.signature.name).joined(separator: ", "),
                "what": calls.count == 1 ? "checks its arguments and returns 0" : "check their arguments and return 0",
                "includes": Set(calls.flatMap(\.includes)).sorted().joinedLines,
                "calls": calls.flatMap(\.code).joinedLines,
            ])
    }

    /// A C file with the call behind what it has, and the headers that it lacks behind the last that it has.
    package func adding(to source: String) -> String {
        // The CR of CR LF stays.
        var lines = source.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        while lines.last?.isEmpty == true { lines.removeLast() }
        let present = Set(lines.map { $0.filter { !$0.isWhitespace } })
        let missing = includes.filter { !present.contains($0.filter { !$0.isWhitespace }) }
        let last = lines.lastIndex { $0.hasPrefix("#include") }
        lines.insert(contentsOf: missing, at: last.map { $0 + 1 } ?? 0)
        return (lines + code).map { $0 + "\n" }.joined()
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
        var sections: [SourceSection] = []
        if isBounded || readsMemory || writesMemory { sections.append(.limit) }
        if readsMemory { sections.append(.read) }
        if writesMemory { sections.append(.write) }
        // Not strndup_user: it takes a negative strnlen_user, as user-mode Linux returns it for a bad address, for a
        // length.
        if readsString { sections.append(.readString) }
        let values = [
            "call": signature.name, "limit": signature.name.uppercased() + "_MAX", "bound": "\(Self.bound)",
        ]
        return sections.flatMap { Self.sourceTemplate.lines($0, values) } + definition
    }

    /// SYSCALL_DEFINEn with the checks: all numbers first, then the memory in the order of the arguments.
    private var definition: [String] {
        let taken = signature.arguments.map(\.name)
        let result = ["result", "status", "outcome"].first { !taken.contains($0) } ?? "kbuild_result"
        let template = Self.sourceTemplate
        let signs = roles.flatMap { entry in
            switch entry.role {
            case .number(_, isSigned: true), .length(_, isSigned: true):
                template.lines(.sign, ["argument": entry.argument.name])
            default: [String]()
            }
        }
        let uses = roles.compactMap { helper($0) }.flatMap { template.lines(.use, ["result": result, "helper": $0]) }
        return template.lines(
            .definition,
            [
                "head": head.joinedLines, "signs": signs.joinedLines, "uses": uses.joinedLines,
                "declaration": uses.isEmpty ? "" : template.lines(.declaration, ["result": result]).joinedLines,
            ])
    }

    /// `SYSCALL_DEFINEn(NAME, TYPE, NAME, ...)`, in lines of at most 80 columns.
    private var head: [String] {
        var head = ["SYSCALL_DEFINE\(signature.arguments.count)(\(signature.name)"]
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
        return head
    }

    /// The call of the helper that reads or writes an argument's memory; nil for a number.
    private func helper(_ entry: ArgumentRole) -> String? {
        let argument = entry.argument.name
        switch entry.role {
        case .number, .length: return nil
        case .string: return "\(signature.name)_read_string(\(argument))"
        case .memory(let isRead, let length, let element):
            let size = length ?? (element == 1 ? "1" : "sizeof(*\(argument))")
            return "\(signature.name)_\(isRead ? "read" : "write")(\(argument), \(size))"
        }
    }
}
