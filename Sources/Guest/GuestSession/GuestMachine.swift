// SPDX-License-Identifier: Apache-2.0
import CrashReports
import Diagnostics
import Glibc
import Reporting
import SystemPackage
import TestSession
import VirtualMachine

/// A machine for some tests.
package struct GuestMachine: Sendable {
    package var machine: any Machine
    /// The same in the report's terms.
    package var reported: RunReport.Machine
    /// Seconds until its guest must have spoken.
    package var bootLimit: Double
    /// What the kernel reported before it was saved, where it wakes.
    package var bootReports: [Crash] = []

    /// Describes a machine that is not started yet.
    package init(
        machine: any Machine, reported: RunReport.Machine, bootLimit: Double, bootReports: [Crash] = []
    ) {
        self.machine = machine
        self.reported = reported
        self.bootLimit = bootLimit
        self.bootReports = bootReports
    }
}

extension GuestSession {
    /// Runs a plan in the first machine whose guest speaks.
    ///
    /// - Parameters:
    ///   - limits: Asked anew for each machine; `boot` is the machine's own.
    ///   - client: The person's side of interactive programs; nil for none.
    ///   - memoryReader: Reads the kernel's memory at the end; nil where nobody wants it.
    ///   - machine: Makes the guest. Given how many machines did not boot before it; nil when there is no other.
    package static func run(
        _ plan: SessionPlan, within limits: () -> SessionLimits, consoleLog log: FilePath,
        client: InteractiveClient? = nil,
        memoryReader: KernelMemoryReader?, machine: (Int) throws -> GuestMachine?,
        onEvent: @escaping @Sendable (SessionEvent) -> Void, note: ProgressSink
    ) async throws -> (SessionResult, GuestMachine) {
        guard var guest = try machine(0) else {
            throw Failure(.infrastructure, "there is no machine to run on")
        }
        var attempt = 0
        while true {
            var limits = limits()
            limits.boot = guest.bootLimit
            let session = GuestSession(
                machine: guest.machine, plan: plan, limits: limits, consoleLog: log, client: client,
                memoryReader: memoryReader, bootReports: guest.bootReports)
            let result = try await session.run(onEvent: onEvent)
            attempt += 1
            guard let reason = reasonToTryAgain(result, limit: guest.bootLimit), let other = try machine(attempt)
            else { return (result, guest) }
            // What the first attempt said may tell why, so it is kept.
            let name = "\(log.stem ?? "console")-\(guest.reported.type)-\(attempt).log"
            rename(log.string, log.removingLastComponent().appending(name).string)
            note(.note("on \(guest.reported.type) \(reason): trying \(other.reported.type)"))
            guest = other
        }
    }

    /// What happened to a guest that may do better on another machine; nil when the machine is not to blame. A kernel that
    /// said what went wrong has said it.
    private static func reasonToTryAgain(_ result: SessionResult, limit: Double) -> String? {
        guard result.bootSeconds == nil, result.outcome.crashes.isEmpty else { return nil }
        switch (result.limit, result.exit) {
        case (.boot?, _): return "the guest did not speak within \(Int(limit)) s"
        case (nil, .reset?): return "the guest reset before its init had started"
        case (nil, .failed(let status, _)?): return "QEMU ended with \(status) before the guest spoke"
        default: return nil
        }
    }
}
