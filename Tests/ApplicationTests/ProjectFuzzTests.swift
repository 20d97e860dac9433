// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Fuzzing
import SystemPackage
import Testing

@testable import Project

/// Damaged project files: each is a valid project, or is refused with a place.
@Suite("Damaged project files", .timeLimit(.minutes(30)))
struct ProjectFuzzTests {
    private static let seeds = [
        """
        kernel:
          source: linux-source-6.1
          patches: [kernel/a, kernel/b/0001.patch]
          config: [configs/base.config]
          uml-config: [configs/uml.config]
          jobs: 4
        rootfs: {type: disk, definition: rootfs/rootfs.yaml}
        machine:
          type: microvm
          accel: auto
          memory: 512M
          cpus: 2
          results: virtio
        tests:
          - {swift: Tests/G, filter: "a|b", timeout: 30}
          - program: build/x
            args: [1, two]
            skip-code: 4
          - {kselftest: timers}
        timeouts: {boot: 60, test: 45, run: 10m}
        profiles:
          debug:
            kernel: {debug-info: on}
            machine: {cpus: 1}

        """,
        "kernel: {source: {tarball: a.tar.xz, sha256: 00}}\nisolate: test\nfail-fast: true\nskips: [a*, b]\n",
        "shares: [{path: a, target: /mnt, writable: true}]\ndisks: [{size: 16M}]\nrootfs: {type: debian, packages: [perl]}\n",
    ]
    private static let words = [
        "&a ", "*a", "<<: *a\n", "!!binary ", "---\n", "...\n", "- ", ": ", "{", "}", "[", "]", "|\n", ">-\n", "\"",
        "'",
        "kernel:\n", "99999999999999999999", "-1", "1e400", "~", "? ", "# ", "%YAML 1.2\n", "\u{85}", "\u{2028}",
    ]

    @Test(
        "a damaged project file is a usage error of one line with its places, or a valid project",
        arguments: 0..<16 as Range<UInt64>)
    func load(seed: UInt64) {
        var mutator = Mutator(seed: seed, of: Self.seeds, words: Self.words)
        for _ in 0..<60 {
            let text = String(decoding: mutator.next(), as: UTF8.self)
            do {
                let project = try Project.load(text: text, file: "/p/kbuild.yaml", profile: nil, overrides: [])
                // A valid project can be written, and is read again as the same.
                let rendered = project.rendered()
                let again = try Project.load(text: rendered, file: "/p/kbuild.yaml", profile: nil, overrides: [])
                #expect(again.rendered() == rendered, "seed \(seed)")
            } catch {
                #expect(error.code == .usage, "seed \(seed): \(error.message)")
                #expect(!error.message.isEmpty && !error.message.contains("\n"), "seed \(seed): \(error.message)")
            }
        }
    }
}
