// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// Compares a configuration with the request, and explains what is missing.
struct ConfigCheck {
    let tree: KconfigTree
    let config: ConfigFile

    /// The entries that do not have the requested value.
    static func dropped(_ request: ConfigRequest, in config: ConfigFile) -> [ConfigEntry] {
        request.entries.filter { !config[$0.name].agrees(with: $0.value) }
    }

    /// The failure for the entries that kconfig dropped.
    func failure(for dropped: [ConfigEntry]) -> Failure {
        let places = dropped.count == 1 ? "a requested option" : "\(dropped.count) requested options"
        let listed = dropped.prefix(20).map { entry in
            ([headline(entry)] + explain(entry).map { "  \($0)" }).joined(separator: "\n")
        }
        let rest = dropped.count > 20 ? "\n... and \(dropped.count - 20) more" : ""
        return Failure(
            .build, "kconfig did not accept \(places)", details: listed.joined(separator: "\n") + rest,
            nextStep: nextStep(dropped))
    }

    private func headline(_ entry: ConfigEntry) -> String {
        "\(entry.place): CONFIG_\(entry.name)=\(entry.value) is asked for; .config has \(config[entry.name])"
    }

    private func nextStep(_ dropped: [ConfigEntry]) -> String {
        let tools = dropped.flatMap { bestUnmet($0)?.unmet ?? [] }.flatMap(\.symbols).compactMap(
            ConfigTool.init(setting:))
        if let tool = tools.first(where: { $0.package != nil }), let package = tool.package {
            return "apt-get install \(package)"
        }
        let missing = prerequisites(of: dropped)
        guard !missing.isEmpty else { return "correct the lines, or remove them" }
        let lines = missing.map { "CONFIG_\($0)=y" }.joined(separator: ", ")
        let files = Set(dropped.map(\.file))
        let place = files.count == 1 ? files.joined() : "the fragments"
        return "add \(lines) to \(place), or remove the lines"
    }

    /// The options to turn on so that the dropped options can be set, with their own prerequisites: advice that works
    /// at once.
    func prerequisites(of dropped: [ConfigEntry]) -> [String] {
        var missing: [String] = []
        var waiting = dropped.filter { $0.value != .no }
        var seen = Set(waiting.map(\.name))
        while !waiting.isEmpty {
            let entry = waiting.removeFirst()
            for condition in bestUnmet(entry)?.unmet ?? [] {
                guard let name = settable(condition), seen.insert(name).inserted else { continue }
                missing.append(name)
                waiting.append(ConfigEntry(name: name, value: .yes, file: entry.file, line: entry.line))
            }
        }
        return missing
    }

    /// The option that a user can turn on to meet a condition; nil if there is none.
    private func settable(_ condition: KconfigExpression, depth: Int = 4) -> String? {
        switch condition {
        case .symbol(let name):
            guard let definitions = tree.definitions[name] else { return nil }
            if definitions.contains(where: \.hasPrompt) { return name }
            // An option that users cannot set is selected by another, if only one selects it.
            let selectors = Set((tree.selections[name] ?? []).map(\.by))
            guard depth > 0, selectors.count == 1, let only = selectors.first else { return nil }
            return settable(.symbol(only), depth: depth - 1)
        case .or(let left, let right):
            return depth > 0 ? settable(left, depth: depth - 1) ?? settable(right, depth: depth - 1) : nil
        case .comparison(.symbol(let name), .equal, .symbol("y")),
            .comparison(.symbol(let name), .different, .symbol("n")):
            return settable(.symbol(name), depth: depth - 1)
        default: return nil
        }
    }

    /// Whether an entry of a whole configuration is one that no user sets: kconfig sets its value from the tools.
    func followsFromTools(_ entry: ConfigEntry, _ request: ConfigRequest) -> Bool {
        guard request.entries.contains(where: { $0.file == entry.file && $0.name == ConfigFragment.compilerOption })
        else { return false }
        guard let definitions = tree.definitions[entry.name] else { return true }
        return !definitions.contains(where: \.hasPrompt)
            || definitions.contains { definition in
                (definition.dependencies + definition.promptConditions).contains { condition in
                    condition.value(in: config) != .yes && condition.symbols.contains { ConfigTool(setting: $0) != nil }
                }
            }
    }

