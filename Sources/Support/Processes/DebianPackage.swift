// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// A Debian package that kbuild or its build uses. `packages.txt` lists them for the executable and for the Makefile.
package struct DebianPackage: Sendable, Hashable {
    /// When a package is needed.
    package enum Use: String, Sendable {
        /// A run of a new project fails without it.
        case required
        /// A run works without it, or needs it for some projects only.
        case optional
        /// Only the build of kbuild itself needs it.
        case build
        /// It is part of every Debian system.
        case essential
    }

    package var name: String
    package var use: Use
    /// The tools in the package that kbuild starts.
    package var tools: [String]

    /// Every package.
    package static let all = parse(String(decoding: PackageResources.packages_txt, as: UTF8.self))

    /// The package that contains a tool.
    static let byTool = Dictionary(
        all.flatMap { package in package.tools.map { ($0, package.name) } }, uniquingKeysWith: { first, _ in first })

    /// Reads the list. A line without a known use is ignored; a test compares the counts.
    package static func parse(_ text: String) -> [DebianPackage] {
        text.textLines().compactMap { line in
            let words = line.split(separator: " ").map(String.init)
            guard !line.hasPrefix("#"), words.count >= 2, let use = Use(rawValue: words[1]) else { return nil }
            return DebianPackage(name: words[0], use: use, tools: Array(words[2...]))
        }
    }
}
