// SPDX-License-Identifier: Apache-2.0
/// The kernel's console output during boot, and the user's arguments that hide parts of it.
public enum BootMessages {
    /// The console level of the boot: it shows warnings (level 4) and worse, the level of WARN and lockdep. `quiet` is
    /// level 4 and hides them (include/linux/printk.h). Notices and lower levels would cost 0.1 ms a byte on an
    /// emulated UART; init raises the level for the tests.
    static let level = "loglevel=5"

    /// The words of a kernel command line that hide reports of the boot or of the tests from the console, in their
    /// order.
    ///
    /// The last of `quiet` and `loglevel=` decides, so `quiet loglevel=7` hides nothing. Words after `--` are init's.
    ///
    /// - Parameter arguments: The user's arguments, each of one or more words.
    public static func hiding(_ arguments: [String]) -> [String] {
        let words = arguments.flatMap { $0.split(whereSeparator: \.isWhitespace).map(String.init) }
            .prefix { $0 != "--" }
        var hiding: [String] = []
        var level: String?
        for word in words {
            // The kernel reads a dash in a name as an underscore, and removes quotes around a value (parse_args in
            // kernel/params.c).
            let plain = word.filter { $0 != "\"" }
            let parts = plain.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let name = (parts.first ?? "").replacing("-", with: "_")
            let value = parts.count > 1 ? parts[1] : nil
            switch (name, value) {
            case ("quiet", _): level = word
            case ("debug", nil): level = nil
            case ("loglevel", let value?):
                // get_option() uses base 0: 0x5 and 05 are levels too.
                level = Self.number(value).map { $0 >= 5 } ?? false ? nil : word
            case ("printk.time", let value?) where ["0", "n", "N", "off"].contains(value): hiding.append(word)
            case ("rcupdate.rcu_cpu_stall_suppress", let value?) where value != "0": hiding.append(word)
            case ("nowatchdog", nil), ("nosoftlockup", nil), ("nmi_watchdog", "0"), ("kmemleak", "off"),
                ("kfence.sample_interval", "0"), ("workqueue.watchdog_thresh", "0"),
                ("sysctl.kernel.hung_task_timeout_secs", "0"), ("sysctl.kernel.watchdog", "0"),
                ("sysctl.kernel.printk", _), ("slub_debug", "-"), ("slab_debug", "-"):
                hiding.append(word)
            default: break
            }
        }
        // `ignore_loglevel` shows everything, at any level.
        let showsAll = words.contains { $0.replacing("-", with: "_") == "ignore_loglevel" }
        if let level, !showsAll { hiding.insert(level, at: 0) }
        return hiding
    }

    /// A number as the kernel's simple_strtol reads it with base 0; nil for text that begins with no digit.
    private static func number(_ text: String) -> Int? {
        let isHexadecimal = text.hasPrefix("0x") || text.hasPrefix("0X")
        let digits = isHexadecimal ? text.dropFirst(2) : text[...]
        let radix = isHexadecimal ? 16 : digits.hasPrefix("0") ? 8 : 10
        return Int(digits.prefix { $0.isHexDigit && ($0.hexDigitValue ?? 16) < radix }, radix: radix)
    }
}
