// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import SystemPackage

/// The base of a configuration, before fragments are merged into it.
public enum ConfigBase: Sendable, Hashable {
    /// A target of the tree's makefiles that makes a configuration from nothing: `tinyconfig`, `defconfig`.
    case target(String)
    /// A whole configuration, such as a distribution's /boot/config, with its name in messages.
    case file(name: String, text: String)
    /// The same without the modules that this host has not loaded; `modules` is what lsmod prints.
    case localModules(name: String, text: String, modules: String)

    /// The smallest configuration of a tree.
    public static let smallest = ConfigBase.target("tinyconfig")

    /// The name in `.config`'s header and in messages.
    public var name: String {
        switch self {
        case .target(let target): target
        case .file(let name, _): name
        case .localModules(let name, _, _): "\(Self.localTarget) of \(name)"
        }
    }

    /// The text of a whole configuration; nil for a target.
    var text: String? {
        switch self {
        case .target: nil
        case .file(_, let text), .localModules(_, let text, _): text
        }
    }

    /// The targets that `make` runs for the base, before fragments are merged.
    var targets: [String] {
        switch self {
        case .target(let target): [target]
        case .file: []
        // New options of the tree get their defaults first: otherwise localmodconfig would ask for each.
        case .localModules: [KernelConfigurator.completion, Self.localTarget]
        }
    }

    static let localTarget = "localmodconfig"

    /// The base's line of the request; empty for the smallest configuration.
    var keyLine: String {
        if self == .smallest { return "" }
        var digest = ContentDigest(of: "config-base", version: 1)
        digest.add("name", name)
        digest.add("text", text ?? "")
        if case .localModules(_, _, let modules) = self { digest.add("modules", modules) }
        return "# base: \(name.map { $0.isNewline ? " " : String($0) }.joined()) \(digest.digest.hex)\n"
    }
}

/// A requirement of a finished configuration that the host or the tree does not have, and that the build needs.
///
/// kconfig accepts these options. The build ends with an error that names neither the option nor the fix, often after
/// minutes.
struct ConfigObstacle: Sendable, Equatable {
    /// The option that causes the obstacle.
    var option: String
    /// The value that removes the obstacle.
    var harmless: ConfigValue
    /// "needs pahole, which is not installed".
    var reason: String
    /// A command that removes the obstacle, if there is one.
    var command: String?

    /// The options that name files of keys and certificates, and the value that the kernel's Kconfig files give them.
    private static let keyFiles: [(option: String, harmless: String)] = [
        ("SYSTEM_TRUSTED_KEYS", ""), ("SYSTEM_REVOCATION_KEYS", ""), ("MODULE_SIG_KEY", "certs/signing_key.pem"),
        ("SYSTEM_BLACKLIST_HASH_LIST", ""),
    ]

    /// Finds the obstacles of a configuration.
    ///
    /// - Parameters:
    ///   - hasFile: Whether the tree has the file at a path.
    ///   - hasTool: Whether the host has a program.
    static func all(
        in config: ConfigFile, hasFile: (String) -> Bool, hasTool: (String) -> Bool
    ) -> [ConfigObstacle] {
        var found: [ConfigObstacle] = []
        for (option, harmless) in keyFiles {
            // "pkcs11:..." names a key on a token.
            guard case .string(let path) = config[option], !path.isEmpty, path != harmless,
                !path.hasPrefix("pkcs11:"), !hasFile(path)
            else { continue }
            found.append(
                ConfigObstacle(
                    option: option, harmless: .string(harmless),
                    reason: "names \(path), which is not in the kernel's tree (distributions keep it to themselves)"))
        }
        if config["DEBUG_INFO_BTF"] == .yes, !hasTool("pahole") {
            found.append(
                ConfigObstacle(
                    option: "DEBUG_INFO_BTF", harmless: .no, reason: "needs pahole, which is not installed",
                    command: "apt-get install dwarves"))
        }
        return found
    }

    /// The line of a fragment that removes the obstacle.
    var line: String {
        harmless == .no ? "# CONFIG_\(option) is not set" : "CONFIG_\(option)=\(harmless)"
    }

    /// The failure for obstacles whose options a request names.
    static func failure(_ obstacles: [ConfigObstacle], _ request: ConfigRequest) -> Failure {
        let places = obstacles.map { obstacle in
            let place = request.entries.first { $0.name == obstacle.option }.map { "\($0.place): " } ?? ""
            return "\(place)CONFIG_\(obstacle.option) \(obstacle.reason)"
        }
        let remedies = obstacles.map { $0.command ?? "write \($0.line) in the last fragment" }
        return Failure(
            .build, obstacles.count == 1 ? places[0] : "\(obstacles.count) options cannot be built here",
            details: obstacles.count == 1 ? nil : places.joined(separator: "\n"),
            nextStep: remedies.joined(separator: "; "))
    }
}
