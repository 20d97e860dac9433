// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation

/// The XCTest cases of a test bundle. The guest has no XCTest, so kbuild does not run them; kbuild must know them,
/// because a case that never runs must not look like a passed one.
enum XCTestListing {
    /// The arguments with which a bundle prints its XCTest cases as JSON (swift-corelibs-xctest, ArgumentParser.swift).
    static let arguments = ["--testing-library", "xctest", "--dump-tests-json"]

    private struct Entry: Decodable {
        var name: String
        /// nil for a test method.
        var tests: [Entry]?
    }

    /// The cases as SwiftPM names them: `Module.Class/method`.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the output does not contain the list.
    static func names(in output: String) throws(Failure) -> [String] {
        // Code that runs while the bundle is loaded may print lines before it. Bytes are split, because CR LF is one
        // Character in Swift.
        let lines = output.utf8.split(separator: 0x0A).map { String(decoding: $0, as: UTF8.self) }
        guard let line = lines.last(where: { $0.hasPrefix("{") }),
            let root = try? JSONDecoder().decode(Entry.self, from: Data(line.utf8))
        else {
            throw Failure(
                .infrastructure, "the test bundle's list of XCTest cases cannot be read",
                details: String(output.prefix(2000)),
                nextStep: "run the bundle with \(arguments.joined(separator: " ")), as `-v` shows")
        }
        return names(below: root, in: nil).sorted()
    }

    private static func names(below entry: Entry, in owner: String?) -> [String] {
        guard let tests = entry.tests else { return ["\(owner ?? "")/\(entry.name)"] }
        return tests.flatMap { names(below: $0, in: entry.name) }
    }
}
