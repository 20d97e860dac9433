// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import SystemPackage

/// A program with an interpreter, which its first line names: `#!/bin/sh -e`.
struct Script {
    /// The interpreter's path in the guest.
    var interpreter: String
    /// The argument in the line; nil for none.
    var argument: String?

    /// How many bytes of a file the kernel reads (BINPRM_BUF_SIZE of include/uapi/linux/binfmts.h).
    private static let headBytes = 256
    /// The folders that `env` searches, from the PATH that kbuild's init sets for programs.
    private static let searched = ["/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin"]

    /// Reads a program's first line.
    ///
    /// - Returns: nil when it is not a script.
    /// - Throws: `Failure` (`usage`) when its first line names no interpreter by an absolute path.
    init?(_ program: FilePath) throws(Failure) {
        var head = [UInt8](repeating: 0, count: Self.headBytes)
        do {
            let file = try FileDescriptor.open(program, .readOnly, options: .closeOnExec)
            let count = try file.closeAfter { try head.withUnsafeMutableBytes { try file.read(into: $0) } }
            head.removeSubrange(count...)
        } catch {
            throw Failure(.usage, "cannot read \(program)", details: "\(error)")
        }
        guard head.starts(with: "#!".utf8) else { return nil }
        let line = head.dropFirst(2).prefix { $0 != 0x0A }
        let words = line.split(maxSplits: 1, whereSeparator: { $0 == 0x20 || $0 == 0x09 })
            .map { String(decoding: $0, as: UTF8.self) }
        guard let first = words.first, first.hasPrefix("/"), !first.hasSuffix("\r") else {
            throw Failure(
                .usage,
                "\(program) is a script, and its first line names no interpreter: "
                    + "'#!\(String(decoding: line, as: UTF8.self))'",
                nextStep: "begin it with #! and an absolute path, such as #!/bin/sh, and a line feed alone")
        }
        interpreter = first
        argument = words.count > 1 ? words[1].trimmingBlanks : nil
    }

    /// Checks that the guest can run it.
    ///
    /// - Throws: `Failure` (`usage`) when the interpreter, or the program for `env`, is not in the guest.
    func check(_ program: FilePath, in tree: GuestTree) throws(Failure) {
        // The contents of a Debian system are not known here; init reports a program that it cannot start.
        guard tree.base == nil else { return }
        var missing: String?
        if tree.entry(at: interpreter) == nil {
            missing = interpreter
        } else if FilePath(interpreter).lastComponent?.string == "env", let name = argument, !name.hasPrefix("-"),
            !Self.searched.contains(where: { tree.entry(at: "\($0)/\(name)") != nil })
        {
            missing = name
        }
        guard let missing else { return }
        throw Failure(
            .usage, "\(program) is a script for \(missing), which the guest does not have",
            nextStep:
                "begin it with #!/bin/sh, which busybox is, or put \(missing) into the root file system's definition")
    }
}

extension String {
    fileprivate var trimmingBlanks: String {
        var text = self[...].drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return String(text)
    }
}
