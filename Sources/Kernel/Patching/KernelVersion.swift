// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import SystemPackage

/// The version of a kernel source tree.
public struct KernelVersion: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The first number: VERSION in the top Makefile.
    public var version: Int
    /// The second number: PATCHLEVEL.
    public var patchLevel: Int
    /// The third number: SUBLEVEL, the stable release.
    public var sublevel: Int

    /// Creates a version from its numbers.
    public init(_ version: Int, _ patchLevel: Int, _ sublevel: Int = 0) {
        self.version = version
        self.patchLevel = patchLevel
        self.sublevel = sublevel
    }

    /// Reads the version from the top Makefile of `tree`.
    ///
    /// - Throws: `Failure` (`infrastructure`) when there is no such Makefile or it has no version.
    public init(tree: FilePath) throws {
        let path = tree.appending("Makefile")
        guard let version = KernelVersion(makefile: try readText(path)) else {
            throw Failure(
                .infrastructure, "\(path) has no VERSION, PATCHLEVEL and SUBLEVEL",
                nextStep: "give the top folder of a Linux source tree")
        }
        self = version
    }

    /// Reads the version from the text of a top Makefile; nil when one of the three numbers is missing.
    public init?(makefile text: String) {
        var numbers: [String: Int] = [:]
        // The three assignments are the Makefile's first lines; later ones only use the variables.
        for line in text.textLines().prefix(40) {
            let sides = line.split(separator: "=", maxSplits: 1)
            guard sides.count == 2 else { continue }
            let name = sides[0].trimmed
            if numbers[name] == nil, let number = Int(sides[1].trimmed) { numbers[name] = number }
        }
        guard let version = numbers["VERSION"], let patchLevel = numbers["PATCHLEVEL"],
            let sublevel = numbers["SUBLEVEL"]
        else { return nil }
        self.init(version, patchLevel, sublevel)
    }

    /// The first two numbers, such as "6.1", which select a version-specific series or number.
    public var series: String { "\(version).\(patchLevel)" }

    /// The three numbers, such as "6.1.192".
    public var description: String { "\(series).\(sublevel)" }

    /// Orders by version, patch level and sublevel.
    public static func < (left: KernelVersion, right: KernelVersion) -> Bool {
        (left.version, left.patchLevel, left.sublevel) < (right.version, right.patchLevel, right.sublevel)
    }
}