    /// The notes for the user on an accepted configuration: the requests that it does not satisfy.
    func notes(on request: ConfigRequest, dropped: [ConfigEntry]) -> [String] {
        var notes: [String] = []
        let byFile = Dictionary(grouping: dropped) { $0.file }
        for (file, entries) in byFile.sorted(by: { $0.key < $1.key }) {
            let tools = entries.filter { followsFromTools($0, request) }
            let others = entries.filter { !followsFromTools($0, request) }
            if !tools.isEmpty {
                notes.append(
                    "\(file): \(Self.listed(tools.map(\.name))) not as in the file: the values follow from the tools of this "
                        + "host; `kernel.base: FILE` takes a whole configuration")
            }
            if !others.isEmpty { notes.append("\(file): this kernel has no \(Self.listed(others.map(\.name)))") }
        }
        guard let text = request.base.text else { return notes }
        let base = ConfigFile(parsing: text)
        let requested = Set(request.entries.map(\.name))
        let changed = base.values.keys.filter { name in
            guard !requested.contains(name), base[name] != .no, !config[name].agrees(with: base[name]),
                let definitions = tree.definitions[name]
            else { return false }
            return definitions.contains(where: \.hasPrompt)
        }.sorted()
        // localmodconfig removes modules on purpose.
        if case .file = request.base, !changed.isEmpty {
            notes.append(
                "\(request.base.name): this kernel does not take \(Self.listed(changed)) as in the file")
        }
        if let theirs = Self.compiler(in: base), let ours = Self.compiler(in: config), theirs != ours {
            notes.append("\(request.base.name) was made with \(theirs), and this kernel is built with \(ours)")
        }
        return notes
    }

    private static func compiler(in config: ConfigFile) -> String? {
        if case .string(let text) = config[ConfigFragment.compilerOption] { text } else { nil }
    }

    /// "CONFIG_A, CONFIG_B and 7 more".
    private static func listed(_ names: [String]) -> String {
        let shown = names.prefix(8).map { "CONFIG_\($0)" }.joined(separator: ", ")
        return names.count > 8 ? "\(shown) and \(names.count - 8) more" : shown
    }

    /// Why an entry does not have its value, one reason a line.
    func explain(_ entry: ConfigEntry) -> [String] {
        guard let definitions = tree.definitions[entry.name], !definitions.isEmpty else {
            let similar = tree.similarNames(to: entry.name).map { "CONFIG_\($0)" }
            let suggestion = similar.isEmpty ? "" : "; similar: \(similar.joined(separator: ", "))"
            return ["this kernel has no such option\(suggestion)"]
        }
        if let reason = typeMismatch(entry, definitions) { return [reason] }
        if entry.value == .module, config["MODULES"] != .yes { return ["m needs MODULES, which is n"] }
        // A value above the requested one is forced by another option; a value below it lacks something.
        if let wanted = rank(entry.value), let has = rank(config[entry.name]), has > wanted {
            return explainForced(entry.name)
        }
        if !definitions.contains(where: \.hasPrompt) {
            return ["it cannot be set, only selected by another option", selectors(of: entry.name)]
        }
        if let best = bestUnmet(entry), !best.unmet.isEmpty {
            return best.unmet.map { "needs " + describe($0) } + ["(\(best.place))"]
        }
        if let member = otherMember(entry.name, definitions) {
            return ["it is one of a choice, and CONFIG_\(member) is the one that is chosen"]
        }
        if case .number = entry.value, let range = range(of: entry.name) { return ["its range is \(range)"] }
        return ["its dependencies are met; a range, or another option, limits its value (\(definitions[0].place))"]
    }

    /// The first range whose condition holds, as "LOW to HIGH".
    private func range(of name: String) -> String? {
        for range in (tree.definitions[name] ?? []).flatMap(\.ranges) {
            if let condition = range.condition, condition.value(in: config) == .no { continue }
            let bounds = [range.low, range.high].map { bound in
                let value = bound.operandText(in: config) ?? "?"
                return value == bound.description ? value : "\(value) (\(bound))"
            }
            return bounds.joined(separator: " to ")
        }
        return nil
    }

    private func rank(_ value: ConfigValue) -> Int? {
        switch value {
        case .no: 0
        case .module: 1
        case .yes: 2
        default: nil
        }
    }

    private func typeMismatch(_ entry: ConfigEntry, _ definitions: [KconfigTree.Definition]) -> String? {
        guard let type = definitions.lazy.compactMap(\.type).first else { return nil }
        let form: String
        switch (type, entry.value) {
        case ("bool", .yes), ("bool", .no), ("tristate", .yes), ("tristate", .no), ("tristate", .module),
            ("string", .string), ("int", .number), ("hex", .number), ("string", .no), ("int", .no), ("hex", .no):
            return nil
        case ("bool", _): form = "y or n"
        case ("tristate", _): form = "y, m or n"
        case ("string", _): form = "a text in double quotes"
        case ("hex", _): form = "a number such as 0x1f"
        default: form = "a number"
        }
        return "the option is of type \(type): its value is \(form)"
    }

    private func explainForced(_ name: String) -> [String] {
        let active = (tree.selections[name] ?? []).filter { selection in
            (rank(config[selection.by]) ?? 0) > 0 && selection.condition?.value(in: config) != .no
        }
        if !active.isEmpty {
            let names = Set(active.map { "CONFIG_\($0.by)" }).sorted().joined(separator: ", ")
            return ["it is selected by \(names)"]
        }
        let definitions = tree.definitions[name] ?? []
        if !definitions.contains(where: \.hasPrompt) { return ["it cannot be set: the kernel derives it from others"] }
        if let choice = definitions.compactMap(\.choice).first {
            let others = tree.choices[choice, default: []].filter { $0 != name }.map { "CONFIG_\($0)" }
            return ["it is the default of a choice: set another of its members (\(others.joined(separator: ", ")))"]
        }
        if !definitions.contains(where: { isAsked($0) }) {
            return [
                "the user cannot change it here: it is only asked for when "
                    + definitions.flatMap(\.promptConditions).map(\.description).joined(separator: " && ")
            ]
        }
        return ["its default is y, and another option keeps it (\(definitions.first?.place ?? ""))"]
    }

