import CInit

/// The calls of the C library that PID 1 makes, with Swift's types.
enum System {
    static func mount(_ source: String, _ target: String, type: String, options: String = "", flags: UInt = 0) -> Bool {
        CInit.mount(source, target, type, flags, options.isEmpty ? nil : options) == 0
    }

    /// The whole of a file; nil when it cannot be read.
    static func read(_ path: String) -> [UInt8]? {
        let descriptor = kbuild_open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        while let chunk = readChunk(descriptor), !chunk.isEmpty { bytes += chunk }
        return bytes
    }

    /// What can be read now: empty at the end of the file, nil when nothing is there yet or the read failed.
    static func readChunk(_ descriptor: Int32) -> [UInt8]? {
        var count = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: 16384) { buffer, used in
            repeat {
                count = CInit.read(descriptor, buffer.baseAddress, buffer.count)
            } while count < 0 && kbuild_errno() == EINTR
            used = max(0, count)
        }
        return count < 0 ? nil : bytes
    }

    /// Writes everything, however many calls that takes; false when the other end is gone.
    @discardableResult
    static func write(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes {
                CInit.write(descriptor, $0.baseAddress.map { $0 + offset }, bytes.count - offset)
            }
            if count < 0 {
                if kbuild_errno() == EINTR || kbuild_errno() == EAGAIN { continue }
                return false
            }
            offset += count
        }
        return true
    }

    @discardableResult
    static func write(_ path: String, _ text: String) -> Bool {
        let descriptor = kbuild_open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return write(descriptor, Array(text.utf8))
    }

    /// Copies a file; false when a part of it could not be read or written.
    static func copy(_ source: String, to target: String, mode: mode_t) -> Bool {
        let from = kbuild_open(source, O_RDONLY | O_CLOEXEC)
        let to = kbuild_open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC)
        defer {
            close(from)
            close(to)
        }
        guard from >= 0, to >= 0, fchmod(to, mode) == 0 else { return false }
        while let chunk = readChunk(from) {
            if chunk.isEmpty { return true }
            guard write(to, chunk) else { return false }
        }
        return false
    }

    static func names(in folder: String) -> [String] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = String(cString: kbuild_entry_name(entry))
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    static func pipe() -> (read: Int32, write: Int32)? {
        var ends: [Int32] = [0, 0]
        let result = ends.withUnsafeMutableBufferPointer { pipe2($0.baseAddress, O_CLOEXEC) }
        return result == 0 ? (ends[0], ends[1]) : nil
    }

    /// The last error, as the C library words it.
    static var lastError: String {
        strerror(kbuild_errno()).map { String(cString: $0) } ?? "error"
    }
}

extension Array where Element == UInt8 {
    /// The pieces between newlines; the part after the last newline is the final piece.
    func lines() -> [[UInt8]] {
        var lines: [[UInt8]] = []
        var line: [UInt8] = []
        for byte in self {
            if byte == UInt8(ascii: "\n") {
                lines.append(line)
                line = []
            } else {
                line.append(byte)
            }
        }
        if !line.isEmpty { lines.append(line) }
        return lines
    }

    func text() -> String { String(decoding: self, as: UTF8.self) }
}

/// The words of a line: separated by any run of `separator`s.
func words(_ line: [UInt8], separator: UInt8 = UInt8(ascii: " ")) -> [String] {
    line.split(separator: separator).map { String(decoding: $0, as: UTF8.self) }
}
