// SPDX-License-Identifier: Apache-2.0
import ResultsModel
import Testing

@testable import Application

@Suite("Requests for repetitions", .timeLimit(.minutes(30)))
struct RepeatRequestTests {
    private func done(_ count: Int, failed: Int = 0) -> Repetitions {
        var repetitions = Repetitions()
        for number in 0..<count {
            var report = RunReport(startedAt: "", project: "/p")
            let status: TestStatus = number < failed ? .failed : .passed
            report.suites = [
                SuiteResult(name: "s", kind: "exit-code", tests: [TestResult(id: "t", name: "t", status: status)])
            ]
            repetitions.add(report)
        }
        return repetitions
    }

    @Test("the first limit ends them")
    func limits() throws {
        #expect(RepeatRequest(count: nil, seconds: nil, untilFailure: false) == nil)
        let count = try #require(RepeatRequest(count: 3, seconds: nil, untilFailure: false))
        #expect(count.wantsMore(done(0), after: .zero) && count.wantsMore(done(2, failed: 2), after: .seconds(9999)))
        #expect(!count.wantsMore(done(3), after: .zero))
        let time = try #require(RepeatRequest(count: 100, seconds: 10, untilFailure: false))
        #expect(time.wantsMore(done(1), after: .seconds(9.9)) && !time.wantsMore(done(1), after: .seconds(10)))
        let failure = try #require(RepeatRequest(count: nil, seconds: nil, untilFailure: true))
        #expect(
            failure.wantsMore(done(50), after: .seconds(99)) && !failure.wantsMore(done(2, failed: 1), after: .zero))
    }
}
