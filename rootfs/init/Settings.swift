// SPDX-License-Identifier: Apache-2.0
import CInit

/// The settings under /proc/sys, which are restored after each program, so that its changes do not affect the next one.
struct Settings {
    private var values: [(name: String, value: [UInt8])] = []

    private static let root = "/proc/sys"
    /// Settings that change by themselves, cannot be restored, or have an effect when read.
    private static let exceptions = ["kernel/ns_last_pid", "kernel/tainted", "vm/stat_refresh"]
    /// Longer values are lists, not settings.
    private static let longest = 4096

    /// Reads all settings.
    init() {
        walk("")
    }

    private mutating func walk(_ folder: String) {
        for name in System.names(in: "\(Self.root)/\(folder)") {
            let path = folder.isEmpty ? name : "\(folder)/\(name)"
            switch kbuild_setting_kind("\(Self.root)/\(path)") {
            case 1: walk(path)
            case 2:
                if Self.exceptions.contains(path) { continue }
                if let value = System.read("\(Self.root)/\(path)"), value.count <= Self.longest {
                    values.append((path, value))
                }
            default: break
            }
        }
    }

    /// Restores changed settings.
    ///
    /// - Parameter changed: Called with a sentence for each changed setting.
    func restore(_ changed: (String) -> Void) {
        for (name, value) in values {
            let path = "\(Self.root)/\(name)"
            guard let current = System.read(path), current != value else { continue }
            let change = "it changed \(Self.dotted(name)) from \(Self.shown(value)) to \(Self.shown(current))"
            System.write(path, value.text())
            let isBack = System.read(path).map { $0 == value } ?? false
            if isBack, name == "kernel/printk", Self.isOfCrash(current, before: value) { continue }
            changed(change + (isBack ? ", which was put back" : ", and that could not be put back"))
        }
    }

    /// Whether the kernel itself has let all messages through, as it does when it reports an oops: console_verbose()
    /// sets the first number to CONSOLE_LOGLEVEL_MOTORMOUTH, 15 (include/linux/printk.h), and nothing sets it back.
    private static func isOfCrash(_ current: [UInt8], before: [UInt8]) -> Bool {
        // Documentation/admin-guide/tainted-kernels.rst: bit 7, the kernel died recently.
        let tainted = System.read("\(root)/kernel/tainted").flatMap { number($0[...]) } ?? 0
        guard tainted & 1 << 7 != 0, number(current[...]) == 15 else { return false }
        func rest(_ value: [UInt8]) -> ArraySlice<UInt8> { value.drop { $0 != UInt8(ascii: "\t") } }
        return rest(current) == rest(before)
    }

    /// The number that a value begins with.
    private static func number(_ value: ArraySlice<UInt8>) -> Int? {
        let digits = value.prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
        guard !digits.isEmpty, digits.count < 19 else { return nil }
        return digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    }

    /// The name for sysctl(8).
    private static func dotted(_ name: String) -> String {
        Array(name.utf8).map { $0 == UInt8(ascii: "/") ? UInt8(ascii: ".") : $0 }.text()
    }

    private static func shown(_ value: [UInt8]) -> String {
        let line = value.prefix(80).map {
            $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\n") ? UInt8(ascii: " ") : $0
        }
        let text = Array(line.last == UInt8(ascii: " ") ? line.dropLast() : line[...]).text()
        return text.isEmpty ? "nothing" : text
    }
}
