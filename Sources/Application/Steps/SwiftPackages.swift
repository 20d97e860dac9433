// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import SystemPackage

/// A Swift package and the packages that it depends on by path, as SwiftPM describes them.
struct SwiftPackages: Sendable, Codable {
    /// One package.
    struct Package: Sendable, Codable {
        /// Its folder.
        var root: String
        /// The output of `swift package describe`.
        var description: Description
        /// The digest of its manifests and of the names beside them, for which the description is valid.
        var state: Digest
    }

    /// The part of `swift package describe --type json` that matters here.
    struct Description: Sendable, Codable {
        struct Dependency: Sendable, Codable {
            var type: String
            var path: String?
        }
        struct Product: Sendable, Codable {
            var name: String
            var targets: [String]
        }
        struct Target: Sendable, Codable {
            var name: String
            var type: String
            var path: String
            var targetDependencies: [String]?
            var productDependencies: [String]?
        }
        var name: String
        var dependencies: [Dependency]
        var products: [Product]
        var targets: [Target]
    }

    /// The package itself, then the others.
    var packages: [Package]
    /// The environment in which the manifests were read.
    var environment: [String: String]

    /// The folders of the packages.
    var roots: [FilePath] { packages.map { FilePath($0.root) } }
    /// The name that SwiftPM gives the file of the package's tests; nil when the package has no test target.
    var testProduct: String? {
        guard let main = packages.first, main.description.targets.contains(where: { $0.type == "test" }) else {
            return nil
        }
        return "\(main.description.name)PackageTests.xctest"
    }

    /// Files and folders that the build of the package's tests reads, links followed: the targets that are reached from
    /// the package's own, in any folder. The build of a target with a plugin may read all of its package.
    var folders: [FilePath] {
        guard let main = packages.first else { return [] }
        var found: [FilePath] = []
        var seen = Set<String>()
        var pending = main.description.targets.map { (main, $0) }
        while let (package, target) = pending.popLast() {
            guard seen.insert("\(package.root)\n\(target.name)").inserted else { continue }
            let root = FilePath(package.root)
            found.append(target.type == "plugin" ? root : root.pushing(FilePath(target.path)).lexicallyNormalized())
            for name in target.targetDependencies ?? [] {
                guard let next = package.description.targets.first(where: { $0.name == name }) else { continue }
                pending.append((package, next))
                if next.type == "plugin" { found.append(root) }
            }
            for name in target.productDependencies ?? [] {
                // Products of packages that SwiftPM fetched have the versions in Package.resolved.
                for other in packages {
                    let targets = other.description.products.filter { $0.name == name }.flatMap(\.targets)
                    pending += other.description.targets.filter { targets.contains($0.name) }.map { (other, $0) }
                    if other.description.targets.contains(where: { targets.contains($0.name) && $0.type == "plugin" }) {
                        found.append(root)
                    }
                }
            }
        }
        return Set(found).sorted { $0.string < $1.string }
    }

    /// The names of a package's manifests, one for each version of the tools.
    static func manifests(in root: FilePath) throws -> [FilePath] {
        try namesInFolder(root).filter {
            $0 == "Package.swift" || ($0.hasPrefix("Package@swift-") && $0.hasSuffix(".swift"))
        }
        .map { root.appending($0) }
    }

    /// The folders in which SwiftPM looks for a target without a path.
    private static let usualFolders = ["Sources", "Source", "src", "srcs", "Tests", "Plugins"]

    /// The inputs of a description: the manifests, and which of the folders that targets may be in exist.
    static func state(of root: FilePath, _ statCache: StatCache) throws -> Digest {
        var state = ContentDigest(of: "package", version: 1)
        for manifest in try manifests(in: root) { state.add(manifest.string, try statCache.digest(of: manifest)) }
        for folder in [root] + usualFolders.map({ root.appending($0) }) where isFolder(folder) {
            let names = try namesInFolder(folder).filter { !$0.hasPrefix(".") && $0 != "Package.resolved" }
            state.add(folder.string, names.joined(separator: "\n"))
        }
        return state.digest
    }

    /// Whether a file below a package is an input, and not a file of version control, SwiftPM or an editor.
    static func isInput(_ path: String) -> Bool {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        if [".build", ".git", ".swiftpm", "4913"].contains(name) || name.hasPrefix(".#") || name.hasSuffix("~") {
            return false
        }
        // Vim's swap files: .NAME.swp, .swo, .swn ...
        return !(name.hasPrefix(".") && name.dropLast().hasSuffix(".sw"))
    }
}

extension SwiftPackages.Description {
    /// Parses the output of `swift package describe --type json`. Notes may precede the JSON.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it is something else.
    init(parsing output: String) throws(Failure) {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        guard let start = output.firstIndex(of: "{"),
            let description = try? decoder.decode(Self.self, from: Data(output[start...].utf8))
        else { throw Failure(.infrastructure, "SwiftPM's description of a package cannot be read", details: output) }
        self = description
    }
}
