/// A line of the serial console, with what the kernel put before its text.
public struct ConsoleLine: Equatable, Sendable {
    /// The line as it came, with malformed UTF-8 repaired.
    public var raw: String
    /// The kernel's time stamp in seconds since its start (CONFIG_PRINTK_TIME), if there is one.
    public var kernelSeconds: Double?
    /// The line without its time stamp and caller.
    public var message: String

    /// Reads a line: `[    1.234567] text`, `[    1.234567][   T12] text` or text alone.
    public init(_ bytes: [UInt8]) {
        raw = String(decoding: bytes, as: UTF8.self)
        message = raw
        guard raw.utf8.first == UInt8(ascii: "["), let close = raw.firstIndex(of: "]") else { return }
        let stamp = raw[raw.index(after: raw.startIndex)..<close].drop { $0 == " " }
        guard stamp.contains("."), let seconds = Double(stamp) else { return }
        kernelSeconds = seconds
        var rest = raw[raw.index(after: close)...]
        // The caller, a task or a CPU (CONFIG_PRINTK_CALLER).
        if rest.first == "[", let end = rest.firstIndex(of: "]") {
            let caller = rest[rest.index(after: rest.startIndex)..<end].drop { $0 == " " }
            if let kind = caller.first, "TC".contains(kind), Int(caller.dropFirst()) != nil {
                rest = rest[rest.index(after: end)...]
            }
        }
        message = String(rest.first == " " ? rest.dropFirst() : rest)
    }
}
