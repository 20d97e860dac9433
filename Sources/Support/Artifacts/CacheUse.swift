// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import FileSystem
import Glibc
import SystemPackage

import struct Foundation.Data
import class Foundation.JSONDecoder
import class Foundation.JSONEncoder

/// Excludes a removal while a run begins to use a cache, by a lock on the cache's marker. The lock is held briefly:
/// shared while a use is recorded (`CacheUse`), exclusive while the items in use are determined. `kbuild clean --all`
/// holds it until it is done.
public final class CacheGate: Sendable {
    private let descriptor: Int32

    private init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Takes the gate, and waits for it if necessary.
    ///
    /// - Parameters:
    ///   - isExclusive: Whether the lock is exclusive.
    ///   - progress: Called once when the gate has to be waited for.
    /// - Throws: `Failure` (`usage`) when the folder is not a cache; `infrastructure` when it cannot be made;
    ///   `CancellationError`.
    public static func acquire(
        _ layout: CacheLayout, isExclusive: Bool, progress: ProgressSink = .silent
    ) async throws -> CacheGate {
        var didReport = false
        while true {
            if let gate = try attempt(layout, isExclusive: isExclusive) { return gate }
            if !didReport {
                progress(.note("waiting for another kbuild that removes something of the cache \(layout.root)"))
                didReport = true
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Takes the gate if no other process prevents it.
    ///
    /// - Throws: As `acquire`.
    public static func attempt(_ layout: CacheLayout, isExclusive: Bool) throws -> CacheGate? {
        try layout.prepare()
        let descriptor = open(layout.marker.string, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else {
            // The file was removed since; the next attempt makes a new one.
            if errno == ENOENT { return nil }
            throw Failure(.infrastructure, "cannot open \(layout.marker)", details: errnoText())
        }
        let gate = CacheGate(descriptor: descriptor)
        guard flock(descriptor, (isExclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) == 0 else {
            guard errno == EWOULDBLOCK || errno == EINTR else {
                throw Failure(.infrastructure, "cannot lock \(layout.marker)", details: errnoText())
            }
            return nil
        }
        // A lock on a removed file excludes no other process.
        guard let held = FileStatus(ofDescriptor: descriptor), let named = FileStatus(layout.marker),
            held.isSameInode(as: named)
        else { return nil }
        return gate
    }
}

/// The record that a kbuild process uses a cache, and for which project: a file that is locked for as long. Items that
/// the process took since it began, and all items of its project, are not removed meanwhile.
public final class CacheUse: Sendable {
    /// A kbuild process that uses a cache.
    public struct User: Sendable, Codable, Equatable {
        /// The process ID.
        public var process: Int32
        /// The first words of its command line.
        public var command: String
        /// Its project's folder; nil for none.
        public var project: String?
        /// When it began, in seconds since 1970.
        public var since: Double?
    }

    private let file: FilePath
    private let descriptor: Int32

    private init(file: FilePath, descriptor: Int32) {
        self.file = file
        self.descriptor = descriptor
    }

    deinit {
        unlink(file.string)
        close(descriptor)
    }

    /// The file that names the project of a folder of `CacheLayout.projects`; its ctime is the time of the last use.
    static let projectFileName = "project"

    /// Records a use of the cache, and creates the cache if necessary.
    ///
    /// - Parameters:
    ///   - project: The project's folder; nil for a use without one.
    ///   - command: The command to show to a process that has to wait.
    /// - Throws: `Failure` (`usage`) when the folder is not a cache; `infrastructure` when it cannot be written;
    ///   `CancellationError`.
    public static func begin(
        _ layout: CacheLayout, project: FilePath?, command: String, progress: ProgressSink = .silent
    ) async throws -> CacheUse {
        let gate = try await CacheGate.acquire(layout, isExclusive: false, progress: progress)
        defer { withExtendedLifetime(gate) {} }
        try createFolder(layout.uses)
        let file = layout.uses.appending("\(getpid())-\(UInt32.random(in: 0 ... .max)).use")
        let descriptor = open(file.string, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw Failure(.infrastructure, "cannot create \(file)", details: errnoText())
        }
        let use = CacheUse(file: file, descriptor: descriptor)
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw Failure(.infrastructure, "cannot lock \(file)", details: errnoText())
        }
        do {
            let user = User(process: getpid(), command: command, project: project?.string)
            _ = try FileDescriptor(rawValue: descriptor).writeAll(JSONEncoder().encode(user))
        } catch {
            throw Failure(.infrastructure, "cannot write \(file)", details: "\(error)")
        }
        if let project {
            let folder = layout.folder(ofProject: project)
            let name = folder.appending(projectFileName)
            if (try? readText(name)) != project.string {
                try createFolder(folder)
                try writeAtomically(project.string, to: name)
            }
            markUsed(name)
        }
        return use
    }

    /// The current users of a cache.
    ///
    /// - Parameter isAlone: Whether the caller holds the gate exclusively; then the records of killed processes are
    ///   removed.
    public static func users(of layout: CacheLayout, isAlone: Bool = false) -> [User] {
        let names = (try? namesInFolder(layout.uses)) ?? []
        return names.filter { $0.hasSuffix(".use") }.compactMap { name in
            let file = layout.uses.appending(name)
            let descriptor = open(file.string, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else { return nil }
            defer { close(descriptor) }
            // A shared lock: it does not exclude other readers, and a process that is about to lock its new record
            // waits only briefly.
            if isAlone, flock(descriptor, LOCK_SH | LOCK_NB) == 0 {
                unlink(file.string)
                return nil
            }
            guard let status = FileStatus(ofDescriptor: descriptor), let text = try? readBytes(file),
                var user = try? JSONDecoder().decode(User.self, from: Data(text))
            else {
                // A process uses the cache, but its record is not readable.
                return isAlone ? User(process: 0, command: "kbuild", project: nil, since: 0) : nil
            }
            guard isAlone || kill(user.process, 0) == 0 || errno == EPERM else { return nil }
            user.since = Double(status.changed / 1_000_000_000)
            return user
        }
    }
}

/// Marks an item of the cache as used now, by its ctime. The least recently used items are removed first.
public func markUsed(_ path: FilePath) {
    // This takes some microseconds. In a read-only cache the times do not change.
    utimensat(AT_FDCWD, path.string, nil, AT_SYMLINK_NOFOLLOW)
}
