// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A target as Package.swift declares it, read from the text: a unit test starts no `swift package`.
struct ManifestTarget: Equatable {
    var name: String
    /// The package's own targets that it depends on.
    var dependencies: [String]
    /// The modules of other packages that it depends on. kbuild's own dependencies name a product as its module.
    var products: [String] = []
    /// Its folder, from the package's on.
    var path: String
    var isTest: Bool

    /// The targets of a manifest, in order.
    static func all(in manifest: String) -> [ManifestTarget] {
        // A comment may hold quotes and brackets; an address has slashes after a colon.
        let text = manifest.replacing(/(?m)(^|[^:])\/\/.*$/) { String($0.output.1) }
        return text.matches(of: /\.(target|executableTarget|testTarget|systemLibrary|plugin)\(/).compactMap { match in
            let body = bracketed(text[match.range.upperBound...], open: "(", close: ")")
            guard let name = body.firstMatch(of: /name:\s*"([^"]+)"/)?.output.1 else { return nil }
            let kind = match.output.1
            let folder = kind == "testTarget" ? "Tests" : kind == "plugin" ? "Plugins" : "Sources"
            let path = body.firstMatch(of: /\bpath:\s*"([^"]+)"/)?.output.1
            var dependencies: [String] = []
            var products: [String] = []
            if let list = body.firstRange(of: "dependencies: [") {
                let items = bracketed(body[list.upperBound...], open: "[", close: "]")
                products = items.matches(of: /\.product\(name:\s*"([^"]+)"/).map { String($0.output.1) }
                dependencies = items.replacing(/\.product\([^)]*\)/, with: "").matches(of: /"([^"]+)"/).map {
                    String($0.output.1)
                }
            }
            return ManifestTarget(
                name: String(name), dependencies: dependencies, products: products,
                path: path.map(String.init) ?? "\(folder)/\(name)",
                isTest: kind == "testTarget")
        }
    }

    /// The text up to the bracket that closes the one before it.
    private static func bracketed(_ text: Substring, open: Character, close: Character) -> String {
        var depth = 1
        let end = text.firstIndex { character in
            if character == open { depth += 1 }
            if character == close { depth -= 1 }
            return depth == 0
        }
        return String(text[..<(end ?? text.endIndex)])
    }

    /// The modules that its Swift files import.
    func imports(under root: URL) throws -> Set<String> {
        let folder = root.appending(path: path)
        let names = (FileManager.default.subpaths(atPath: folder.path) ?? []).filter { $0.hasSuffix(".swift") }
        var modules = Set<String>()
        for name in names {
            modules.formUnion(
                Self.imports(in: try String(contentsOf: folder.appending(path: name), encoding: .utf8)))
        }
        return modules
    }

    /// The modules that a file imports.
    static func imports(in text: String) -> Set<String> {
        let line =
            /(?m)^(?:@\w+(?:\(\w+\))?\s+|(?:public|package|internal|private|fileprivate)\s+)*import\s+(?:(?:struct|class|enum|protocol|func|var|let|typealias)\s+)?(\w+)/
        return Set(text.matches(of: line).map { String($0.output.1) })
    }
}
