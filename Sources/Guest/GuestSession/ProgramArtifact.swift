// SPDX-License-Identifier: Apache-2.0
import SystemPackage
import TestSession

/// A program that is built and planned.
package struct ProgramArtifact: Sendable {
    /// The plan's entry for it.
    package var planned: ProgramPlan
    /// The executable on the host.
    package var executable: FilePath
    /// Its file's name on the share.
    package var fileName: String
    /// Whether it was linked statically, and so needs no library of the root file system.
    package var isStatic: Bool
    /// A library that is loaded into it before all others, and is beside it on the share.
    package var preloaded: FilePath?
    /// The folder whose files are beside it on the share.
    package var companions: FilePath?
    /// The folder whose whole tree the share has, `fileName` in it, under the first name of `fileName`.
    package var tree: FilePath?
    /// The place of its test among those of the project; nil for none.
    package var testIndex: Int?

    /// Describes a built program.
    package init(
        planned: ProgramPlan, executable: FilePath, fileName: String, isStatic: Bool, preloaded: FilePath? = nil,
        companions: FilePath? = nil
    ) {
        self.planned = planned
        self.executable = executable
        self.fileName = fileName
        self.isStatic = isStatic
        self.preloaded = preloaded
        self.companions = companions
    }

    /// The expected tests of a Swift Testing bundle; nil for other programs, which are one test each.
    package var tests: [String]? {
        if case .swiftTesting(let expected) = planned.resultsProtocol { expected } else { nil }
    }

    /// Some of a bundle's tests.
    package struct SelectedTests {
        /// The plan's entry, with its arguments but without any filter.
        package var planned: ProgramPlan
        /// The patterns for the tests.
        package var patterns: [String]
    }

    /// The plan's entry for some of a bundle's tests.
    package func selecting(_ tests: [String]) -> SelectedTests {
        var planned = planned
        if let filter = planned.arguments.firstIndex(of: Self.filterOption) {
            planned.arguments.removeSubrange(filter...)
        }
        planned.resultsProtocol = .swiftTesting(expected: tests)
        return SelectedTests(planned: planned, patterns: tests.map(Self.pattern))
    }

    /// The option before each pattern; the patterns come last.
    package static let filterOption = "--filter"

    /// The pattern for one test and its cases.
    package static func pattern(_ test: String) -> String { "^\(TestSelection.escaped(test))(/|$)" }
}
