// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import ProjectFixture
import SystemPackage
import Testing
import Yams

/// A system call's source with one fault in it, from Tests/Mutations.
struct Mutant: Sendable, CustomTestStringConvertible {
    /// The folder of kernel/ that it is about: the name of its file in Tests/Mutations.
    var call: String
    /// The target of Tests/GuestTests that must notice it.
    var suite: String
    /// The profile of kbuild.yaml to run with; nil for none.
    var profile: String?
    /// The source that is changed, from the repository's root.
    var file: String
    /// Its name, within `call`.
    var id: String
    /// The text that is replaced; it occurs once.
    var original: String
    /// The replacement.
    var replacement: String
    /// The visible effect for a user of the call.
    var breaks: String
    /// The reason that no suite can notice it; nil when one must.
    var survives: String?
    /// The most runs to notice it: more than one for a race, which may not occur on a busy host.
    var tries: Int

    var name: String { "\(call)/\(id)" }
    var testDescription: String { "\(name): \(breaks)" }

    /// The source with the fault.
    ///
    /// - Throws: `Failure` (`usage`) unless the source has the text exactly once.
    func applied(to source: String) throws(Failure) -> String {
        let places = source.ranges(of: original)
        guard places.count == 1, let place = places.first else {
            throw Failure(
                .usage, "the mutant \(name) has its text \(places.count) times in \(file), not once",
                details: original, nextStep: "bring Tests/Mutations/\(call).yaml in line with the source")
        }
        return source.replacingCharacters(in: place, with: replacement)
    }
}

/// The files of Tests/Mutations.
enum MutationList {
    /// One file: the mutants of one system call.
    private struct File: Decodable {
        struct Entry: Decodable {
            var id: String
            var replace: String
            var with: String
            var breaks: String
            var survives: String?
            var tries: Int?
        }
        var suite: String
        var profile: String?
        var file: String
        var mutants: [Entry]
    }

    /// Every mutant, call by call in the order of their names.
    ///
    /// - Throws: `Failure` when a file cannot be read or is not a list of mutants.
    static func all() throws -> [Mutant] {
        let folder = Fixture.repository.appending("Tests").appending("Mutations")
        return try namesInFolder(folder).filter { $0.hasSuffix(".yaml") }.sorted().flatMap { name in
            let path = folder.appending(name)
            let text = try readText(path)
            let file: File
            do {
                file = try YAMLDecoder().decode(File.self, from: text)
            } catch {
                throw Failure(.usage, "\(path) is not a list of mutants", details: "\(error)")
            }
            return file.mutants.map { entry in
                Mutant(
                    call: String(name.dropLast(".yaml".count)), suite: file.suite, profile: file.profile,
                    file: file.file, id: entry.id, original: entry.replace, replacement: entry.with,
                    breaks: entry.breaks, survives: entry.survives, tries: entry.tries ?? 1)
            }
        }
    }

    /// The mutants that the environment variable MUTATIONS names: those of a call, a single one as CALL/ID, several of
    /// either between commas, or all of them when it is unset or empty.
    ///
    /// - Throws: `Failure` (`usage`) when a name is not that of a mutant; what `all` throws.
    static func selected() throws -> [Mutant] {
        let mutants = try all()
        let names = (ProcessInfo.processInfo.environment["MUTATIONS"] ?? "").split(separator: ",").map(String.init)
        guard !names.isEmpty else { return mutants }
        for name in names where !mutants.contains(where: { $0.call == name || $0.name == name }) {
            throw Failure(
                .usage, "MUTATIONS names no mutant and no call: \(name)",
                nextStep: "name some of \(Set(mutants.map(\.call)).sorted().joined(separator: ", "))")
        }
        return mutants.filter { names.contains($0.call) || names.contains($0.name) }
    }

    /// The profiles that the selected mutants run with; nil means no profile.
    static func selectedProfiles() throws -> [String?] {
        let profiles = Set(try selected().map(\.profile))
        return profiles.sorted { ($0 ?? "") < ($1 ?? "") }
    }
}
