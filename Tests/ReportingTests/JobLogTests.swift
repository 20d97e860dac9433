// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Testing

@testable import Reporting

@Suite("Job log", .timeLimit(.minutes(30)))
struct JobLogTests {
    @Test("the service is recognized by its documented variable")
    func services() {
        #expect(JobLog(environment: ["GITHUB_ACTIONS": "true"]) == .github)
        #expect(JobLog(environment: ["GITLAB_CI": "true"]) == .gitlab)
        #expect(JobLog(environment: ["GITHUB_ACTIONS": "", "CI": "true"]) == .plain)
    }

    @Test("a group has a beginning and an end in the service's own form, or neither")
    func groups() {
        #expect(JobLog.github.begin(.test, time: 5)?.line == "::group::kbuild: tests")
        #expect(JobLog.github.end(.test, time: 6)?.line == "::endgroup::")
        #expect(
            JobLog.gitlab.begin(.test, time: 5)?.line
                == "\u{1B}[0Ksection_start:5:kbuild_test\r\u{1B}[0Kkbuild: tests")
        #expect(JobLog.gitlab.end(.test, time: 6)?.line == "\u{1B}[0Ksection_end:6:kbuild_test\r\u{1B}[0K")
        #expect(JobLog.plain.begin(.test, time: 5)?.line == nil)
        #expect(JobLog.plain.end(.test, time: 6)?.line == nil)
    }
}

@Suite("Plan", .timeLimit(.minutes(30)))
struct RunPlanTests {
    @Test("as text each step is a line, with its dependencies and its commands below")
    func text() {
        let plan = RunPlan(
            project: "/p",
            steps: [
                .init(
                    name: "source", outcome: .hit, key: String(repeating: "a", count: 64), detail: "linux-source-6.1"),
                .init(
                    name: "compile", outcome: .miss, actions: [.remark("a plain make"), .command("make -C '/a b'")]),
                .init(name: "rootfs", outcome: .unknown, detail: "disk", dependsOn: ["programs"]),
            ])
        #expect(
            plan.text.plain == """
                source     hit     aaaaaaaaaaaaaaaa linux-source-6.1
                compile    miss
                    # a plain make
                    make -C '/a b'
                rootfs     unknown disk (depends on programs)
                Nothing was run, and nothing was changed.
                """)
    }
}
