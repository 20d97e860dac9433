// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// What a run would do, step by step: docs/reference/plan-schema.json describes its JSON.
public struct RunPlan: Codable, Sendable, Equatable {
    /// The version of the JSON form. It rises when a key changes its meaning or is removed; new keys may be added at
    /// any time.
    public static let currentSchemaVersion = 1

    /// What a run would do for a step.
    public enum Outcome: String, Codable, Sendable, CaseIterable {
        /// Nothing: its result exists.
        case hit
        /// Its work.
        case miss
        /// Its work, which every run does.
        case always
        /// This depends on a result that is not known yet.
        case unknown
    }

    /// A command that a run starts, or an action of kbuild itself.
    public struct Action: Codable, Sendable, Equatable {
        /// The command in a form that can be pasted into a shell.
        public var command: String?
        /// kbuild's own action, or a note.
        public var remark: String?

        /// A command.
        public static func command(_ text: String) -> Action { Action(command: text, remark: nil) }

        /// kbuild's own action, or a note.
        public static func remark(_ text: String) -> Action { Action(command: nil, remark: text) }
    }

    /// A step of a run.
    public struct Step: Codable, Sendable, Equatable {
        /// Its name, as in a report.
        public var name: String
        /// What a run would do.
        public var outcome: Outcome
        /// The digest of all its inputs, if its result is stored under it.
        public var key: String?
        /// The names of that digest's inputs; empty if there is no digest.
        public var inputs: [String] = []
        /// A few words on the result.
        public var detail: String
        /// Steps, or commands, whose results decide the work.
        public var dependsOn: [String]
        /// The actions of a run, in order.
        public var actions: [Action]

        /// Creates a step.
        public init(
            name: String, outcome: Outcome, key: String? = nil, detail: String = "", dependsOn: [String] = [],
            actions: [Action] = []
        ) {
            self.name = name
            self.outcome = outcome
            self.key = key
            self.detail = detail
            self.dependsOn = dependsOn
            self.actions = actions
        }
    }

    /// The version of this form.
    public var schemaVersion = Self.currentSchemaVersion
    /// The project's folder.
    public var project: String
    /// The profile, if one was chosen.
    public var profile: String?
    /// The steps, in order.
    public var steps: [Step]

    /// Creates a plan.
    public init(project: String, profile: String? = nil, steps: [Step] = []) {
        self.project = project
        self.profile = profile
        self.steps = steps
    }

    /// The plan as text: a line for each step, and below it the commands in a form that can be pasted into a shell.
    public var text: TerminalText {
        var lines: [TerminalText] = []
        for step in steps {
            var line: TerminalText = "\(TerminalText(step.name).padded(to: 10)) \(step.outcome.rawValue)"
            var words = [step.key.map { String($0.prefix(16)) } ?? "", step.detail].filter { !$0.isEmpty }
            if !step.dependsOn.isEmpty { words.append("(depends on \(step.dependsOn.joined(separator: ", ")))") }
            if !words.isEmpty { line = "\(line.padded(to: 18)) \(words.joined(separator: " "))" }
            lines.append(line)
            for action in step.actions {
                if let remark = action.remark { lines.append("    # \(remark)") }
                if let command = action.command { lines.append("    \(command)") }
            }
        }
        lines.append("Nothing was run, and nothing was changed.")
        return lines.joined()
    }
}
