import Artifacts
import Diagnostics
import Foundation
import KernelTree
import Reporting
import SystemPackage
import Yams

/// What a shell may complete a word with: only what is found out at once, and nothing where it cannot be.
public struct Completions: Sendable {
    private let project: FilePath?
    private let environment: [String: String]

    /// Looks where a command line looks.
    ///
    /// - Parameters:
    ///   - words: The words of the command line so far, of which `--project` matters.
    ///   - folder: The working directory.
    public init(words: [String], in folder: FilePath, environment: [String: String]) {
        var named: String?
        for (index, word) in words.enumerated() {
            if word == "--project", index + 1 < words.count { named = words[index + 1] }
            if word.hasPrefix("--project=") { named = String(word.dropFirst("--project=".count)) }
        }
        project = try? Project.locate(named, from: folder)
        self.environment = environment
    }

    /// The profiles of the project file, even of one that is wrong elsewhere.
    public var profiles: [String] {
        guard let project, let text = try? readText(project), let root = try? Yams.compose(yaml: text) else {
            return []
        }
        return root["profiles"]?.mapping?.keys.compactMap(\.string).sorted() ?? []
    }

    /// The tests of the last runs, as patterns: without the parentheses, which a shell would want quoted.
    public var tests: [String] {
        guard let project, let layout = try? CacheLayout(environment: environment) else { return [] }
        let runs = RunHistory(layout: layout, project: project.removingLastComponent()).folder
        // A run of some tests knows only those; the largest of the last ones knows most.
        let names = ((try? namesInFolder(runs)) ?? []).filter { $0 != "latest" }.suffix(5)
        let reports = names.compactMap { name in
            (try? readText(runs.appending(name).appending("report.json"))).flatMap { try? JSONReport.parse($0) }
        }
        let tests = Set(reports.flatMap(\.suites).flatMap(\.tests).map { String($0.id.prefix { $0 != "(" }) })
        return tests.filter { !$0.contains { $0.isWhitespace } }.sorted()
    }

    /// The kernel sources that Debian packages have installed.
    public var kernels: [String] {
        let suffix = ".tar.xz"
        let names = (try? namesInFolder(SourceCache.debianFolder)) ?? []
        return names.filter { $0.hasPrefix("linux-source-") && $0.hasSuffix(suffix) }
            .map { String($0.dropLast(suffix.count)) }.sorted()
    }

    /// What a key of the project file may hold, when that is one of some words.
    public static func choices(ofKey key: String) -> [String] {
        var keys = Schema.base
        for name in key.split(separator: ".") {
            guard let found = keys.first(where: { $0.name == name }) else { return [] }
            switch found.schema {
            case .choice(let words): return words
            case .map(let nested): keys = nested
            default: return []
            }
        }
        return []
    }
}
