// SPDX-License-Identifier: Apache-2.0
import Artifacts
import ProjectFixture
import SystemPackage
import Testing

/// Whether the list of mutants fits the sources. This needs no kernel, so `make unit-test` runs it.
@Suite("list of mutants", .timeLimit(.minutes(30)))
struct MutationListTests {
    @Test("every mutant changes its source, in exactly one place", arguments: try MutationList.all())
    func applies(mutant: Mutant) throws {
        let source = try readText(Fixture.repository.pushing(FilePath(mutant.file)))
        let mutated = try mutant.applied(to: source)
        #expect(mutated != source)
        if mutant.file.hasSuffix(".patch") {
            // A hunk says how many lines it has.
            #expect(mutated.split(separator: "\n").count == source.split(separator: "\n").count)
        }
        #expect(!mutant.breaks.isEmpty)
        #expect(mutant.survives?.isEmpty != true)
    }

    @Test("each call has at least ten mutants with unique names, most of which must be noticed")
    func enough() throws {
        let mutants = try MutationList.all()
        #expect(Set(mutants.map(\.name)).count == mutants.count)
        for (call, ofCall) in Dictionary(grouping: mutants, by: \.call) {
            #expect(ofCall.count { $0.survives == nil } >= 10, "\(call)")
            #expect(isFolder(Fixture.repository.appending("kernel").appending(call)), "\(call)")
        }
    }
}
