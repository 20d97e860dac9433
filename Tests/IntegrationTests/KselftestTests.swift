// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// The kernel's own selftests, built from the tree in use and run in a guest.
@Suite("kselftest", .serialized, .tags(.guest), .costly, .timeLimit(.minutes(60)))
struct KselftestTests {
    let fixture: Fixture

    init() throws {
        fixture = try Fixture(name: "kselftest")
    }

    @Test("a collection named on the command line is built and run, each program with its results")
    func membarrier() async throws {
        let run = try await fixture.report("test", "kselftest:membarrier")
        #expect(run.exitCode == 0)
        let prefix = "kselftest:membarrier/membarrier_test_"
        #expect(run.suites.compactMap { $0["name"] as? String } == ["\(prefix)single_thread", "\(prefix)multi_thread"])
        #expect(run.tests["\(prefix)single_thread/sys_membarrier available"] == "passed")
        #expect(run.tests.count > 20)
        #expect(Set(run.tests.values) == ["passed"])

        let again = try await fixture.report("test", "kselftest:membarrier")
        #expect(again.exitCode == 0)
        #expect(again.steps["programs"] == "hit")
        #expect(again.tests.keys.sorted() == run.tests.keys.sorted())
    }

    @Test("an entry of the project file runs beside other tests, and a filter selects its programs")
    func entry() async throws {
        try fixture.edit(
            "kbuild.yaml", replacing: "tests:\n  - swift", with: "tests:\n  - {kselftest: close_range}\n  - swift")
        let run = try await fixture.report("test", "close_range_test|msgbox_put")
        #expect(run.exitCode == 0)
        #expect(run.tests["msgbox_put"] == "passed")
        #expect(run.tests["kselftest:core/close_range_test/global.core_close_range"] == "passed")
        // Built outside of the tree, which has nothing new.
        let status = try await fixture.kbuild("patch", "status")
        #expect(status.status.isSuccess)
    }

    @Test("a collection that this kernel does not have is reported with the existing ones")
    func missing() async throws {
        let result = try await fixture.kbuild("test", "kselftest:openat3")
        #expect(result.status == .exited(2))
        #expect(result.errors.contains("has no selftests openat3; did you mean openat2?"))
    }
}
