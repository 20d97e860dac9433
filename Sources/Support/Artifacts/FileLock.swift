// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Glibc
import SystemPackage

/// An exclusive lock between processes. The kernel drops it when its holder ends, however that happens.
public final class FileLock: Sendable {
    private let descriptor: Int32

    private init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }

    /// Takes the lock `name`, waiting for another process to give it up if need be.
    ///
    /// - Parameter progress: Told once when there is something to wait for.
    /// - Throws: `Failure` (`infrastructure`) when the lock file cannot be opened; `CancellationError`.
    public static func acquire(
        _ name: String, in layout: CacheLayout, progress: ProgressSink = .silent
    ) async throws -> FileLock {
        try createFolder(layout.locks)
        let path = layout.locks.appending(name + ".lock")
        let descriptor = open(path.string, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw Failure(.infrastructure, "cannot open the lock \(path)", details: errnoText())
        }
        let lock = FileLock(descriptor: descriptor)
        var didReport = false
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR else {
                throw Failure(.infrastructure, "cannot lock \(path)", details: errnoText())
            }
            if !didReport {
                progress(.note("waiting for another kbuild that holds \(name)"))
                didReport = true
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        return lock
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
