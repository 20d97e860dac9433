// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Testing

@testable import Processes

@Suite("Process limits", .timeLimit(.minutes(30)))
struct ProcessLimitsTests {
    private let plenty = ProcessLimits.Found(descriptors: 1024, processes: nil, addressSpace: .max)

    @Test("sufficient limits are not a failure, also at the exact minimum")
    func enough() throws {
        #expect(ProcessLimits.failure(plenty) == nil)
        let edge = ProcessLimits.Found(
            descriptors: ProcessLimits.leastDescriptors, processes: ProcessLimits.leastProcesses,
            addressSpace: ProcessLimits.leastAddressSpace)
        #expect(ProcessLimits.failure(edge) == nil)
        try ProcessLimits.check(guests: 1)
    }

    @Test("each limit that is too low is reported with the value found and the value needed")
    func tooLow() {
        var few = plenty
        few.descriptors = 24
        #expect(ProcessLimits.failure(few)?.code == .infrastructure)
        #expect(ProcessLimits.failure(few)?.message.contains("24 files at once and needs 128") == true)
        #expect(ProcessLimits.failure(few)?.nextStep?.contains("ulimit -n") == true)
        var alone = plenty
        alone.processes = 3
        #expect(ProcessLimits.failure(alone)?.message.contains("start 3 more processes") == true)
        var narrow = plenty
        narrow.addressSpace = 500 << 20
        #expect(ProcessLimits.failure(narrow)?.message.contains("500 MiB and needs 2048 MiB") == true)
    }

    @Test("more concurrent guests than the descriptors allow are refused")
    func guests() {
        #expect(throws: Failure.self) { try ProcessLimits.check(guests: 1 << 40) }
    }
}
