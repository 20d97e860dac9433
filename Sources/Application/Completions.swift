// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import KernelSource
import Project
import Reporting
import ResultsModel
import RunStore
import SystemPackage
import TextInput
import Yams

/// The candidates with which a shell may complete a word, from fast look-ups only.
public struct Completions: Sendable {
    /// The project file.
    private let project: FilePath?
    private let profile: String?
    /// The working directory.
    private let folder: FilePath
    /// The word that is completed, as far as it is typed.
    private let word: String
    private let environment: [String: String]

    /// Finds the project as a command line does.
    ///
    /// - Parameters:
    ///   - words: The words of the command line, of which `--project` and `--profile` matter.
    ///   - index: The index of the word to complete; nil for none.
    ///   - folder: The working directory.
    public init(words: [String], index: Int? = nil, in folder: FilePath, environment: [String: String]) {
        func value(of option: String) -> String? {
            for (place, word) in words.enumerated() where place != index {
                if word.hasPrefix(option + "=") { return String(word.dropFirst(option.count + 1)) }
                guard word == option else { continue }
                // bash treats the equals sign as a separate word.
                let rest = words[(place + 1)...].drop { $0 == "=" }
                if let value = rest.first, rest.startIndex != index { return value }
            }
            return nil
        }
        project = try? Project.locate(value(of: "--project"), from: folder)
        profile = value(of: "--profile")
        word = index.flatMap { words.indices.contains($0) ? words[$0] : nil } ?? ""
        self.folder = folder
        self.environment = environment
    }

    /// Returns the candidates that are safe for a shell. A name may come from anywhere, a test's name from a guest, and
    /// bash executes text between backquotes or in `$()` in a completed word.
    public static func harmless(_ candidates: [String]) -> [String] {
        candidates.filter { candidate in
            !candidate.isEmpty
                && candidate.unicodeScalars.allSatisfy { scalar in
                    scalar.properties.isAlphabetic || scalar.properties.numericType != nil
                        || "_./:@%+=,~-".unicodeScalars.contains(scalar)
                }
        }
    }

    /// The profiles of the project file, also of a file with errors elsewhere.
    public var profiles: [String] {
        guard let project, let text = try? TextInput(project.string, as: "a project file").text(of: project),
            let root = try? Yams.compose(yaml: text)
        else {
            return []
        }
        return root["profiles"]?.mapping?.keys.compactMap(\.string).sorted() ?? []
    }

    /// Patterns for tests: the tests of the last runs, without the parentheses, which a shell would need quoted; and
    /// the suites of the project's packages, also of those that never ran.
    public var tests: [String] {
        guard let history else { return [] }
        // A run of some tests knows only those; the largest of the last reports knows the most.
        let reports = ((try? history.runs()) ?? []).prefix(5).compactMap { try? $0.report() }
        let ids = reports.flatMap(\.suites).flatMap(\.tests).map(\.id)
        let known = ids.filter { !$0.contains(where: \.isWhitespace) }.map { String($0.prefix { $0 != "(" }) }
        return Set(known).union(suites).sorted()
    }

    /// The test targets of the project's packages, from their folders.
    private var suites: [String] {
        (effective?.tests ?? []).flatMap { test -> [String] in
            guard case .swift(let package, _, _, _) = test else { return [] }
            let targets = package.appending("Tests")
            return ((try? namesInFolder(targets)) ?? []).filter { isFolder(targets.appending($0)) }
        }
    }

    /// The names of the programs that the guest has.
    public var programs: [String] {
        (effective?.tests ?? []).compactMap { if case .program(let program) = $0 { program.name } else { nil } }
    }

    /// The kept runs, the newest first.
    public var runs: [String] { ((try? history?.runs()) ?? []).map(\.id) }

    private var history: RunHistory? {
        project.flatMap { try? RunHistory(projectFile: $0, environment: environment) }
    }

    /// The project with its profile; nil when it has errors.
    private var effective: Project? { project.flatMap { try? Project.load($0, profile: profile) } }

    /// The project's patches, as paths from here, and the files and folders that complete the word.
    public var patches: [String] {
        let own = (effective?.kernel.patches ?? []).map { patch in
            var path = patch
            return path.removePrefix(folder) ? path.string : patch.string
        }
        return own + paths.filter { !own.contains($0) && !own.contains(String($0.dropLast())) }
    }

    /// The installed kernel sources and, when the word has a slash, the files and folders that complete it.
    public var kernels: [String] { debianKernels + (word.contains("/") ? paths : []) }

    /// The files and folders that complete the word; a folder has a slash at its end.
    private var paths: [String] {
        let place = word.lastIndex(of: "/").map { word[...$0] } ?? ""
        let start = word.dropFirst(place.count)
        let home = environment["HOME"].map { FilePath($0) }
        let parent =
            place.hasPrefix("~/")
            ? home?.pushing(FilePath(String(place.dropFirst(2)))) : folder.pushing(FilePath(String(place)))
        guard let parent, let names = try? namesInFolder(parent) else { return [] }
        // Hidden files only for a word that begins with a dot.
        return names.filter { $0.hasPrefix(start) && (!$0.hasPrefix(".") || start.hasPrefix(".")) }.sorted()
            .map { place + $0 + (isFolder(parent.appending($0)) ? "/" : "") }
    }

    /// The kernel sources that Debian packages have installed.
    private var debianKernels: [String] {
        let suffix = ".tar.xz"
        let names = (try? namesInFolder(SourceCache.debianFolder)) ?? []
        return names.filter { $0.hasPrefix("linux-source-") && $0.hasSuffix(suffix) }
            .map { String($0.dropLast(suffix.count)) }.sorted()
    }

    /// The values of a key of the project file, if the key takes one of several words.
    public static func choices(ofKey key: String) -> [String] {
        var keys = Schema.base
        for name in key.split(separator: ".") {
            guard let found = keys.first(where: { $0.name == name }) else { return [] }
            switch found.schema {
            case .choice(let words), .either(.choice(let words), _): return words
            case .map(let nested): keys = nested
            default: return []
            }
        }
        return []
    }
}
