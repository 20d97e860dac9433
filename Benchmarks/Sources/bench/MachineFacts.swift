// SPDX-License-Identifier: Apache-2.0
import Foundation
import Measurement

/// The machine and its tools, without a name or a path that says whose it is.
func machineFacts(_ workspace: Workspace, virtme: String?) throws -> [String] {
    func first(_ words: [String]) -> String {
        let run = try? workspace.run(Invocation(words, in: workspace.root))
        return run?.output.split(separator: "\n").first.map { String($0) } ?? "unknown"
    }
    func field(_ name: String, _ path: String, _ separator: Character) -> String? {
        let text = String(decoding: ProcessTree.read(path) ?? [], as: UTF8.self)
        return text.split(separator: "\n").first { $0.hasPrefix(name) }?.split(separator: separator).last
            .map { $0.trimmingCharacters(in: CharacterSet(charactersIn: " \t\"")) }
    }
    let memory = field("MemTotal", "/proc/meminfo", ":").flatMap { Int($0.split(separator: " ")[0]) } ?? 0
    // The text after the version is the local name of that kernel.
    let release = first(["uname", "-r"]).split(separator: "-").first.map { String($0) } ?? "unknown"
    var facts = [
        "\(field("model name", "/proc/cpuinfo", ":") ?? "unknown processor"), "
            + "\(ProcessInfo.processInfo.activeProcessorCount) cores, \((memory + 524_288) / 1_048_576) GiB of memory",
        "\(field("PRETTY_NAME", "/etc/os-release", "=") ?? "unknown system"), Linux \(release)",
        first(["qemu-system-x86_64", "--version"]) + ", TCG",
        first(["gcc", "--version"]),
        first(["swift", "--version"]),
    ]
    if let virtme { facts.append(virtme + " from PyPI") }
    return facts
}

/// The load of the last minute.
func loadAverage() -> String {
    String(decoding: ProcessTree.read("/proc/loadavg") ?? [], as: UTF8.self).split(separator: " ").first
        .map { String($0) } ?? "?"
}
