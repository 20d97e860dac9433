// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Patching
import SystemPackage
import TextInput
import YAML

/// The contents of `syscall.yaml`: the C files of some system calls and how to register the calls.
package struct SyscallSpec: Sendable, Equatable {
    package static let fileName = "syscall.yaml"

    package struct File: Sendable, Equatable {
        enum Kind: Sendable { case source, header, makefile }

        package var name: String
        var kind: Kind
        var bytes: [UInt8]
    }

    struct Argument: Sendable, Equatable {
        /// As in C, such as "const char __user *".
        let type: String
        let name: CIdentifier

        var declaration: String { type.hasSuffix("*") ? "\(type)\(name)" : "\(type) \(name)" }

        /// Splits "type name" at the last word; nil if there is anything other than words of C and stars.
        init?(_ text: String) {
            let text = text.trimmed
            let name = String(
                decoding: text.utf8.reversed().prefix(while: CIdentifier.isByte).reversed(), as: UTF8.self)
            let type = String(text.dropLast(name.count)).trimmed
            let isPlain = type.utf8.allSatisfy {
                CIdentifier.isByte($0) || $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "*")
            }
            guard let name = CIdentifier(name), !type.isEmpty, isPlain else { return nil }
            (self.type, self.name) = (type, name)
        }
    }

    enum Number: Sendable, Equatable {
        /// The next free number.
        case free
        /// The same on every kernel.
        case pinned(Int)
        /// By kernel "VERSION.PATCHLEVEL"; the next free one on others.
        case bySeries([String: Int])

        func pin(on version: KernelVersion) -> Int? {
            switch self {
            case .free: nil
            case .pinned(let number): number
            case .bySeries(let numbers): numbers[version.series]
            }
        }
    }

    /// The entry for 32-bit programs on x86.
    struct IA32: Sendable, Equatable {
        var number: Number
        /// The arguments of the COMPAT_SYSCALL_DEFINE entry; nil when 32-bit programs use the 64-bit entry.
        var compatArguments: [Argument]?
    }

    package struct Syscall: Sendable, Equatable {
        package var name: CIdentifier
        var arguments: [Argument]
        var number: Number
        var abi: RegisteredSyscall.ABI
        var ia32: IA32?
        /// Its first line in the spec, from 1.
        var line: Int
    }

    /// The spec's path, for messages.
    package var path: String
    /// The folder of the tree for the files.
    var folder: String
    package var files: [File]
    package var syscalls: [Syscall]

    /// The place of a call's declaration.
    package func place(of call: Syscall) -> SyscallFinding.Place { .init(file: path, line: call.line) }

    /// The path of a file in the tree.
    package func treePath(of file: String) -> String { folder == "." ? file : "\(folder)/\(file)" }

    package var digest: Digest {
        var key = ContentDigest(of: "syscall-spec", version: 1)
        // A call's position in the file does not matter.
        let calls = syscalls.map { call in
            var call = call
            call.line = 0
            return call
        }
        key.add("spec", "\(folder) \(calls)")
        for file in files { key.add("\(file.kind) \(file.name)", Digest.of(file.bytes)) }
        return key.digest
    }

    /// Reads the spec of a folder and the C files that it names.
    ///
    /// - Throws: `Failure` (`usage`) with file and line for an unknown key, a wrong type or a missing file.
    package static func load(folder location: FilePath) throws -> SyscallSpec {
        let file = location.appending(fileName)
        _ = try regularFile(fileName, in: location)
        let root = try YAMLMapping(
            text: try TextInput(file.string, as: "a system call's spec").text(of: file), file: file.string,
            keys: ["folder", "sources", "headers", "syscalls"])
        let folder = try root.string("folder") ?? "kernel"
        if let reason = TreePath.unsafeReason(folder) ?? TreePath.generatedReason(folder), folder != "." {
            throw root.failure("the folder \(folder.quotedForMessage) \(reason)", at: "folder")
        }
        // Makefiles contain the names of folder and files, and there a blank ends a name and $( ) is a command.
        guard folder.split(separator: "/").allSatisfy({ isPlainFileName(String($0)) }) || folder == "." else {
            throw root.failure(
                "the folder \(folder.quotedForMessage) has other characters than letters, digits and _ . + -",
                at: "folder")
        }
        var files: [File] = []
        for (key, kind) in [("sources", File.Kind.source), ("headers", .header)] {
            for name in try root.strings(key) ?? [] {
                let suffix = kind == .source ? ".c" : ".h"
                guard name.hasSuffix(suffix), !name.contains("/"), !name.hasPrefix(".") else {
                    throw root.failure(
                        "\(name.quotedForMessage) is not the name of a \(suffix) file beside the spec", at: key)
                }
                guard isPlainFileName(name) else {
                    throw root.failure(
                        "the file name \(name.quotedForMessage) has other characters than letters, digits and _ . + -",
                        at: key)
                }
                guard try regularFile(name, in: location) else {
                    let others = try namesInFolder(location).filter { $0.hasSuffix(suffix) }
                    throw root.failure(
                        "there is no file \(name) beside the spec\(guess(for: name, among: others))", at: key)
                }
                guard !files.contains(where: { $0.name == name }) else {
                    throw root.failure("\(name) is listed twice", at: key)
                }
                files.append(File(name: name, kind: kind, bytes: try readBytes(location.appending(name))))
            }
        }
        guard files.contains(where: { $0.kind == .source }) else {
            throw root.failure("no C file is listed under `sources`", at: "sources")
        }
        if try regularFile("Makefile", in: location) {
            files.append(File(name: "Makefile", kind: .makefile, bytes: try readBytes(location.appending("Makefile"))))
        }
        var syscalls: [Syscall] = []
        for entry in try root.mappings("syscalls", keys: ["name", "arguments", "number", "abi", "i386"]) ?? [] {
            let syscall = try Syscall(entry)
            if syscalls.contains(where: { $0.name == syscall.name }) {
                throw entry.failure("\(syscall.name) is declared twice", at: "name")
            }
            syscalls.append(syscall)
        }
        guard !syscalls.isEmpty else { throw root.failure("no call is listed under `syscalls`", at: "syscalls") }
        return SyscallSpec(path: file.string, folder: folder, files: files, syscalls: syscalls)
    }
}

