// SPDX-License-Identifier: Apache-2.0
import CInit

/// The durations of the project's calls, which the test library counts in a file (Sources/CSyscall/calls.c has its
/// form). Only guests of `--profile-calls` have the file; programs without the library do not count in it.
///
/// A `calls` frame contains a call's number and, for each bucket that has grown since the last frame, `BUCKET:COUNT`
/// with the growth.
struct CallTimes {
    /// The file is on the file system of devices because programs have their own /tmp, /dev/shm and /run.
    static let path = "/dev/kbuild-calls"
    /// The form of the file: its version, the words before the calls' numbers, and the buckets of a call.
    private static let version: UInt64 = 1
    private static let wordsBeforeNumbers = 3
    static let buckets = 976

    private let descriptor: Int32
    private let numbers: [UInt64]
    /// The buckets last read, and those last sent, of all calls.
    private var captured: [UInt8]
    private var sent: [UInt8]

    /// Creates the file.
    ///
    /// - Parameters:
    ///   - option: The value of `kbuild.calls`: `instructions` or `time`, then a comma and the number of each call.
    ///   - path: The file.
    /// - Returns: Nil when there is no call, or when the file cannot be created.
    init?(_ option: String, path: String = Self.path) {
        let fields = words(Array(option.utf8), separator: UInt8(ascii: ","))
        numbers = fields.dropFirst().compactMap { UInt64($0) }
        guard !numbers.isEmpty else { return nil }
        unlink(path)
        descriptor = kbuild_open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC)
        let size = numbers.count * Self.buckets * 8
        captured = Array(repeating: 0, count: size)
        sent = captured
        var head: [UInt8] = []
        for word in [Self.version, fields[0] == "instructions" ? 1 : 0, UInt64(numbers.count)] + numbers {
            for byte in 0..<8 as Range<UInt64> { head.append(UInt8(truncatingIfNeeded: word >> (8 * byte))) }
        }
        // A test may give up its privileges and call then.
        guard descriptor >= 0, System.write(descriptor, head), fchmod(descriptor, 0o666) == 0,
            ftruncate(descriptor, head.count + size) == 0
        else { return nil }
    }

    /// Reads the buckets.
    mutating func capture() {
        let start = (Self.wordsBeforeNumbers + numbers.count) * 8
        let descriptor = descriptor
        captured.withUnsafeMutableBytes { bytes in
            var offset = 0
            while offset < bytes.count, let base = bytes.baseAddress {
                let count = pread(descriptor, base + offset, bytes.count - offset, start + offset)
                guard count > 0 else { break }
                offset += count
            }
        }
    }

    /// Sends what was counted since the last frame.
    mutating func send(_ channel: inout Channel) {
        guard captured != sent else { return }
        for (index, number) in numbers.enumerated() {
            var text = ""
            for bucket in 0..<Self.buckets {
                let offset = (index * Self.buckets + bucket) * 8
                let (now, before) = (Self.word(captured, offset), Self.word(sent, offset))
                if now > before { text += " \(bucket):\(now - before)" }
            }
            if !text.isEmpty { channel.send("calls", "\(number)\(text)") }
        }
        sent = captured
    }

    private static func word(_ bytes: [UInt8], _ offset: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<8 { value |= UInt64(bytes[offset + index]) << (8 * UInt64(index)) }
        return value
    }
}
