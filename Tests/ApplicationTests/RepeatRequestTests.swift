// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Application

@Suite("Requests for repetitions", .timeLimit(.minutes(30)))
struct RepeatRequestTests {
    @Test("the first limit ends them")
    func limits() throws {
        #expect(RepeatRequest(count: nil, seconds: nil, untilFailure: false) == nil)
        let count = try #require(RepeatRequest(count: 3, seconds: nil, untilFailure: false))
        #expect(count.wantsMore(begun: 0, failed: 0, after: .zero))
        #expect(count.wantsMore(begun: 2, failed: 2, after: .seconds(9999)))
        #expect(!count.wantsMore(begun: 3, failed: 0, after: .zero))
        let time = try #require(RepeatRequest(count: 100, seconds: 10, untilFailure: false))
        #expect(time.wantsMore(begun: 1, failed: 0, after: .seconds(9.9)))
        #expect(!time.wantsMore(begun: 1, failed: 0, after: .seconds(10)))
        let failure = try #require(RepeatRequest(count: nil, seconds: nil, untilFailure: true))
        #expect(failure.wantsMore(begun: 50, failed: 0, after: .seconds(99)))
        #expect(!failure.wantsMore(begun: 2, failed: 1, after: .zero))
    }

    @Test("as many guests fit as memory has room for, and at least one is tried")
    func room() {
        #expect(TestSteps.room(in: 2000, memoryMegabytes: 512) == 3)
        #expect(TestSteps.room(in: 100, memoryMegabytes: 512) == 1)
        #expect(TestSteps.guestsThatFit(memoryMegabytes: 1 << 40) == 1)
    }

    @Test("the plans of repetitions that run at one time have different names")
    func plans() {
        #expect(GuestShare.planName(1) == "plan-1")
        #expect(GuestShare.planName(1, repetition: 2) != GuestShare.planName(1, repetition: 12))
        #expect(GuestShare.planName(11, repetition: 2) != GuestShare.planName(1, repetition: 21))
    }
}
