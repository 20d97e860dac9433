// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// What a run would do, step by step: docs/reference/plan-schema.json describes its JSON.
public struct RunPlan: Codable, Sendable, Equatable {
    /// The version of the JSON form. It rises when a key changes its meaning or goes; new keys may come at any time.
    public static let currentSchemaVersion = 1

    /// What a run would do about a step.
    public enum Outcome: String, Codable, Sendable, CaseIterable {
        /// Nothing: its result is there.
        case hit
        /// Its work.
        case miss
        /// Its work, which is done in every run.
        case always
        /// It depends on what is not known before something else is done.
        case unknown
    }

    /// A command that a run starts, or something that kbuild does itself.
    public struct Action: Codable, Sendable, Equatable {
        /// The command as it can be pasted into a shell.
        public var command: String?
        /// What kbuild does itself, or what there is to say.
        public var remark: String?

        /// A command.
        public static func command(_ text: String) -> Action { Action(command: text, remark: nil) }

        /// What kbuild does itself, or what there is to say.
        public static func remark(_ text: String) -> Action { Action(command: nil, remark: text) }
    }

    /// A step of a run.
    public struct Step: Codable, Sendable, Equatable {
        /// Its name, as in a report.
        public var name: String
        /// What would be done about it.
        public var outcome: Outcome
        /// The digest of all that goes into it, where it is filed under one that is known.
        public var key: String?
        /// The names of what goes into that digest; empty where there is none.
        public var inputs: [String] = []
        /// What it is, in a few words.
        public var detail: String
        /// Steps, or commands, whose results decide what is to be done here.
        public var dependsOn: [String]
        /// What a run would do, in order.
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

    /// The plan as a person reads it: a line for each step, and below it what can be pasted into a shell.
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
