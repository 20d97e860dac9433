// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// What kbuild found of one thing that it needs of the host.
public struct HostFinding: Sendable, Equatable, Encodable {
    /// Whether it is as it should be.
    public enum Status: String, Sendable, Encodable {
        /// It is there.
        case ok
        /// It is not as good as it could be, or something that only some projects need is missing.
        case warning
        /// `kbuild run` would fail without it.
        case missing
    }

    /// What it is.
    public var name: String
    /// Whether it is as it should be.
    public var status: Status
    /// Its version, size or place, or why it does not serve.
    public var found: String
    /// Where it is, for a tool.
    public var path: String?
    /// What kbuild needs it for.
    public var purpose: String
    /// The Debian package that it comes in.
    public var package: String?
    /// What to do about it; nil when nothing needs to be done.
    public var fix: String?

    /// Creates a finding; one that is missing is mended by installing its package, unless something else is said.
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

/// What kbuild found of the host.
public struct HostReport: Sendable, Equatable, Encodable {
    /// The version of this form.
    public var version = 1
    /// Whether `kbuild run` would work.
    public var isReady: Bool
    /// All that was looked at, in the order in which a run needs it.
    public var findings: [HostFinding]

    /// Creates a report, and judges.
    public init(_ findings: [HostFinding]) {
        self.findings = findings
        isReady = !findings.contains { $0.status == .missing }
    }

    /// The report for people.
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

    /// Room for what most findings are.
    private static let foundWidth = 18

    private var verdict: TerminalText {
        let missing = findings.filter { $0.status == .missing }
        guard !missing.isEmpty else { return "READY: kbuild run works here" }
        // One command for all that packages mend. A finding may have a fix of its own although a package is known: what
        // the package brought is there and cannot be read.
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
