// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Runs `body` and returns the messages that the kernel logged meanwhile, one for each element, without level and time.
///
///     let log = try kernelLog { try syscall(__NR_getProcessInfo) }
///     #expect(log.contains("getProcessInfo - hey there"))
///
/// Other parts of the kernel may log at the same time, so expect the result to contain a message, not to equal it.
///
/// - Throws: `Errno` when /dev/kmsg cannot be read; what `body` throws.
public func kernelLog(during body: () throws -> Void) throws -> [String] {
    try kernelMessages(during: body).map(\.text)
}

/// A message of the kernel's log.
public struct KernelMessage: Sendable, Hashable {
    /// The level, from 0 (emergency) to 7 (debug): linux/kern_levels.h. `pr_info` logs with 6.
    public let level: Int
    /// Its first line, without level and time.
    public let text: String

    /// Describes a message.
    public init(level: Int, text: String) {
        self.level = level
        self.text = text
    }
}

/// Runs `body` and returns the messages that the kernel logged meanwhile, with levels. See `kernelLog`.
///
///     let log = try kernelMessages { try syscall(__NR_getProcessInfo) }
///     #expect(log.contains(KernelMessage(level: 6, text: "getProcessInfo - hey there")))
///
/// - Throws: `Errno` when /dev/kmsg cannot be read; what `body` throws.
public func kernelMessages(during body: () throws -> Void) throws -> [KernelMessage] {
    let descriptor = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    guard descriptor >= 0 else { throw Errno(errno) }
    defer { close(descriptor) }
    guard lseek(descriptor, 0, SEEK_END) >= 0 else { throw Errno(errno) }
    try body()
    var messages: [KernelMessage] = []
    // A record has at most 8 KiB (CONSOLE_EXT_LOG_MAX), and each read returns one.
    var buffer = [UInt8](repeating: 0, count: 8192)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        // EPIPE: records were overwritten before they were read; the following reads return the rest.
        if count < 0, errno == EPIPE { continue }
        guard count > 0 else { return messages }
        // "PRIORITY,SEQUENCE,TIME,FLAGS;MESSAGE\n KEY=VALUE\n": Documentation/ABI/testing/dev-kmsg. The priority is the
        // facility times eight plus the level.
        let record = String(decoding: buffer[..<count], as: UTF8.self)
        guard let semicolon = record.firstIndex(of: ";") else { continue }
        let message = record[record.index(after: semicolon)...].prefix { $0 != "\n" }
        guard let priority = Int(record.prefix { $0 != "," }) else { continue }
        messages.append(KernelMessage(level: priority & 7, text: String(message)))
    }
}
