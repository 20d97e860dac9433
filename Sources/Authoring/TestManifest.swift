// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation
import ProjectTemplate
import SystemPackage

/// The manifest of a package of suites.
package enum TestManifest {
    /// Adds a test target like the last one of the manifest.
    ///
    /// - Throws: `Failure` (`usage`) when the target exists, or the manifest has no list of targets.
    package static func adding(_ target: String, to text: String, file: FilePath) throws -> String {
        guard !text.contains("\"\(target)\"") else {
            throw Failure(
                .usage, "\(file) has a target \(target) already", nextStep: "choose another name, or remove the target")
        }
        let standard =
            ".testTarget(name: \"\(target)\", dependencies: [.product(name: \"SyscallTesting\", package: \"kbuild\")])"
        guard let start = text.ranges(of: ".testTarget(").last?.lowerBound, let end = closing(text, from: start) else {
            guard let list = text.firstRange(of: "targets: [") else {
                throw Failure(
                    .usage, "\(file) has no list of targets that kbuild can edit", nextStep: "add \(standard)")
            }
            return text.replacingCharacters(in: list, with: "targets: [\n        \(standard),")
        }
        let last = String(text[start..<end])
        // The same dependencies, under the package's names, but not the path, which is the other target's.
        let isPlain = !last.contains("path:") && !last.contains("sources:") && !last.contains("exclude:")
        var copy = standard
        if isPlain, let name = last.firstRange(of: /name:\s*"[^"]*"/) {
            copy = last.replacingCharacters(in: name, with: "name: \"\(target)\"")
        }
        let indent = text[..<start].reversed().prefix { $0 == " " || $0 == "\t" }.reversed()
        return String(text[..<end]) + ",\n" + String(indent) + copy + String(text[end...])
    }

    /// The closing parenthesis of the first one that opens after `start`.
    private static func closing(_ text: String, from start: String.Index) -> String.Index? {
        var depth = 0
        var isString = false
        for index in text[start...].indices {
            switch text[index] {
            case "\"": isString.toggle()
            case "(" where !isString: depth += 1
            case ")" where !isString:
                depth -= 1
                if depth == 0 { return text.index(after: index) }
            default: break
            }
        }
        return nil
    }

    /// A package with one suite.
    ///
    /// - Parameter kbuild: The path to the package that has SyscallTesting.
    package static func new(_ target: String, kbuild: String) -> String {
        template.text(.package, ["target": target, "kbuild": kbuild])
    }

    /// The one section of Templates/suites.template.
    package enum Section: String, CaseIterable, Sendable {
        case package = "Package.swift"
    }

    package static let template = Template<Section>(PackageResources.suites_template)
}
