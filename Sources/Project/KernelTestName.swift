// SPDX-License-Identifier: Apache-2.0

/// The names by which a project file selects the kernel's own tests.
package enum KernelTestName {
    /// Whether a word is a valid pattern of suites (glob_match of lib/glob.c), and a single word of the kernel's
    /// command line.
    package static func isSuitePattern(_ text: String) -> Bool {
        !text.isEmpty && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "_-.*?[]!".contains($0)) }
    }

    /// Whether a word is a valid folder of a collection: names separated by slashes, none of which leads elsewhere.
    package static func isCollection(_ name: String) -> Bool {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        return parts.allSatisfy { part in
            !part.isEmpty && !part.hasPrefix(".") && !part.hasPrefix("-")
                && part.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "_-.".contains($0)) }
        }
    }
}
