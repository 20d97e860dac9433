// SPDX-License-Identifier: Apache-2.0
import CrashReports
import Diagnostics
import Glibc
import Reporting
import ResultsModel
import SystemPackage
import TestSession
import VirtualMachine

/// A machine for some tests.
package struct GuestMachine: Sendable {
    package var machine: any Machine
    /// The machine in the report's types.
    package var reported: RunReport.Machine
    /// Seconds until its guest must have sent its first frame.
    package var bootLimit: Double
    /// The kernel's reports before it was saved, if it is restored.
    package var bootReports: [Crash] = []

    /// Describes a machine that has not started yet.
    package init(
        machine: any Machine, reported: RunReport.Machine, bootLimit: Double, bootReports: [Crash] = []
    ) {
        self.machine = machine
        self.reported = reported
        self.bootLimit = bootLimit
        self.bootReports = bootReports
    }
}

/// Runs a plan in the first machine whose guest sends a frame.
package struct SessionLauncher: Sendable {
    /// The result of a run plan.
    package struct Completed: Sendable {
        /// The result of the last session.
        package var result: SessionResult
        /// The machine that it ran on.
        package var machine: GuestMachine
    }

    package var plan: SessionPlan
    /// The path of the console's transcript.
    package var consoleLog: FilePath
    /// The client of interactive programs; nil for none.
    package var client: GuestSession.InteractiveClient?
    /// Reads the kernel's memory at the end; nil when it is not requested.
    package var memoryReader: KernelMemoryReader?
    /// Makes the guest. The argument is the number of machines that did not boot before; nil when there is no other
    /// machine.
    package var machine: @Sendable (Int) throws -> GuestMachine?

    /// Describes a plan's run; nothing starts yet.
    package init(
        plan: SessionPlan, consoleLog: FilePath, client: GuestSession.InteractiveClient? = nil,
        memoryReader: KernelMemoryReader?, machine: @escaping @Sendable (Int) throws -> GuestMachine?
    ) {
        self.plan = plan
        self.consoleLog = consoleLog
        self.client = client
        self.memoryReader = memoryReader
        self.machine = machine
    }

    /// Runs the plan.
    ///
    /// - Parameter limits: Called for each machine; `boot` is the machine's own.
    /// - Throws: `Failure` (`infrastructure`) when there is no machine, or none can be started; `CancellationError`.
    package func run(
        within limits: () -> SessionLimits, onEvent: @escaping @Sendable (SessionEvent) -> Void, note: ProgressSink
    ) async throws -> Completed {
        guard var guest = try machine(0) else {
            throw Failure(.infrastructure, "there is no machine to run on")
        }
        var attempt = 0
        while true {
            var limits = limits()
            limits.boot = guest.bootLimit
            let session = GuestSession(
                machine: guest.machine, plan: plan, limits: limits, consoleLog: consoleLog, client: client,
                memoryReader: memoryReader, bootReports: guest.bootReports)
            let result = try await session.run(onEvent: onEvent)
            attempt += 1
            guard let reason = Self.reasonToTryAgain(result, limit: guest.bootLimit), let other = try machine(attempt)
            else { return Completed(result: result, machine: guest) }
            // The log of the first attempt may explain its failure, so it is kept.
            let name = "\(consoleLog.stem ?? "console")-\(guest.reported.type)-\(attempt).log"
            rename(consoleLog.string, consoleLog.removingLastComponent().appending(name).string)
            note(.note("on \(guest.reported.type) \(reason): trying \(other.reported.type)"))
            guest = other
        }
    }

    /// Why another machine may boot the guest; nil when the machine is not the cause. If the kernel reported an error,
    /// the machine is not the cause.
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
