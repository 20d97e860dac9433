// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import ResultsModel

extension RunReport {
    /// Takes in what the same tests came to in another kernel, so that both have one verdict.
    ///
    /// - Parameters:
    ///   - other: The report on the other kernel.
    ///   - label: What tells it apart, in a word; its tests, suites and steps have it behind their names.
    ///   - lines: How many lines the console's log has before those of the other's.
    public mutating func add(_ other: RunReport, label: String, consoleLinesBefore lines: Int) {
        func labelled(_ name: String) -> String { "\(name) [\(label)]" }
        // A run in which no test ran fails by what it lacks, and the other's tests would make up for that.
        let failed = ExitStatus(rawValue: other.exitCode != 0 ? other.exitCode : exitCode) ?? .infrastructure
        let whose = other.exitCode != 0 ? "with \(label)" : "without \(label)"
        defer {
            if exitCode == 0, failed != .success {
                troubles.append(.init(Failure(failed, "the run \(whose) did not pass: no test passed in it")))
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
        for trouble in other.troubles where !troubles.contains(trouble) { troubles.append(trouble) }
        commands = (commands ?? []) + (other.commands ?? [])
        unreadKernelMemory = unreadKernelMemory ?? other.unreadKernelMemory
        kernel = kernel ?? other.kernel
        machine = machine ?? other.machine
    }
}

extension RunPlan {
    /// Takes in the plan for another kernel: what it would do beside what is planned already.
    ///
    /// - Parameters:
    ///   - other: The other plan.
    ///   - label: What tells it apart; its steps have it behind their names.
    public mutating func add(_ other: RunPlan, label: String) {
        let known = steps
        func labelled(_ name: String) -> String { "\(name) [\(label)]" }
        // The tests run again, whatever else is there already.
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
