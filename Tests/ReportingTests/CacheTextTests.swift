// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Testing

@testable import Reporting

@Suite("Text output of a cache", .timeLimit(.minutes(30)))
struct CacheTextTests {
    private static func entry(
        _ kind: String, _ bytes: Int, project: String? = nil, isOrphaned: Bool = false, day: Int = 1
    ) -> CacheList.Entry {
        CacheList.Entry(
            kind: kind, path: "/c/\(kind)", bytes: bytes, lastUsed: "2026-01-0\(day)T00:00:00Z", project: project,
            isOrphaned: isOrphaned, isRemovable: kind != "runs")
    }

    static let list = CacheList(
        root: "/c", limitBytes: 20 << 30, bytes: 3 << 30,
        entries: [
            entry("kernel", 12 << 20), entry("kernel", 13 << 20, day: 3), entry("source", 1 << 30),
            entry("output", 2000 << 20, project: "/p"), entry("runs", 500, project: "/gone\u{1B}[2J", isOrphaned: true),
        ])
    static let pruning = CachePruning(
        root: "/c", isDryRun: true, maxBytes: 1 << 30, bytesBefore: 3 << 30, bytesAfter: 2 << 30,
        removed: [entry("kernel", 1 << 30, project: "/p", isOrphaned: true)])

    @Test("a list is grouped by project and kind, with sums and the last use; a removed project is marked")
    func list() {
        let text = TextReport().render(Self.list).plain
        let lines = text.split(separator: "\n").map(String.init)
        #expect(lines.first == "/c: 3.0 GB; kbuild keeps 20 GB")
        #expect(lines.contains("    25 MB  kernels, 2 of them; last used 2026-01-03T00:00:00Z"))
        #expect(lines.contains("   1.0 GB  kernel sources; last used 2026-01-01T00:00:00Z"))
        #expect(lines.contains("/p"))
        #expect(lines.contains("   2.0 GB  trees and build outputs; last used 2026-01-01T00:00:00Z"))
        #expect(lines.contains { $0.hasSuffix("(the project no longer exists)") })
        // A folder's name may be anything.
        #expect(!text.contains("\u{1B}"))
        var all = Self.list
        all.limitBytes = nil
        #expect(TextReport().render(all).plain.contains("kbuild keeps all"))
    }

    @Test("removed items are listed with their size and last use, and so are those that cannot be removed")
    func pruned() {
        let text = TextReport().render(Self.pruning).plain
        #expect(
            text.contains("would remove /c/kernel: 1.0 GB, last used 2026-01-01T00:00:00Z, of a deleted project"))
        #expect(text.contains("3.0 GB before, 2.0 GB after; at most 1.0 GB"))
        #expect(text.contains("the rest is in use"))
        var done = Self.pruning
        done.isDryRun = false
        done.bytesAfter = 1 << 30
        #expect(TextReport().render(done).plain.hasPrefix("removed /c/kernel"))
        #expect(!TextReport().render(done).plain.contains("the rest"))
        done.removed = []
        #expect(TextReport().render(done).plain.hasPrefix("nothing to remove"))
    }

    @Test(
        "sizes",
        arguments: [
            (0, "0 B"), (1023, "1023 B"), (1024, "1.0 kB"), (1536, "1.5 kB"), (20 << 30, "20 GB"),
            (9999 << 20, "9.8 GB"),
        ])
    func sizes(bytes: Int, text: String) {
        #expect(CacheList.size(bytes) == text)
    }
}
