// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// A system call's name and arguments as a user writes them, checked.
public struct SyscallSignature: Sendable, Equatable {
    /// The kind of an argument, as far as code that uses it must know.
    public enum Kind: Sendable, Equatable {
        /// A number with this many bits.
        case integer(bits: Int, isSigned: Bool)
        /// The address of numbers with this many bits, of characters or of anything.
        case pointer(to: Pointee, isConst: Bool)
    }

    /// The target of a pointer.
    public enum Pointee: Sendable, Equatable {
        /// Anything: `void`.
        case bytes
        /// `char`.
        case characters
        /// Numbers with this many bits.
        case integers(bits: Int)
    }

    /// One argument.
    public struct Argument: Sendable, Equatable {
        /// As in C, such as "const char __user *".
        public var type: String
        /// Its name.
        public var name: String
        /// Its kind.
        public var kind: Kind

        /// Its declaration in a prototype.
        public var declaration: String { type.hasSuffix("*") ? type + name : "\(type) \(name)" }
    }

    /// The call's name.
    public let name: String
    /// Its arguments, six at most.
    public let arguments: [Argument]

    /// Reads a name and arguments such as "const char __user *text".
    ///
    /// - Parameter arguments: One or more arguments each, separated by commas; "void" for none.
    /// - Throws: `Failure` (`usage`) for a name that is not a C identifier, more than six arguments, or an unknown
    ///   type.
    public init(name: String, arguments: [String]) throws {
        guard CIdentifier(name) != nil, !Self.keywords.contains(name) else {
            throw Failure(
                .usage, "\(name) is not a C identifier, so it cannot name a system call",
                nextStep: "use letters, digits and _, such as \(Self.suggestion(for: name))")
        }
        let texts = arguments.flatMap { $0.split(separator: ",", omittingEmptySubsequences: false) }.map(\.trimmed)
        let isNone = texts.isEmpty || texts == [""] || texts == ["void"]
        let parsed = isNone ? [] : try texts.map(Self.argument)
        // Registers pass at most six arguments: man 2 syscall.
        guard parsed.count <= 6 else {
            throw Failure(
                .usage, "a system call has at most 6 arguments, \(name) would have \(parsed.count)",
                nextStep: "pass a pointer to a structure instead")
        }
        for (index, argument) in parsed.enumerated()
        where parsed[..<index].contains(where: { $0.name == argument.name }) {
            throw Failure(.usage, "two arguments of \(name) are named \(argument.name)", nextStep: "rename one of them")
        }
        self.name = name
        self.arguments = parsed
    }

    private static func suggestion(for name: String) -> String {
        let letters = String(
            name.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
        return isReserved(letters) || CIdentifier(letters) == nil ? "my_\(letters)" : letters
    }

    private static func isReserved(_ name: String) -> Bool { keywords.contains(name) }

    private static func argument(_ text: String) throws -> Argument {
        func failure(_ message: String, _ nextStep: String) -> Failure {
            Failure(.usage, "--args: \"\(text)\" \(message)", nextStep: nextStep)
        }
        let example = "write a type and a name, such as \"const char __user *buffer\" or \"size_t length\""
        let name = String(
            decoding: text.utf8.reversed().prefix(while: CIdentifier.isByte).reversed(), as: UTF8.self)
        let type = String(text.dropLast(name.count)).trimmed
        guard CIdentifier(name) != nil, !type.isEmpty else {
            throw failure("is not a C type and a name", example)
        }
        guard !keywords.contains(name) else { throw failure("has no name", example) }
        let stars = type.count { $0 == "*" }
        let words = type.split { $0 == " " || $0 == "*" }.map(String.init)
        guard words.allSatisfy({ CIdentifier($0) != nil }), stars == 0 || type.hasSuffix("*"), stars < 2 else {
            throw failure(
                stars > 1 ? "is a pointer to a pointer" : "is not a C type and a name",
                stars > 1 ? "use void __user * and read the inner pointers one by one" : example)
        }
        let base = words.filter { $0 != "const" && $0 != "__user" }.joined(separator: " ")
        let isConst = words.contains("const")
        let known =
            "kbuild knows the integer types of C and the kernel, and pointers to them, to char and to void; "
            + "for another type write void __user * and edit the files"
        if stars == 0 {
            guard let (bits, isSigned) = integers[base], !words.contains("__user"), !isConst else {
                throw failure("has a type that is not known", known)
            }
            return Argument(type: base, name: name, kind: .integer(bits: bits, isSigned: isSigned))
        }
        let pointee: Pointee
        switch base {
        case "void": pointee = .bytes
        case "char": pointee = .characters
        default:
            guard let (bits, _) = integers[base] else { throw failure("points to a type that is not known", known) }
            pointee = .integers(bits: bits)
        }
        // An address from a program is always __user: sparse distinguishes it from the kernel's own addresses by that.
        return Argument(
            type: "\(isConst ? "const " : "")\(base) __user *", name: name,
            kind: .pointer(to: pointee, isConst: isConst))
    }

    /// The integer types of C and the kernel on x86-64: their bits, and whether they are signed.
    private static let integers: [String: (bits: Int, isSigned: Bool)] = {
        var types: [String: (bits: Int, isSigned: Bool)] = [
            "char": (8, true), "signed char": (8, true), "unsigned char": (8, false), "size_t": (64, false),
            "ssize_t": (64, true), "loff_t": (64, true), "off_t": (64, true), "pid_t": (32, true),
            "uid_t": (32, false), "gid_t": (32, false), "umode_t": (16, false), "unsigned": (32, false),
            "signed": (32, true),
        ]
        for (name, bits) in [("short", 16), ("int", 32), ("long", 64), ("long long", 64)] {
            types[name] = (bits, true)
            types["signed " + name] = (bits, true)
            types["unsigned " + name] = (bits, false)
        }
        for bits in [8, 16, 32, 64] {
            for prefix in ["", "__"] {
                types["\(prefix)u\(bits)"] = (bits, false)
                types["\(prefix)s\(bits)"] = (bits, true)
            }
            types["uint\(bits)_t"] = (bits, false)
            types["int\(bits)_t"] = (bits, true)
        }
        return types
    }()

    /// Keywords of C, which cannot be names.
    private static let keywords: Set<String> = [
        "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern",
        "float", "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed",
        "sizeof", "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while", "__user",
        "asm", "typeof", "bool", "true", "false", "current", "NULL",
    ]
}
