// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

extension RunReport {
    /// Adds the results of the same tests in another kernel, so that both kernels have one verdict.
    ///
    /// - Parameters:
    ///   - other: The report on the other kernel.
    ///   - label: A word that distinguishes it; the names of its tests, suites and steps end with it.
    ///   - lines: The number of lines in the console's log before the other's lines.
    public mutating func add(_ other: RunReport, label: String, consoleLinesBefore lines: Int) {
        func labelled(_ name: String) -> String { "\(name) [\(label)]" }
        // A run in which no test ran fails because it has none, and the other run's tests would hide that.
        let failed = ExitStatus(rawValue: other.exitCode != 0 ? other.exitCode : exitCode) ?? .infrastructure
        let whose = other.exitCode != 0 ? "with \(label)" : "without \(label)"
        defer {
            if exitCode == 0, failed != .success {
                errors.append(.init(Failure(failed, "the run \(whose) did not pass: no test passed in it")))
            }
        }
        seconds += other.seconds
        let start = steps.compactMap { step in step.startSeconds.map { $0 + step.seconds } }.max() ?? 0
        steps += other.steps.map { step in
            var step = step
            step.name = labelled(step.name)
            step.startSeconds = step.startSeconds.map { $0 + start }
            return step
        }
        suites += other.suites.map { suite in
            var suite = suite
            suite.name = labelled(suite.name)
            for test in suite.tests.indices {
                let isNamedByID = suite.tests[test].name == suite.tests[test].id
                suite.tests[test].id = labelled(suite.tests[test].id)
                if isNamedByID { suite.tests[test].name = suite.tests[test].id }
            }
            return suite
        }
        crashes += other.crashes.map { crash in
            var crash = crash
            crash.test = crash.test.map(labelled)
            if crash.isOnConsole {
                crash.firstLine += lines
                crash.lastLine += lines
            }
            return crash
        }
        coverage = coverage ?? other.coverage
        callProfile = callProfile ?? other.callProfile
        if let more = other.repetitions {
            repetitions = repetitions ?? Repetitions(wanted: 0)
            repetitions?.add(more, label: label)
        }
        for error in other.errors where !errors.contains(error) { errors.append(error) }
        commands = (commands ?? []) + (other.commands ?? [])
        unreadKernelMemory = unreadKernelMemory ?? other.unreadKernelMemory
        kernel = kernel ?? other.kernel
        machine = machine ?? other.machine
    }
}

extension RunPlan {
    /// Adds the plan for another kernel: the actions that are not planned already.
    ///
    /// - Parameters:
    ///   - other: The other plan.
    ///   - label: The word that distinguishes it; the names of its steps end with it.
    public mutating func add(_ other: RunPlan, label: String) {
        let known = steps
        func labelled(_ name: String) -> String { "\(name) [\(label)]" }
        // The tests run again, whatever exists already.
        let news = other.steps.filter { $0.outcome == .always || !known.contains($0) }
        let names = Set(news.map(\.name))
        steps += news.map { step in
            var step = step
            step.name = labelled(step.name)
            step.dependsOn = step.dependsOn.map { names.contains($0) ? labelled($0) : $0 }
            return step
        }
    }
}
