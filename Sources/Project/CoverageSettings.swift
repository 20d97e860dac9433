// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import KernelMake

/// The settings of coverage: `coverage:` in the project file, `--coverage` on the command line.
public struct CoverageSettings: Sendable, Equatable {
    /// The least percentage of lines that all tests together must reach; nil for no minimum.
    public var minimumPercent: Int?
    /// The C files whose coverage is collected, by their paths in the kernel's tree; empty for the files that the
    /// patches add or change.
    public var files: [String] = []

    /// The options that coverage needs, on top of the project's own: only the objects named to make are instrumented
    /// (Documentation/dev-tools/gcov.rst).
    package static let fragment = """
        CONFIG_DEBUG_FS=y
        CONFIG_DEBUG_FS_ALLOW_ALL=y
        CONFIG_GCOV_KERNEL=y
        # CONFIG_GCOV_PROFILE_ALL is not set

        """
}

extension Project {
    /// Checks that coverage can be collected.
    ///
    /// - Throws: `Failure` (`usage`) on user-mode Linux.
    func checkCoverage() throws(Failure) {
        guard coverage != nil, architecture == .um else { return }
        throw Failure(
            .usage, "coverage goes with QEMU, not with user-mode Linux",
            nextStep: "leave out --coverage or --machine uml"
        )
    }
}
