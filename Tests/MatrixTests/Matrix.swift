// SPDX-License-Identifier: Apache-2.0
import ProjectFixture
import Testing

/// The kernel and machine of a row of the matrix.
struct Place: Hashable, Sendable, CustomTestStringConvertible {
    static let kernels = ["6.1", "6.12"]
    static let machines = ["QEMU", "UML"]

    var kernel: String
    var machine: String

    static let all = kernels.flatMap { kernel in machines.map { Place(kernel: kernel, machine: $0) } }

    /// kbuild's flags for it.
    var arguments: [String] {
        ["--kernel", "linux-source-\(kernel)"] + (machine == "UML" ? ["--machine", "uml"] : [])
    }
    var testDescription: String { "\(kernel) on \(machine)" }
}

/// A call as published, and the expected verdict.
struct PublishedCall: Sendable, CustomTestStringConvertible {
    var folder: String
    var profile: String
    /// The correct exit codes in QEMU; a race may have several effects.
    var codes: [Int32]
    /// The required title of one of the kernel's reports, if a report is required.
    var title: String?
    /// The correct exit codes in user-mode Linux; nil when the defect has no effect there.
    var umlCodes: [Int32]?
    /// The reason that the defect has no effect in user-mode Linux.
    var umlReason = ""

    var testDescription: String { profile }

    static let all = [
        PublishedCall(
            folder: "msgbox/as-published", profile: "msgbox-as-published", codes: [1, 5, 6],
            umlReason: "a race needs two CPUs"),
        PublishedCall(
            folder: "msgbox/as-published", profile: "msgbox-as-published-kasan", codes: [5], title: "KASAN: ",
            umlReason: "a race needs two CPUs"),
        PublishedCall(
            folder: "msgbox-strict/as-published", profile: "msgbox-strict-as-published", codes: [5],
            title: "BUG: sleeping function called from invalid context", umlReason: "its fragments have no checkers"),
        PublishedCall(
            folder: "memcpy/as-published", profile: "memcpy-as-published", codes: [5], title: "memory leak in ",
            umlReason: "its fragments have no checkers"),
        // User-mode Linux has no stack protector, so there the caller dies of the smashed stack.
        PublishedCall(
            folder: "silly-copy/as-published", profile: "silly-copy-as-published", codes: [5],
            title: "kernel panic: stack is corrupted in ", umlCodes: [1, 5]),
    ]
}

/// The rows, for the table at the end.
actor Matrix {
    static let shared = Matrix()

    struct Row: Sendable {
        var folder: String
        var place: Place
        var passed = 0
        var failed = 0
        var skipped = 0
        var remark = ""
    }
    private var rows: [Row] = []

    /// The rows of a run: one for each folder of kernel/ whose tests are in it.
    static func rows(of run: Run, at place: Place) -> [Row] {
        var byFolder: [String: Row] = [:]
        for test in run.testObjects {
            guard let id = test["id"] as? String, let folder = folder(of: id) else { continue }
            var row = byFolder[folder] ?? Row(folder: folder, place: place)
            switch test["status"] as? String {
            case "passed": row.passed += 1
            case "skipped":
                row.skipped += 1
                let reason = test["reason"] as? String ?? "no reason given"
                if !row.remark.contains(reason) { row.remark += (row.remark.isEmpty ? "" : "; ") + reason }
            default: row.failed += 1
            }
            byFolder[folder] = row
        }
        return byFolder.values.sorted { $0.folder < $1.folder }
    }

    func add(_ rows: [Row]) { self.rows += rows }

    /// The folder of kernel/ that a test is about, by the name of its target or program.
    private static func folder(of id: String) -> String? {
        let name = id.prefix { $0 != "." && $0 != "/" }
        let folders = [
            "CaesarTests": "caesar", "GatedTests": "gated", "MemcpyStructTests": "memcpy-struct",
            "MemcpyTests": "memcpy", "MsgboxStrictTests": "msgbox-strict", "MsgboxTests": "msgbox",
            "ProcessInfoTests": "process-info", "SillyCopyTests": "silly-copy", "SixArgsTests": "six-args",
            "UnregisteredTests": "(no such call)", "calls_ia32": "memcpy-struct",
        ]
        return folders[String(name)] ?? (name.hasPrefix("msgbox_") ? "msgbox" : nil)
    }

    /// A line for each folder and place.
    var table: String {
        guard !rows.isEmpty else { return "No row was run." }
        func padded(_ text: String, _ width: Int) -> String {
            text + String(repeating: " ", count: max(1, width - text.count))
        }
        func line(_ cells: [String]) -> String {
            zip(cells, [28, 8, 9, 8, 8, 8, 0]).map(padded).joined().trimmingTrailingSpaces
        }
        let sorted = rows.sorted {
            ($0.folder, $0.place.kernel.count, $0.place.machine) < ($1.folder, $1.place.kernel.count, $1.place.machine)
        }
        return
            ([line(["folder", "kernel", "machine", "passed", "skipped", "failed", "remark"])]
            + sorted.map { row in
                line(
                    [
                        row.folder, row.place.kernel, row.place.machine, "\(row.passed)", "\(row.skipped)",
                        "\(row.failed)", row.remark,
                    ])
            }).joined(separator: "\n")
    }
}

extension String {
    fileprivate var trimmingTrailingSpaces: String {
        String(reversed().drop { $0 == " " }.reversed())
    }
}
