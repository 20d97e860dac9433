// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import ProjectFixture
import Testing

extension RunTests {
    @Test("kunit: a kernel without suites is exit 2 with the next step")
    func noKUnit() async throws {
        let without = try await fixture.kbuild("test", "kunit", "--machine", "uml")
        #expect(without.status == .exited(2))
        #expect(without.errors.contains("CONFIG_KUNIT=y"))
    }

    @Test("kunit: the suites in the kernel, each test by its name", .tags(.long))
    func kunit() async throws {
        let run = try await fixture.report("run", "--profile", "kunit", "--machine", "uml")
        #expect(run.exitCode == 0)
        #expect(run.tests["kunit/list-kunit-test/list_test_list_init"] == "passed")
        #expect(run.tests.count > 50)
        #expect(Set(run.tests.values).isSubset(of: ["passed", "skipped"]))

        let some = try await fixture.report("test", "kunit:list-kunit*", "--profile", "kunit", "--machine", "uml")
        #expect(some.exitCode == 0)
        #expect(some.tests.keys.allSatisfy { $0.hasPrefix("kunit/list-kunit-test/") })
        #expect(some.tests.count > 10)

        let none = try await fixture.kbuild("test", "kunit:no-such-suite", "--profile", "kunit", "--machine", "uml")
        #expect(none.status == .exited(1))
    }
}
