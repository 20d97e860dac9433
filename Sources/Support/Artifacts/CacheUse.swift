// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import FileSystem
import Glibc
import SystemPackage

import struct Foundation.Data
import class Foundation.JSONDecoder
import class Foundation.JSONEncoder

/// Keeps those who begin to use a cache apart from those who remove something of it: a lock on the cache's marker. It
/// is held for moments: shared while a use is recorded (`CacheUse`), exclusive while it is decided what is in use, and
/// by `kbuild clean --all` until it is done.
public final class CacheGate: Sendable {
    private let descriptor: Int32

    private init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Takes the gate, waiting if need be.
    ///
    /// - Parameters:
    ///   - isExclusive: Whether nobody else may hold it.
    ///   - progress: Told once when there is something to wait for.
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

    /// Takes the gate if nobody is in the way.
    ///
    /// - Throws: As `acquire`.
    public static func attempt(_ layout: CacheLayout, isExclusive: Bool) throws -> CacheGate? {
        try layout.prepare()
        let descriptor = open(layout.marker.string, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else {
            // Removed since: the next attempt makes it anew.
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
        // A lock on a file that has been removed keeps nobody away.
        guard let held = FileStatus(ofDescriptor: descriptor), let named = FileStatus(layout.marker),
            held.isSameInode(as: named)
        else { return nil }
        return gate
    }
}

/// That a kbuild uses a cache, and for which project: a file that is locked as long as it does. What it has taken from
/// the cache since it began is not removed meanwhile, nor anything of its project's.
public final class CacheUse: Sendable {
    /// A kbuild that uses a cache.
    public struct User: Sendable, Codable, Equatable {
        /// Its process.
        public var process: Int32
        /// Its command line's first words.
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

    /// The file that says which project a folder of `CacheLayout.projects` is of; its time is that of the last use.
    static let projectFileName = "project"

    /// Records a use of the cache, which is made if it is not there.
    ///
    /// - Parameters:
    ///   - project: The project's folder; nil for a use without one.
    ///   - command: What is told to who must wait.
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

    /// Who uses a cache.
    ///
    /// - Parameter isAlone: Whether the caller holds the gate alone: then what killed kbuilds left is removed.
    public static func users(of layout: CacheLayout, isAlone: Bool = false) -> [User] {
        let names = (try? namesInFolder(layout.uses)) ?? []
        return names.filter { $0.hasSuffix(".use") }.compactMap { name in
            let file = layout.uses.appending(name)
            let descriptor = open(file.string, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else { return nil }
            defer { close(descriptor) }
            // Shared: who is just about to lock a new one must not find it locked for long, and does not at all by
            // others like us.
            if isAlone, flock(descriptor, LOCK_SH | LOCK_NB) == 0 {
                unlink(file.string)
                return nil
            }
            guard let status = FileStatus(ofDescriptor: descriptor), let text = try? readBytes(file),
                var user = try? JSONDecoder().decode(User.self, from: Data(text))
            else {
                // It is in use by one of whom nothing else is known.
                return isAlone ? User(process: 0, command: "kbuild", project: nil, since: 0) : nil
            }
            guard isAlone || kill(user.process, 0) == 0 || errno == EPERM else { return nil }
            user.since = Double(status.changed / 1_000_000_000)
            return user
        }
    }
}

/// Notes that something of the cache is used now: its time of change becomes the present. What has not been used for
/// longest is removed first.
public func markUsed(_ path: FilePath) {
    // It costs some microseconds. A cache that cannot be written to keeps its times.
    utimensat(AT_FDCWD, path.string, nil, AT_SYMLINK_NOFOLLOW)
}
