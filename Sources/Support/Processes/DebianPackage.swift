// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// A Debian package that kbuild, or its build, takes. `packages.txt` lists them for the executable and for the
/// Makefile.
package struct DebianPackage: Sendable, Hashable {
    /// When it is taken.
    package enum Use: String, Sendable {
        /// A run of a new project fails without it.
        case required
        /// A run can do without, or takes it for some projects only.
        case optional
        /// Only the build of kbuild itself takes it.
        case build
        /// It is part of every Debian system.
        case essential
    }

    package var name: String
    package var use: Use
    /// The tools of it that kbuild starts.
    package var tools: [String]

    /// Every package.
    package static let all = parse(String(decoding: PackageResources.packages_txt, as: UTF8.self))

    /// The package that holds a tool.
    static let byTool = Dictionary(
        all.flatMap { package in package.tools.map { ($0, package.name) } }, uniquingKeysWith: { first, _ in first })

    /// Reads the list. A line that does not name a use is left out; a test counts them.
    package static func parse(_ text: String) -> [DebianPackage] {
        text.textLines().compactMap { line in
            let words = line.split(separator: " ").map(String.init)
            guard !line.hasPrefix("#"), words.count >= 2, let use = Use(rawValue: words[1]) else { return nil }
            return DebianPackage(name: words[0], use: use, tools: Array(words[2...]))
        }
    }
}
