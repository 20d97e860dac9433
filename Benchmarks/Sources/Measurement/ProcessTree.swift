// SPDX-License-Identifier: Apache-2.0
import Glibc

/// A look at running processes through /proc.
public enum ProcessTree {
    /// Reads a file as bytes; nil when it does not exist or its process has ended. The size of files in /proc is not
    /// known beforehand.
    public static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return count == 0 ? bytes : nil }
            bytes += buffer[..<count]
        }
    }

    /// The process and all that descend from it. Children may be those of any thread.
    public static func family(of root: pid_t) -> [pid_t] {
        var found = [root]
        var next = 0
        while next < found.count {
            let parent = found[next]
            next += 1
            for thread in names(in: "/proc/\(parent)/task") where Int32(thread) != nil {
                guard let bytes = read("/proc/\(parent)/task/\(thread)/children") else { continue }
                found += bytes.split(separator: 0x20).compactMap { pid_t(String(decoding: $0, as: UTF8.self)) }
            }
        }
        return found
    }

    /// A process's command line; empty when the process has ended.
    public static func arguments(of pid: pid_t) -> [String] {
        (read("/proc/\(pid)/cmdline") ?? []).split(separator: 0, omittingEmptySubsequences: false).dropLast()
            .map { String(decoding: $0, as: UTF8.self) }
    }

    /// Whether a command line is that of a guest: QEMU, or a kernel of user-mode Linux started by kbuild. What starts a
    /// guest has the guest's command line among its own arguments, so the first word decides. QEMU is also run to ask
    /// its version.
    public static func isGuest(_ arguments: [String]) -> Bool {
        guard let name = arguments.first?.split(separator: "/").last else { return false }
        if name.hasPrefix("qemu-system-") { return arguments.contains("-kernel") }
        return name != "kbuild" && arguments.contains { $0.hasPrefix("uml_dir=") }
    }

    /// The most that a process ever held in memory, in KiB.
    public static func peakResident(of pid: pid_t) -> Int? {
        (read("/proc/\(pid)/status")).flatMap { value(of: "VmHWM", in: String(decoding: $0, as: UTF8.self)) }
    }

    /// What a family holds in memory beside guests' RAM, in KiB: proportional shares, so that a page that two processes
    /// have counts once.
    public static func memory(of family: [pid_t]) -> Int {
        family.reduce(0) { sum, pid in
            let arguments = arguments(of: pid)
            guard isGuest(arguments) else {
                let rollup = read("/proc/\(pid)/smaps_rollup").map { String(decoding: $0, as: UTF8.self) }
                return sum + (rollup.flatMap { value(of: "Pss", in: $0) } ?? 0)
            }
            let maps = read("/proc/\(pid)/smaps").map { String(decoding: $0, as: UTF8.self) } ?? ""
            return sum + proportionalShare(inMaps: maps, withoutMappingOf: memoryOption(in: arguments))
        }
    }

    /// The guest's RAM in KiB as QEMU's `-m SIZEM` says it.
    static func memoryOption(in arguments: [String]) -> Int? {
        guard let index = arguments.firstIndex(of: "-m"), index + 1 < arguments.count else { return nil }
        let text = arguments[index + 1]
        guard text.hasSuffix("M"), let megabytes = Int(text.dropLast()) else { return nil }
        return megabytes * 1024
    }

    /// The sum of the proportional shares in an smaps file except mappings of exactly `size` KiB.
    static func proportionalShare(inMaps text: String, withoutMappingOf size: Int?) -> Int {
        var sum = 0
        var isGuestMemory = false
        for line in text.split(separator: "\n") {
            if line.hasPrefix("Size:") {
                isGuestMemory = size != nil && value(of: "Size", in: String(line)) == size
            } else if line.hasPrefix("Pss:"), !isGuestMemory {
                sum += value(of: "Pss", in: String(line)) ?? 0
            }
        }
        return sum
    }

    /// The number in the line `NAME:   N kB`.
    static func value(of name: String, in text: String) -> Int? {
        for line in text.split(separator: "\n") where line.hasPrefix(name + ":") {
            let words = line.dropFirst(name.count + 1).split { $0 == " " || $0 == "\t" }
            return words.first.flatMap { Int($0) }
        }
        return nil
    }

    private static func names(in folder: String) -> [String] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                })
        }
        return names
    }
}
