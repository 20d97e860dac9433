// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Fuzzing
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// Hundreds of guests that misbehave, in a random order. `make soak` runs this; docs/RELIABILITY.md has a table.
@Suite("soak", .serialized, .tags(.campaign), .costly, .timeLimit(.minutes(1200)))
struct SoakTests {
    let fixture: Fixture

    init() throws {
        fixture = try Fixture(name: "soak")
        try fixture.haveCaesarWarn()
    }

    private static func number(_ name: String, default value: Int) -> Int {
        ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? value
    }

    /// The results of a fault.
    private struct Row {
        var boots = 0
        var right = 0
        var orphans = 0
    }

    @Test("every fault has its verdict after any other fault, and leaves no process")
    func faults() async throws {
        let boots = Self.number("BOOTS", default: 500)
        let seed = Self.number("SEED", default: 1)
        var lot = SeededGenerator(seed: UInt64(truncatingIfNeeded: seed))
        // FAULTS=mount,taint selects only these.
        let wanted = ProcessInfo.processInfo.environment["FAULTS"]?.split(separator: ",").map(String.init)
        let faults = Fault.all.filter { wanted?.contains($0.mode) != false }
        try #require(!faults.isEmpty)
        var rows: [String: Row] = [:]
        var done = 0
        while done < boots {
            guard let fault = faults.randomElement(using: &lot) else { break }
            // Now and then kbuild itself is killed first, at any point.
            let isKilled = Int.random(in: 0..<8, using: &lot) == 0
            if isKilled { try await killRun(after: Double.random(in: 0..<4, using: &lot)) }
            // Now and then two signals at once end it.
            let isEnded = !isKilled && Int.random(in: 0..<8, using: &lot) == 0
            if isEnded { try await endRun(after: Double.random(in: 0..<4, using: &lot)) }
            let run = try await fault.inject(into: fixture)
            let mistakes = fault.mistakes(in: run)
            let orphans = try Fixture.processes(containing: fixture.marker)
            #expect(mistakes == [], "\(fault), boot \(done) of seed \(seed)")
            #expect(orphans == [], "\(fault), boot \(done) of seed \(seed)")
            let guests = (run.json["guests"] as? [String: Any])?["count"] as? Int ?? 1
            done += guests
            let kinds = [
                fault.description, isKilled ? "kbuild killed before it" : nil,
                isEnded ? "kbuild ended by two signals before it" : nil,
            ]
            for name in kinds.compactMap({ $0 }) {
                rows[name, default: Row()].boots += guests
                rows[name, default: Row()].right += mistakes.isEmpty ? guests : 0
                rows[name, default: Row()].orphans += orphans.count
            }
        }
        print("| fault | boots | right verdicts | orphans |\n|---|---|---|---|")
        for (name, row) in rows.sorted(by: { $0.key < $1.key }) {
            print("| \(name) | \(row.boots) | \(row.right) | \(row.orphans) |")
        }
    }

    /// Ends a run by two signals that count as one, with their exit code and without leftovers.
    private func endRun(after delay: Double) async throws {
        let process = try fixture.start("run")
        try await Task.sleep(for: .seconds(delay))
        let isRunning = process.isRunning
        for _ in 0..<2 { kill(process.processIdentifier, SIGTERM) }
        process.waitUntilExit()
        // A run may have just ended; the kernel handles a signal before kbuild's handlers exist.
        #expect(!isRunning || delay < 0.5 || process.terminationStatus == 143)
        #expect(try await Fixture.lastingProcesses(containing: fixture.marker) == [])
    }

    private func killRun(after delay: Double) async throws {
        let process = try fixture.start("run")
        try await Task.sleep(for: .seconds(delay))
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        _ = try await Fixture.lastingProcesses(containing: fixture.marker)
    }

    @Test("afterwards every entry of the cache is unchanged since its publication")
    func cache() throws {
        let store = try CacheLayout(environment: ProcessInfo.processInfo.environment).store
        var entries = 0
        var damaged: [String] = []
        for step in try namesInFolder(store) {
            for name in try namesInFolder(store.appending(step)) {
                let folder = store.appending(step).appending(name)
                let manifest = try JSONSerialization.jsonObject(
                    with: Data(try readBytes(folder.appending(".manifest.json"))))
                let files = (manifest as? [String: Any])?["files"] as? [String: [String: String]] ?? [:]
                if files.isEmpty { damaged.append("\(step)/\(name): no list of files") }
                entries += 1
                let isWhole = files.allSatisfy { file, digest in
                    (try? Digest.ofFile(folder.pushing(FilePath(file))))?.hex == digest["hex"]
                }
                if !isWhole { damaged.append("\(step)/\(name)") }
            }
        }
        print("cache: \(entries) entries, \(damaged.count) damaged")
        #expect(damaged == [])
        #expect(entries > 0)
    }

    @Test("one kbuild process that runs many guests does not leak descriptors or memory")
    func leaks() async throws {
        let guests = max(10, Self.number("BOOTS", default: 500) / 5)
        try fixture.faults((0..<guests).map { ("panic-\($0)", "panic") } + [("after", "pass")])
        let process = try fixture.start("run", "--timeout", "2h")
        var samples: [(descriptors: Int, megabytes: Int)] = []
        while process.isRunning {
            let folder = FilePath("/proc/\(process.processIdentifier)")
            if let descriptors = try? namesInFolder(folder.appending("fd")).count,
                let line = try? readText(folder.appending("status")).split(separator: "\n")
                    .first(where: { $0.hasPrefix("VmRSS:") }),
                let kilobytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
            {
                samples.append((descriptors, kilobytes / 1024))
            }
            try await Task.sleep(for: .milliseconds(250))
        }
        #expect(process.terminationStatus == 5)
        // Both vary within one guest's life, so the maxima of an early and of a late part are compared.
        let part = samples.count / 4
        let early = samples[part..<(2 * part)]
        let late = samples[(3 * part)...]
        let descriptors = (early.map(\.descriptors).max() ?? 0, late.map(\.descriptors).max() ?? 0)
        let megabytes = (early.map(\.megabytes).max() ?? 0, late.map(\.megabytes).max() ?? 0)
        print(
            "\(guests) guests in one kbuild: descriptors \(descriptors.0) early, \(descriptors.1) late; "
                + "resident MiB \(megabytes.0) early, \(megabytes.1) late")
        #expect(descriptors.1 <= descriptors.0)
        // A guest's console log and tests are kept for the report, some kilobytes each.
        #expect(megabytes.1 <= megabytes.0 + max(4, guests / 10))
    }
}