extension SyscallSpec.Syscall {
    init(_ entry: YAMLMapping) throws {
        guard let name = try entry.string("name") else { throw entry.failure("a call needs a `name`") }
        guard let name = CIdentifier(name) else {
            throw entry.failure("\(name.quotedForMessage) is not a C identifier", at: "name")
        }
        self.name = name
        arguments = try SyscallSpec.arguments(try entry.strings("arguments") ?? [], of: entry, key: "arguments")
        number = try SyscallSpec.number(entry)
        switch try entry.string("abi") ?? "common" {
        case "common": abi = .common
        case "64": abi = .x64
        case let other:
            let near = guess(for: other, among: ["common", "64"])
            throw entry.failure("\(other) is not an ABI of the x86-64 table (common, 64)\(near)", at: "abi")
        }
        line = entry.line
        if entry.isBoolean("i386") {
            ia32 = try entry.boolean("i386") == true ? .init(number: .free, compatArguments: nil) : nil
        } else if let nested = try entry.mapping("i386", keys: ["number", "compat"]) {
            let compat = try nested.strings("compat").map { try SyscallSpec.arguments($0, of: nested, key: "compat") }
            ia32 = .init(number: try SyscallSpec.number(nested), compatArguments: compat)
        }
    }
}

extension SyscallSpec {
    /// Whether a folder has a file. A link is refused and not followed: kbuild reads a foreign call's files itself,
    /// outside any sandbox, and the contents of a link's target on this host would get into the kernel or into
    /// messages.
    ///
    /// - Throws: `Failure` (`usage`) for a link, and for anything else that is not a regular file.
    private static func regularFile(_ name: String, in folder: FilePath) throws(Failure) -> Bool {
        let file = folder.appending(name)
        guard let status = FileStatus(file) else { return false }
        guard !status.isRegular else { return true }
        throw Failure(
            .usage,
            status.isLink
                ? "\(file) is a link; a system call's files must be regular files of its folder"
                : "\(file) is not a regular file",
            nextStep: status.isLink ? "copy the file that the link leads to there" : "remove it")
    }

    /// Whether make and the kernel's build system read the name of a file or folder as one plain word.
    static func isPlainFileName(_ name: String) -> Bool {
        !name.isEmpty && !name.hasPrefix("-")
            && name.utf8.allSatisfy { CIdentifier.isByte($0) || "+-.".utf8.contains($0) }
    }

    /// Splits each "type name" at the last word.
    fileprivate static func arguments(_ texts: [String], of entry: YAMLMapping, key: String) throws -> [Argument] {
        // Registers pass at most six arguments: man 2 syscall.
        guard texts.count <= 6 else {
            throw entry.failure("a system call has at most 6 arguments, this one \(texts.count)", at: key)
        }
        return try texts.map { text in
            guard let argument = Argument(text) else {
                throw entry.failure(
                    "\(text.quotedForMessage) is not a C type and a name, such as \"char __user *buf\"", at: key)
            }
            return argument
        }
    }

    fileprivate static func number(_ entry: YAMLMapping) throws -> Number {
        guard entry.has("number") else { return .free }
        if let number = try entry.integer("number", orMapping: true) { return .pinned(number) }
        return .bySeries(try entry.integersByKey("number"))
    }
}
