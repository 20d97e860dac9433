// SPDX-License-Identifier: Apache-2.0
/// Help pages that do not belong to a verb.
public enum HelpPages {
    /// The word for the project file's page.
    public static let projectFile = "project-file"

    /// Every key of the project file, with its values and meaning.
    public static var projectFileText: String {
        let rows = Schema.rows()
        var lines = [
            "kbuild.yaml: every key. Paths are relative to the file; what is left out has the default in parentheses.",
            "",
        ]
        for row in rows {
            lines.append("  \(row.path): \(row.expectation)")
            lines.append("      \(row.meaning)")
        }
        lines += [
            "", "Example:", "", "  kernel:", "    source: linux-source-6.1", "    patches: [kernel/hello]", "  tests:",
            "    - swift: Tests/HelloTests", "    - {c: Tests/hello.c, protocol: ktap}",
        ]
        return lines.joined(separator: "\n")
    }
}
