// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Processes
import Synchronization
import SystemPackage
import Testing

@testable import VirtualMachine

/// A cache folder that goes away with the value, a device that can be opened, and a guest whose answers are given.
private final class ProbeFixture: Sendable {
    let layout: CacheLayout
    private let answers: Mutex<[KVMStatus]>
    private let runs = Mutex(0)

    init(_ answers: KVMStatus...) throws {
        layout = CacheLayout(root: FilePath(NSTemporaryDirectory()).appending("kbuild-probe-\(UUID().uuidString)"))
        self.answers = Mutex(answers)
        try createFolder(layout.root)
        try writeAtomically("", to: device)
        try writeAtomically("qemu 1", to: qemu)
    }

    deinit { try? removeAll(layout.root) }

    var device: FilePath { layout.root.appending("kvm") }
    var qemu: FilePath { layout.root.appending("qemu") }
    var guestRuns: Int { runs.withLock { $0 } }

    func probe(device: FilePath? = nil, host: String = "host 1") -> AcceleratorProbe {
        AcceleratorProbe(
            layout: layout, statCache: StatCache(), device: device ?? self.device, hostIdentity: { host },
            runGuest: {
                self.runs.withLock { $0 += 1 }
                return try self.answers.withLock { answers in
                    guard !answers.isEmpty else { throw Failure(.infrastructure, "no more answers") }
                    return answers.removeFirst()
                }
            })
    }
}

@Suite(.timeLimit(.minutes(30))) struct AcceleratorDecisionTests {
    @Test func automaticUsesKVMWhereItWorks() throws {
        let decision = try AcceleratorDecision.decide(requested: .auto, status: .works)
        #expect(decision == AcceleratorDecision(accelerator: .kvm))
    }

    @Test(arguments: [KVMStatus.absent(reason: "there is no /dev/kvm"), .broken(reason: "it hung during int3")])
    func automaticFallsBackWithOneLineThatSaysWhy(status: KVMStatus) throws {
        let decision = try AcceleratorDecision.decide(requested: .auto, status: status)
        #expect(decision.accelerator == .tcg)
        let note = try #require(decision.note)
        #expect(note.contains(try #require(status.reason)))
        #expect(!note.contains("\n"))
    }

    @Test(arguments: [KVMStatus.absent(reason: "there is no /dev/kvm"), .broken(reason: "it hung during int3")])
    func requestedKVMThatDoesNotWorkIsLoud(status: KVMStatus) throws {
        let failure = #expect(throws: Failure.self) {
            try AcceleratorDecision.decide(requested: .kvm, status: status)
        }
        #expect(failure?.code == .infrastructure)
        #expect(failure?.details == status.reason)
        #expect(failure?.nextStep?.contains("--accel") == true)
    }

    @Test func lackOfPermissionPointsAtTheGroup() throws {
        let failure = #expect(throws: Failure.self) {
            try AcceleratorDecision.decide(
                requested: .kvm, status: .absent(reason: AcceleratorProbe.permissionReason + "/dev/kvm"))
        }
        #expect(failure?.nextStep?.contains("group kvm") == true)
    }

    @Test(arguments: [KVMStatus.works, .absent(reason: "gone: really"), .broken(reason: "suberror 1: int3")])
    func statusSurvivesItsLine(status: KVMStatus) {
        #expect(KVMStatus(line: status.description) == status)
    }

    @Test(arguments: ["", "work", "works: not", "absent", "broken", "fine: thanks"])
    func otherLinesAreNoStatus(line: String) {
        #expect(KVMStatus(line: line) == nil)
    }
}

@Suite(.timeLimit(.minutes(30))) struct AcceleratorProbeTests {
    @Test(arguments: [KVMStatus.works, .broken(reason: "KVM_EXIT_INTERNAL_ERROR, suberror 1, during int3")])
    func answerIsKeptWithItsReason(status: KVMStatus) async throws {
        let fixture = try ProbeFixture(status)
        #expect(try await fixture.probe().status(qemu: fixture.qemu) == status)
        #expect(try await fixture.probe().status(qemu: fixture.qemu) == status)
        #expect(fixture.guestRuns == 1)
    }

    @Test func anotherHostOrQEMUIsProbedAnew() async throws {
        let fixture = try ProbeFixture(.works, .broken(reason: "new kernel"), .broken(reason: "new QEMU"))
        #expect(try await fixture.probe().status(qemu: fixture.qemu) == .works)
        #expect(try await fixture.probe(host: "host 2").status(qemu: fixture.qemu) == .broken(reason: "new kernel"))
        try writeAtomically("qemu 2", to: fixture.qemu)
        #expect(try await fixture.probe(host: "host 2").status(qemu: fixture.qemu) == .broken(reason: "new QEMU"))
    }

    @Test func damagedCacheIsProbedAnew() async throws {
        let fixture = try ProbeFixture(.works, .works)
        let probe = fixture.probe()
        _ = try await probe.status(qemu: nil)
        let text = try readText(probe.cacheFile)
        try writeAtomically(text.replacingOccurrences(of: "works", with: "wor"), to: probe.cacheFile)
        #expect(try await probe.status(qemu: nil) == .works)
        #expect(fixture.guestRuns == 2)
    }

    @Test func missingDeviceIsAbsentAndRunsNoGuest() async throws {
        let fixture = try ProbeFixture()
        let status = try await fixture.probe(device: fixture.layout.root.appending("nothing")).status(qemu: nil)
        guard case .absent(let reason) = status else {
            Issue.record("expected absent, got \(status)")
            return
        }
        #expect(reason.contains("nothing"))
        #expect(fixture.guestRuns == 0)
    }

    @Test func absenceIsNotKept() async throws {
        let fixture = try ProbeFixture(.absent(reason: "busy"), .works)
        #expect(try await fixture.probe().status(qemu: nil) == .absent(reason: "busy"))
        #expect(try await fixture.probe().status(qemu: nil) == .works)
    }

    @Test func requestedTCGNeedsNoProbe() async throws {
        let fixture = try ProbeFixture()
        let decision = try await fixture.probe().decide(requested: .tcg, qemu: nil)
        #expect(decision.accelerator == .tcg)
        #expect(fixture.guestRuns == 0)
    }

    @Test func probeThatDiesMeansBroken() {
        let killed = CommandResult(status: .signaled(9), output: "works\n", errors: "")
        #expect(AcceleratorProbe.interpret(killed) == .broken(reason: "the probe ended with signal 9"))
        let silent = CommandResult(status: .exited(0), output: "", errors: "")
        #expect(AcceleratorProbe.interpret(silent) == .broken(reason: "the probe ended with exit code 0"))
        let fine = CommandResult(status: .exited(0), output: "works\n", errors: "")
        #expect(AcceleratorProbe.interpret(fine) == .works)
    }
}
