// SPDX-License-Identifier: Apache-2.0
import CrashReports
import Diagnostics
import Project
import Reporting
import ResultsModel
import TestSession
import VirtualMachine

/// Converts the results of a guest to the report's types.
package enum SessionReport {
    package static func add(_ outcome: SessionOutcome, to report: inout RunReport) {
        report.kernel?.release = outcome.release
        report.suites = outcome.programs
        report.crashes = outcome.crashes
        report.boundTexts()
    }

    /// The reasons why a session cannot be trusted: each of them alone fails the run.
    ///
    /// - Parameter evidence: What a guest that ran into a limit was doing.
    package static func errors(of result: SessionResult, evidence: [String] = []) -> [Failure] {
        var errors: [Failure] = []
        let outcome = result.outcome
        let running = outcome.programs.flatMap(\.tests).last { [.crashed, .timedOut].contains($0.status) }
        let whose = running.map { "\($0.id) was running." }
        if let limit = result.limit {
            let details = ([whose].compactMap { $0 } + evidence).joined(separator: "\n")
            errors.append(
                Failure(
                    limit.code, limit.summary, details: details.isEmpty ? nil : details,
                    nextStep: limit.code == .timeout
                        ? "read the end of the console log, or raise the limit in kbuild.yaml" : nil))
        }
        switch result.exit {
        case .panicked where !outcome.crashes.contains(where: \.isFatal):
            errors.append(Failure(.guestCrash, "the guest's kernel panicked", details: whose))
        case .reset where !outcome.crashes.contains(where: \.isFatal):
            let causes = "A triple fault does that, and so does a program that calls reboot."
            errors.append(
                Failure(
                    .guestCrash, "the guest reset or switched itself off before its init had ended it",
                    details: [whose, causes].compactMap { $0 }.joined(separator: "\n")))
        case .failed(let status, let message):
            errors.append(
                Failure(.infrastructure, "the machine ended with \(status)", details: message, nextStep: "run with -v"))
        case .panicked, .reset, .finished, nil: break
        }
        if !outcome.faults.isEmpty {
            errors.append(
                Failure(
                    .infrastructure, "the results that came out of the guest cannot be trusted",
                    details: (outcome.faults.prefix(20)
                        + (outcome.faults.count > 20
                            ? ["..." + cutRemark(outcome.faults.count - 20, "fault").dropFirst(4)] : []))
                        .joined(separator: "\n")))
        }
        if !outcome.lostLog.isEmpty {
            let places = outcome.lostLog.prefix(20).map { "\($0.records) in the time of \($0.test ?? "no program")" }
            errors.append(
                Failure(
                    .infrastructure,
                    "\(outcome.lostLog.reduce(0) { $0 + $1.records }) records of the kernel's log were overwritten unread",
                    details: (places + ["What they said is not known, so the run cannot pass."]).joined(
                        separator: "\n"),
                    nextStep: "give the log more room: log_buf_len=8M in machine.command-line of kbuild.yaml"))
        }
        if !outcome.unexplainedTaint.isEmpty {
            errors.append(
                Failure(
                    .guestCrash,
                    "the kernel's memory has a taint that the guest did not report and that no crash report explains: "
                        + outcome.unexplainedTaint.description,
                    nextStep: "read the end of the console log; the kernel's own log was silenced or overwritten"))
        }
        if result.endedUnread {
            errors.append(
                Failure(
                    .infrastructure, "the guest ended before its kernel's memory had been read",
                    details: "Its init waits for that, so another program ended the machine."))
        }
        if result.exit == .finished, !outcome.isComplete {
            errors.append(
                Failure(.infrastructure, "the guest ended on purpose, but its results lack their end"))
        }
        return errors
    }
}

extension SessionResult {
    /// Why the kernel's memory was not read, for a guest that could be read.
    package var unreadMemory: String? {
        if case .unread(let reason)? = memory { reason } else { nil }
    }

    /// Whether the guest sent its end marker, and ended the machine without waiting for the host.
    var endedUnread: Bool { wantsMemory && memory == nil && exit == .finished && outcome.isComplete }
}
