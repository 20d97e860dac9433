// SPDX-License-Identifier: Apache-2.0
import Patching
import Syscalls
import SystemPackage

/// One patch of a project's changes: a patch of a series, or all that a spec registers.
public struct PatchStage: Sendable {
    /// The patch source that it belongs to.
    public let source: String
    /// Its first line.
    public let subject: String
    /// The message below the first line.
    public let explanation: String
    /// The author, as `NAME <ADDRESS>`; nil if it is not known.
    public let author: String?
    /// The date of the mail's header; nil if there is none.
    public let date: String?
    /// Every file that differs from the pristine tree once it is applied.
    public let files: [String: OverlayEntry]

    /// Applies sources to the tree `pristine`, which is only read, one patch at a time, in kbuild's order.
    ///
    /// - Throws: `Failure`: `usage` when two sources have the same name, `patch` when one does not apply or a call
    ///   cannot be registered.
    public static func stages(pristine: FilePath, sources: [PatchSource]) throws -> [PatchStage] {
        // All mistakes at once, as everywhere else.
        try PatchAnalysis(pristine: pristine, sources: sources).throwErrors()
        let version = try KernelVersion(tree: pristine)
        var editor = TreeEditor(pristine: pristine)
        var stages: [PatchStage] = []
        for source in sources {
            guard case .series(let set) = source.content else { continue }
            let patches = try set.patches(for: version, source: source.name)
            for (index, patch) in patches.enumerated() {
                _ = try editor.apply(patch)
                let number = patches.count > 1 ? " (\(index + 1) of \(patches.count))" : ""
                stages.append(
                    PatchStage(
                        source: source.name, subject: withoutTag(patch.subject ?? "") ?? "\(source.name)\(number)",
                        explanation: patch.explanation, author: patch.author, date: patch.date,
                        files: try editor.effectiveChanges()))
            }
        }
        let specs = sources.compactMap { source -> (name: String, spec: SyscallSpec)? in
            guard case .spec(let spec) = source.content else { return nil }
            return (source.name, spec)
        }
        var numbers = try SyscallNumbering(editor: editor, version: version, specs: specs.map(\.spec))
        for (name, spec) in specs {
            var registration = SyscallRegistration(editor: editor, spec: spec)
            try registration.register(numbers: &numbers, version: version)
            editor = registration.editor
            let calls = spec.syscalls.map(\.name.text)
            let what =
                calls.count == 1 ? "the system call \(calls[0])" : "the system calls \(calls.joined(separator: ", "))"
            stages.append(
                PatchStage(
                    source: name, subject: "\(name): add \(what)", explanation: "", author: nil, date: nil,
                    files: try editor.effectiveChanges()))
        }
        return stages
    }

    /// A subject without `[PATCH v2 3/7]` before it; nil when nothing is left.
    static func withoutTag(_ subject: String) -> String? {
        var rest = subject[...]
        while rest.first == "[", let end = rest.firstIndex(of: "]") {
            rest = rest[rest.index(after: end)...].drop { $0 == " " }
        }
        return rest.isEmpty ? nil : String(rest)
    }
}
