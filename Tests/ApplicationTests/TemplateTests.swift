// SPDX-License-Identifier: Apache-2.0
import Syscalls
import Testing

@testable import Authoring
@testable import ProjectTemplate

/// The files that scaffolds fill in.
@Suite("Templates", .timeLimit(.minutes(30)))
struct TemplateTests {
    /// The sections of a template's file that Swift does not name, and those that Swift names and the file lacks.
    private func differences<Section>(_ template: Template<Section>) -> Set<String> {
        Set(template.sections.keys).symmetricDifference(Section.allCases.map(\.rawValue))
    }

    @Test("each section that is named is in the file, and the file has no other")
    func sections() {
        #expect(differences(ProjectTemplate.template) == [])
        #expect(differences(TestManifest.template) == [])
        #expect(differences(EditorFiles.template) == [])
        #expect(differences(ModuleScaffold.template) == [])
        #expect(differences(SyscallScaffold.contract) == [])
        #expect(differences(SyscallScaffold.sourceTemplate) == [])
        #expect(differences(SyscallScaffold.suiteTemplate) == [])
    }

    @Test("every place is filled in, whatever kinds of arguments a call has")
    func everyPlace() throws {
        let kinds = [
            "int number", "unsigned short flags", "const char __user *text", "const void __user *in, size_t in_length",
            "void __user *out, int out_length", "u32 __user *word", "u8 __user *one",
        ]
        // Each kind alone and all in a row, as far as a call may have six arguments.
        let signatures =
            try [SyscallSignature(name: "call", arguments: [])]
            + kinds.map { try SyscallSignature(name: "call", arguments: [$0]) }
            + [
                SyscallSignature(name: "call", arguments: Array(kinds[..<4])),
                SyscallSignature(name: "call", arguments: Array(kinds[4...])),
            ]
        for signature in signatures {
            let scaffold = SyscallScaffold(signature: signature)
            for text in [scaffold.spec, scaffold.specEntry, scaffold.source, scaffold.readme, scaffold.tests] {
                #expect(!text.contains("{{") && !text.contains("}}"), "\(text)")
                #expect(!text.contains("@@"), "\(text)")
            }
        }
        for file in try ProjectCreation.files(name: "project", source: "linux-source-6.1") {
            #expect(!file.text.contains("{{"), "\(file.path)")
            #expect(file.text.hasSuffix("\n") && !file.text.hasSuffix("\n\n"), "\(file.path)")
        }
    }

    private enum Section: String, CaseIterable {
        case first, second
        case empty = "with a blank"
    }

    private let template = Template<Section>(
        Array(
            "# Not part of any.\n@@ first\n{{lines}}\n\n  {{name}}: {{name}}{{other}}\n@@ with a blank\n@@ second\nx"
                .utf8))

    @Test("a line that is a place alone takes any number of lines; a value is not searched for places")
    func filling() {
        let values = ["lines": "one\n\ntwo", "name": "{{lines}}"]
        #expect(template.lines(.first, values) == ["one", "", "two", "", "  {{lines}}: {{lines}}{{other}}"])
        #expect(template.lines(.first, ["lines": "", "name": "a", "other": "!"]) == ["", "  a: a!"])
        #expect(template.text(.second) == "x\n")
        #expect(template.text(.empty) == "")
    }
}
