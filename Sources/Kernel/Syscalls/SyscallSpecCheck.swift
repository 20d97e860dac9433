// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Patching
import SystemPackage

/// Compares a spec with the C files that it names.
extension SyscallSpec {
    /// Checks that the C files define each declared call with as many arguments as declared.
    ///
    /// - Returns: Every mistake, at the C file's or the spec's line.
    package func checkDefinitions() -> [SyscallFinding] {
        let folder = FilePath(path).removingLastComponent()
        typealias Place = SyscallFinding.Place
        var findings: [SyscallFinding] = []
        let found = files.filter { $0.kind == .source }.flatMap { file in
            SyscallDefinition.scan(file.bytes).map {
                (place: Place(file: folder.appending(file.name).string, line: $0.line), definition: $0)
            }
        }
        var wanted: [(name: CIdentifier, isCompat: Bool, arguments: [Argument], place: Place)] = []
        for call in syscalls {
            wanted.append((call.name, false, call.arguments, place(of: call)))
            if let compat = call.ia32?.compatArguments { wanted.append((call.name, true, compat, place(of: call))) }
        }
        for want in wanted {
            let macro = "\(want.isCompat ? "COMPAT_" : "")SYSCALL_DEFINE\(want.arguments.count)"
            let same = found.filter { $0.definition.name == want.name.text && $0.definition.isCompat == want.isCompat }
            guard let first = same.first else {
                let others = found.map { "\n\($0.place): \($0.definition.macro)(\($0.definition.name), ...)" }
                findings.append(
                    SyscallFinding(
                        .error, want.place,
                        "no C file defines \(want.name) with \(macro)"
                            + (others.isEmpty ? "" : "\nthey define:" + others.joined()),
                        fix: "define it as \(macro)(\(want.name), ...)"))
                continue
            }
            if same.count > 1 {
                findings.append(
                    SyscallFinding(
                        .error, same[1].place, "\(want.name) is defined twice, also at \(first.place)",
                        fix: "remove one of the two"))
            }
            findings += compare(first.definition, at: first.place, with: want.arguments, at: want.place)
        }
        for (place, definition) in found
        where !wanted.contains(where: { $0.name.text == definition.name && $0.isCompat == definition.isCompat }) {
            let what = definition.isCompat ? "its `i386: compat:`" : "`syscalls`"
            findings.append(
                SyscallFinding(
                    .warning, place, "\(definition.name) is defined, but \(path) does not register it",
                    fix: "declare it under \(what) of the spec, or remove it"))
        }
        return findings
    }

    private func compare(
        _ definition: SyscallDefinition, at place: SyscallFinding.Place, with arguments: [Argument],
        at specPlace: SyscallFinding.Place
    ) -> [SyscallFinding] {
        guard definition.parameters.count == 2 * definition.count else {
            return [
                SyscallFinding(
                    .error, place,
                    "\(definition.macro)(\(definition.name), ...) takes \(definition.count) pairs of type and name, but "
                        + "\(definition.parameters.count) words are given",
                    fix: "write the type and the name of each argument, separated by commas")
            ]
        }
        guard definition.count == arguments.count else {
            return [
                SyscallFinding(
                    .error, place,
                    "\(definition.name) has \(definition.count) argument(s) here, but \(arguments.count) at \(specPlace), "
                        + "which its prototype is made from", fix: "make the two agree")
            ]
        }
        return zip(arguments, definition.types).compactMap { argument, type in
            guard SyscallDefinition.normalized(argument.type) != SyscallDefinition.normalized(type) else { return nil }
            return SyscallFinding(
                .warning, place,
                "\(argument.name) is \"\(type)\" here, but \"\(argument.type)\" at \(specPlace); "
                    + "architectures without syscall wrappers, such as user-mode Linux, will not compile this",
                fix: "write the same type in both")
        }
    }
}
