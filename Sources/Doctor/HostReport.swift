// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// The result of the check of one requirement.
public struct HostFinding: Sendable, Equatable, Encodable {
    /// The state of a requirement.
    public enum Status: String, Sendable, Encodable {
        /// The requirement is met.
        case ok
        /// The requirement is met partly, or only some projects need it and it is missing.
        case warning
        /// `kbuild run` would fail without it.
        case missing
    }

    /// The requirement's name.
    public var name: String
    /// The requirement's state.
    public var status: Status
    /// The version, size or place, or the reason that it is not usable.
    public var found: String
    /// The path, for a tool.
    public var path: String?
    /// The purpose in kbuild.
    public var purpose: String
    /// The Debian package that contains it.
    public var package: String?
    /// The fix; nil when none is needed.
    public var fix: String?

    /// Creates a finding. The default fix of a missing requirement is to install its package.
    public init(
        _ name: String, _ status: Status, found: String, path: String? = nil, purpose: String, package: String? = nil,
        fix: String? = nil
    ) {
        self.name = name
        self.status = status
        self.found = found
        self.path = path
        self.purpose = purpose
        self.package = package
        self.fix = status == .ok ? nil : fix ?? package.map { "apt-get install \($0)" }
    }
}

/// The result of the check of the host.
public struct HostReport: Sendable, Equatable, Encodable {
    /// The version of this format.
    public var version = 1
    /// Whether `kbuild run` would work.
    public var isReady: Bool
    /// All findings, in the order in which a run needs the requirements.
    public var findings: [HostFinding]

    /// Creates a report, and determines whether a run would work.
    public init(_ findings: [HostFinding]) {
        self.findings = findings
        isReady = !findings.contains { $0.status == .missing }
    }

    /// The report as text.
    public var text: TerminalText {
        let names = findings.map { TerminalText($0.name) }
        let width = names.map(\.count).max() ?? 0
        var lines: [TerminalText] = []
        for (finding, name) in zip(findings, names) {
            let start: TerminalText =
                "\(TerminalText(finding.status.rawValue).padded(to: 8)) \(name.padded(to: width))  "
            lines.append("\(start)\(TerminalText(finding.found).padded(to: Self.foundWidth))  \(finding.purpose)")
            if let fix = finding.fix { lines.append("\(TerminalText("").padded(to: start.count))fix: \(fix)") }
        }
        return (lines + [verdict]).joined()
    }

    /// The width that most findings fit in.
    private static let foundWidth = 18

    private var verdict: TerminalText {
        let missing = findings.filter { $0.status == .missing }
        guard !missing.isEmpty else { return "READY: kbuild run works here" }
        // One command for all missing packages. A finding with a package may have another fix: the package's file
        // exists but cannot be read.
        var packages: [String] = []
        var others: [String] = []
        for finding in missing {
            if let package = finding.package, finding.fix == "apt-get install \(package)" {
                if !packages.contains(package) { packages.append(package) }
            } else {
                others.append(finding.fix ?? "")
            }
        }
        let install = "apt-get install \(packages.joined(separator: " "))"
        let next: String
        switch (packages.isEmpty, others.count) {
        case (false, 0): next = install
        case (false, _): next = "\(install), and apply the other fixes listed above"
        case (true, 1) where !others[0].isEmpty: next = others[0]
        case (true, _): next = "apply the fixes listed above"
        }
        return "NOT READY: \(missing.map(\.name).joined(separator: ", "))\nnext: \(next)"
    }
}
