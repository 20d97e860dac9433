// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Glibc
import SystemPackage

/// The file with all console output of a guest. Each line begins with the host's time of its arrival.
package final class ConsoleTranscript {
    /// The size limit of the file. The rest of a longer output is omitted, and the file says so: a guest must not fill
    /// the host's disk.
    package static let mostBytes = 256 << 20

    private let descriptor: FileDescriptor
    private var buffer: [UInt8] = []
    private var written = 0
    /// Why a part of it could not be written; nil when all was written.
    package private(set) var obstacle: String?

    package init(path: FilePath) throws {
        do {
            descriptor = try FileDescriptor.open(
                path, .writeOnly, options: [.create, .truncate, .closeOnExec],
                permissions: FilePermissions(rawValue: 0o644))
        } catch let error as SystemPackage.Errno {
            throw Failure(.infrastructure, "cannot write the console log \(path)", details: "\(error)")
        }
    }

    deinit {
        flush()
        try? descriptor.close()
    }

    package func append(_ line: [UInt8]) {
        guard written < Self.mostBytes else { return }
        let stamped = Array(Self.timeStamp().utf8) + [0x20] + line + [0x0A]
        written += stamped.count
        buffer += stamped
        if written >= Self.mostBytes {
            buffer += Array("[kbuild: the console went on; the rest is left out]\n".utf8)
        }
    }

    /// Writes the collected lines. A full disk loses the log, not the run.
    package func flush() {
        guard !buffer.isEmpty else { return }
        do {
            _ = try descriptor.writeAll(buffer)
        } catch {
            obstacle = obstacle ?? "\(error)"
        }
        buffer = []
    }

    /// The time of day in UTC, as ISO 8601 with milliseconds.
    private static func timeStamp() -> String {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        var fields = tm()
        gmtime_r(&now.tv_sec, &fields)
        func padded(_ value: Int, _ width: Int = 2) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let date = "\(fields.tm_year + 1900)-\(padded(Int(fields.tm_mon) + 1))-\(padded(Int(fields.tm_mday)))"
        let time = "\(padded(Int(fields.tm_hour))):\(padded(Int(fields.tm_min))):\(padded(Int(fields.tm_sec)))"
        return "\(date)T\(time).\(padded(now.tv_nsec / 1_000_000, 3))Z"
    }
}
