// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Glibc
import SystemPackage

/// An exclusive lock between processes. The kernel releases it when its holder ends for any reason.
public final class FileLock: Sendable {
    private let descriptor: Int32

    private init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }

    /// Takes the lock `name`, and waits for another process to release it if necessary.
    ///
    /// - Parameter progress: Called once when the lock has to be waited for.
    /// - Throws: `Failure` (`infrastructure`) when the lock file cannot be opened; `CancellationError`.
    public static func acquire(
        _ name: String, in layout: CacheLayout, progress: ProgressSink = .silent
    ) async throws -> FileLock {
        let lock = try open(name, in: layout)
        var didReport = false
        while !(try lock.take(name)) {
            if !didReport {
                let holder = Self.holder(lock.descriptor).map { ": \($0)" } ?? ""
                progress(.note("waiting for another kbuild that holds \(name)\(holder)"))
                didReport = true
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        lock.sign()
        return lock
    }

    /// Takes the lock `name` if no process holds it.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the lock file cannot be opened.
    public static func attempt(_ name: String, in layout: CacheLayout) throws -> FileLock? {
        let lock = try open(name, in: layout)
        guard try lock.take(name) else { return nil }
        lock.sign()
        return lock
    }

    private static func open(_ name: String, in layout: CacheLayout) throws -> FileLock {
        try createFolder(layout.locks)
        let path = layout.locks.appending(name + ".lock")
        let descriptor = Glibc.open(path.string, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw Failure(.infrastructure, "cannot open the lock \(path)", details: errnoText())
        }
        return FileLock(descriptor: descriptor)
    }

    /// Whether the lock is held now.
    private func take(_ name: String) throws -> Bool {
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
        guard errno == EWOULDBLOCK || errno == EINTR else {
            throw Failure(.infrastructure, "cannot take the lock \(name)", details: errnoText())
        }
        return false
    }

    /// Writes the lock's holder into its file: process ID, seconds since 1970, command. The record is only information
    /// for the user, so a failure to write it, as on a full disk, does not matter.
    private func sign() {
        let words = CommandLine.arguments.prefix(8).joined(separator: " ").prefix(200)
        let text = "\(getpid()) \(time(nil)) \(words)\n"
        guard ftruncate(descriptor, 0) == 0 else { return }
        _ = Array(text.utf8).withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
    }

    /// "process 4711, kbuild run, for 12 s", from the holder's record; nil when the holder has not written it yet.
    private static func holder(_ descriptor: Int32) -> String? {
        var buffer = [UInt8](repeating: 0, count: 512)
        let count = pread(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return nil }
        let fields = String(decoding: buffer[..<count], as: UTF8.self).textLines().first?
            .split(separator: " ", maxSplits: 2)
        guard let fields, fields.count == 3, let pid = Int32(fields[0]), let since = Int(fields[1]) else { return nil }
        // The record is of an earlier holder; the present one has not written its own yet.
        guard kill(pid, 0) == 0 || errno == EPERM else { return nil }
        let command = fields[2].split(separator: " ", maxSplits: 1)
        let name = command.first?.split(separator: "/").last ?? "kbuild"
        let words = ([name] + command.dropFirst()).joined(separator: " ")
        return "process \(pid) (\(words)), since \(max(0, Int(time(nil)) - since)) s"
    }

    /// Runs `body` while holding the lock `name`.
    ///
    /// - Throws: As `acquire(_:in:progress:)`, and what `body` throws.
    public static func withLock<Result>(
        _ name: String, in layout: CacheLayout, progress: ProgressSink = .silent, body: () async throws -> Result
    ) async throws -> Result {
        let lock = try await acquire(name, in: layout, progress: progress)
        defer { withExtendedLifetime(lock) {} }
        return try await body()
    }
}