    private func isAsked(_ definition: KconfigTree.Definition) -> Bool {
        definition.hasPrompt && definition.promptConditions.allSatisfy { $0.value(in: config) != .no }
    }

    private func selectors(of name: String) -> String {
        let names = Set((tree.selections[name] ?? []).map { "CONFIG_\($0.by)" }).sorted()
        if names.isEmpty { return "no option selects it" }
        return "it is selected by \(names.prefix(6).joined(separator: ", "))" + (names.count > 6 ? ", ..." : "")
    }

    private func otherMember(_ name: String, _ definitions: [KconfigTree.Definition]) -> String? {
        guard let choice = definitions.compactMap(\.choice).first else { return nil }
        return tree.choices[choice]?.first { $0 != name && config[$0] == .yes }
    }

    /// The unmet conditions of the definition with the fewest of them.
    private func bestUnmet(_ entry: ConfigEntry) -> (unmet: [KconfigExpression], place: String)? {
        // A tristate can be m if its conditions are m; other types accept y or m.
        let isTristate = tree.definitions[entry.name]?.contains { $0.type == "tristate" } == true
        let needed: KconfigExpression.Tristate = isTristate && entry.value == .yes ? .yes : .module
        let candidates = (tree.definitions[entry.name] ?? []).filter(\.hasPrompt).map { definition in
            var unmet: [KconfigExpression] = []
            for condition in (definition.dependencies + definition.promptConditions).flatMap(\.conjuncts)
            where (condition.value(in: config) ?? .no) < needed && !unmet.contains(condition) {
                unmet.append(condition)
            }
            return (unmet: unmet, place: definition.place)
        }
        return candidates.min { $0.unmet.count < $1.unmet.count }
    }

    /// A condition that does not hold, with the values that decide it.
    func describe(_ condition: KconfigExpression) -> String {
        switch condition {
        case .symbol(let name): return "\(name), which is \(config[name])" + remark(on: name)
        case .macro: return "\(condition), which only the kernel's own tools can determine (the compiler, mostly)"
        default:
            let symbols = condition.symbols.reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
            if symbols.isEmpty { return "\(condition), which is not met" }
            let values = symbols.map { "\($0) is \(config[$0])" + remark(on: $0) }.joined(separator: ", ")
            return "\(condition), but \(values)"
        }
    }

    /// A remark on an option that blocks others and cannot simply be turned on.
    private func remark(on name: String) -> String {
        if let tool = ConfigTool(setting: name) { return " (\(tool.reason))" }
        guard config[name] == .no else { return "" }
        guard let definitions = tree.definitions[name] else { return " (this kernel has no such option)" }
        if definitions.contains(where: \.hasPrompt) { return "" }
        let selectors = Set((tree.selections[name] ?? []).map(\.by)).sorted()
        if selectors.isEmpty { return " (the kernel sets it, not the user)" }
        return " (selected by \(selectors.prefix(4).joined(separator: ", "))\(selectors.count > 4 ? ", ..." : ""))"
    }
}

/// A program that kconfig tests, and on which options depend.
struct ConfigTool: Sendable, Equatable {
    /// Why the option has its value.
    var reason: String
    /// The Debian package to install; nil if the tool exists and is of another kind.
    var package: String?

    /// The tool that sets an option of this name (scripts/Kconfig.include and init/Kconfig); nil for all others.
    init?(setting option: String) {
        if option.hasPrefix("PAHOLE_") {
            self.init(reason: "pahole sets it: it is missing, or too old", package: "dwarves")
        } else if option.hasPrefix("RUST_IS_AVAILABLE") || option.hasPrefix("RUSTC_") {
            self.init(reason: "the Rust compiler sets it: it is missing, or of the wrong version for this kernel")
        } else if ["CC_IS_", "CC_HAS_", "GCC_VERSION", "CLANG_VERSION", "CC_VERSION", "CC_CAN_"].contains(
            where: option.hasPrefix)
        {
            self.init(reason: "the compiler sets it: this one is of another kind or version")
        } else if ["AS_IS_", "AS_HAS_", "AS_VERSION", "LD_IS_", "LD_VERSION", "LLD_VERSION"].contains(
            where: option.hasPrefix)
        {
            self.init(reason: "the assembler or linker sets it: this one is of another kind or version")
        } else {
            return nil
        }
    }

    private init(reason: String, package: String? = nil) {
        self.reason = reason
        self.package = package
    }
}
