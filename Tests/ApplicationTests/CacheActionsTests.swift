// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Glibc
import Reporting
import SystemPackage
import Testing

@testable import Application

@Suite("Cache actions", .timeLimit(.minutes(30)))
struct CacheActionsTests {
    @Test(
        "sizes are numbers with a unit, in powers of 1024",
        arguments: [
            ("0", 0), ("4096", 4096), ("500M", 500 << 20), ("10G", 10 << 30), ("1.5g", 3 << 29), ("2 GiB", 2 << 30),
            ("64kB", 64 << 10), ("1T", 1 << 40), ("", nil), ("G", nil), ("-1", nil), ("10X", nil), ("1e9", nil),
            ("999999999999999T", nil),
        ] as [(String, Int?)])
    func sizes(text: String, bytes: Int?) {
        #expect(CacheActions.bytes(text) == bytes)
    }

    @Test("the limit is 20 GB, the value of KBUILD_CACHE_MAX, or none")
    func limit() throws {
        func limit(_ value: String?) throws -> Int? {
            try CacheActions(environment: ["KBUILD_CACHE": "/c", "KBUILD_CACHE_MAX": value].compactMapValues { $0 })
                .limit()
        }
        #expect(try limit(nil) == 20 << 30)
        #expect(try limit("") == 20 << 30)
        #expect(try limit("5G") == 5 << 30)
        #expect(try limit("0") == nil)
        let failure = #expect(throws: Failure.self) { _ = try limit("lots") }
        #expect(failure?.code == .usage)
    }

    @Test("after a run the excess is removed, at most once an hour, and the run's own items are kept")
    func afterRun() async throws {
        let root = FilePath(NSTemporaryDirectory()).appending("kbuild-prune-\(UUID().uuidString)")
        defer { try? removeAll(root) }
        let environment = ["KBUILD_CACHE": root.string, "KBUILD_CACHE_MAX": "1K", "HOME": "/nonexistent"]
        let layout = CacheLayout(root: root)
        let store = ArtifactStore(layout: layout, statCache: StatCache())
        func publish(_ key: String) async throws -> FilePath {
            var builder = KeyBuilder(step: "kernel", version: 1, trust: .trusted)
            builder.add("name", key)
            let key = builder.key
            return try await store.publish(key: { key }) { folder in
                try writeAtomically([UInt8](repeating: 1, count: 100_000), to: folder.appending("image"))
            }.folder
        }
        try layout.prepare()
        let old = try await publish("old")
        let moment = timespec(tv_sec: time(nil) - 86400, tv_nsec: 0)
        utimensat(AT_FDCWD, old.string, [moment, moment], 0)
        let use = try await CacheUse.begin(layout, project: nil, command: "kbuild run")
        let needed = try await publish("needed")
        let actions = try CacheActions(environment: environment)
        #expect(Set(try actions.list().entries.map(\.kind)) == ["kernel"])
        await actions.pruneAfterRun(progress: .silent)
        #expect(!fileExists(old) && fileExists(needed))
        let again = try await publish("old")
        utimensat(AT_FDCWD, again.string, [moment, moment], 0)
        await actions.pruneAfterRun(progress: .silent)
        #expect(fileExists(again))
        withExtendedLifetime(use) {}
    }
}
