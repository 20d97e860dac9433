// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// A file, link or folder that a walk has found.
public struct TreeEntry {
    /// The descriptor of the folder that holds it, open while the visitor is called. `unlinkat`, `fchownat` and their
    /// like on it and `name` act on this folder even if it has been moved meanwhile.
    public let folder: Int32
    /// Its name, as bytes: a file's name need not be UTF-8.
    public let name: [UInt8]
    /// The path of the folder that holds it, relative to the start of the walk, with a slash at its end; empty at the
    /// top.
    public let prefix: [UInt8]
    /// The result of `fstatat`, without following links.
    public let status: stat

    /// Its kind: one of `S_IFDIR`, `S_IFREG`, `S_IFLNK` and so on.
    public var kind: mode_t { status.st_mode & S_IFMT }
    /// Whether it is a folder; a link to one is not.
    public var isFolder: Bool { kind == S_IFDIR }
    /// Its path relative to the start of the walk, with malformed UTF-8 repaired. It may be longer than the kernel
    /// accepts.
    public var path: String { String(decoding: prefix + name, as: UTF8.self) }

    /// Calls `body` with the name as a C string.
    public func withName<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        name.withCName(body)
    }
}

/// A visitor's choice of the next step.
public enum TreeStep: Sendable {
    /// Continue, and enter this entry if it is a folder.
    case enter
    /// Continue without entering this entry.
    case skip
    /// End the walk.
    case stop
}

/// An entry that a walk could not read.
public struct TreeObstacle: Sendable, Equatable {
    /// The reason.
    public enum Reason: Sendable, Equatable {
        /// The system call failed with this `errno`.
        case system(Int32)
        /// The folder was moved while the walk was below it, so `..` no longer leads to it.
        case moved
        /// Another file system is mounted there, and the walk is restricted to one.
        case mounted
        /// The walk has reached its limit on names, and ends.
        case tooMany
    }

    /// The path relative to the start of the walk, with malformed UTF-8 repaired.
    public var path: String
    /// The reason.
    public var reason: Reason

    /// Whether the entry was only removed meanwhile.
    public var isGone: Bool { reason == .system(ENOENT) }

    /// The reason as text.
    public var explanation: String {
        switch reason {
        case .system(let number): String(cString: strerror(number))
        case .moved: "it was moved while it was read"
        case .mounted: "another file system is mounted there"
        case .tooMany: "too many files"
        }
    }
}

/// The receiver of a walk's entries.
public protocol TreeVisitor {
    /// The error that ends the walk.
    associatedtype WalkError: Error

    /// Called once for each folder, with its names in the file system's order. Names that are removed from the list are
    /// not visited.
    ///
    /// - Parameter prefix: The folder's path relative to the start of the walk, with a slash at its end; empty at the
    ///   top.
    mutating func select(_ names: inout [[UInt8]], in prefix: [UInt8]) throws(WalkError)
    /// Called with each entry, a folder before its contents.
    mutating func visit(_ entry: TreeEntry) throws(WalkError) -> TreeStep
    /// Called with each folder that was entered, after its contents. The status is the one from before the contents.
    mutating func leave(_ entry: TreeEntry) throws(WalkError)
    /// Called with an entry that could not be read, and is skipped.
    mutating func meet(_ obstacle: TreeObstacle) throws(WalkError)
}

extension TreeVisitor {
    /// Visits all names.
    public mutating func select(_ names: inout [[UInt8]], in prefix: [UInt8]) throws(WalkError) {}
    /// Does nothing.
    public mutating func leave(_ entry: TreeEntry) throws(WalkError) {}
}

/// Walks a tree of folders through descriptors: no path is resolved twice, no link is followed, and neither the depth
/// of the tree nor a low limit on open files stops the walk.
///
/// At most `window` folders are open at once. A closed folder is opened again by `..`, whose device and inode must be
/// those of the folder that the walk came from: a process that moves folders or replaces them by links meanwhile cannot
/// lead the walk out of the tree. When they differ, the folder is searched for again from the top; if it is no longer
/// in its place, the walk continues above it and reports `TreeObstacle.Reason.moved` to the visitor.
public struct TreeWalker<Visitor: TreeVisitor> {
    /// The most folders open at once, within the process's limit; at least 2. A folder takes 32 KB while it is open
    /// (glibc's buffer of a directory stream).
    public var window = 24
    /// The most names of a walk. The names of one folder at a time are in memory, so this also bounds the memory.
    public var mostNames = Int.max
    /// Whether folders on other file systems than the first one are left out.
    public var staysOnFileSystem = false

    private struct Frame {
        /// -1 while the folder is closed.
        var descriptor: Int32
        /// Owns the descriptor unless it is nil.
        var stream: OpaquePointer?
        var device: dev_t
        var inode: ino_t
        var names: [[UInt8]]
        var next = 0
        /// The status read from the parent folder.
        var status: stat
        /// The length of `prefix` in the parent folder.
        var outerPrefix: Int

        var isDone: Bool { next == names.count }

        mutating func close() {
            if let stream { closedir(stream) } else if descriptor >= 0 { Glibc.close(descriptor) }
            stream = nil
            descriptor = -1
        }
    }

    /// The folders from the top to the current one. The first one and the last one are always open.
    private var frames: [Frame] = []
    /// The first folder after the top that is open; all after it are too.
    private var firstOpen = 1
    private var prefix: [UInt8] = []
    private var met = 0

    /// Creates a walker.
    public init() {}

    /// Visits `path`, which may be a file, a link or a folder, and everything below it. Paths that the visitor gets
    /// begin with the last component of `path`.
    ///
    /// Links in `path` except its last component are followed: they are the caller's.
    public mutating func walk(_ path: FilePath, _ visitor: inout Visitor) throws(Visitor.WalkError) {
        defer { closeAll() }
        guard let name = path.lastComponent, name.kind == .regular else {
            return try visitor.meet(TreeObstacle(path: path.string, reason: .system(EINVAL)))
        }
        let parent = path.removingLastComponent()
        let descriptor = (parent.isEmpty ? "." : parent).withPlatformString {
            open($0, O_PATH | O_DIRECTORY | O_CLOEXEC)
        }
        guard descriptor >= 0 else {
            return try visitor.meet(TreeObstacle(path: name.string, reason: .system(errno)))
        }
        let bytes = name.withPlatformString { start in (0..<strlen(start)).map { UInt8(bitPattern: start[$0]) } }
        frames = [
            Frame(descriptor: descriptor, device: 0, inode: 0, names: [bytes], status: stat(), outerPrefix: 0)
        ]
        try run(&visitor)
    }

    /// Visits everything in the folder `path` and below. Paths that the visitor gets are relative to it.
    ///
    /// - Parameter followsLink: Whether `path` may be a link to the folder.
    public mutating func walk(
        contentsOf path: FilePath, followsLink: Bool = false, _ visitor: inout Visitor
    ) throws(Visitor.WalkError) {
        defer { closeAll() }
        let descriptor = path.withPlatformString {
            open($0, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (followsLink ? 0 : O_NOFOLLOW))
        }
        guard descriptor >= 0 else { return try visitor.meet(TreeObstacle(path: "", reason: .system(errno))) }
        guard try push(descriptor, status: stat(), outerPrefix: 0, &visitor) else { return }
        try run(&visitor)
    }

    private mutating func closeAll() {
        for index in frames.indices { frames[index].close() }
        frames = []
        firstOpen = 1
        prefix = []
        met = 0
    }

    private mutating func run(_ visitor: inout Visitor) throws(Visitor.WalkError) {
        while let top = frames.indices.last {
            if frames[top].isDone {
                guard top > 0 else { return }
                try leave(&visitor)
                continue
            }
            let name = frames[top].names[frames[top].next]
            frames[top].next += 1
            var status = stat()
            let folder = frames[top].descriptor
            guard name.withCName({ fstatat(folder, $0, &status, AT_SYMLINK_NOFOLLOW) }) == 0 else {
                try visitor.meet(obstacle(name, .system(errno)))
                continue
            }
            switch try visitor.visit(TreeEntry(folder: folder, name: name, prefix: prefix, status: status)) {
            case .stop: return
            case .skip: continue
            case .enter:
                guard status.st_mode & S_IFMT == S_IFDIR else { continue }
                guard try enter(name, status, &visitor) else { return }
            }
        }
    }

    private func obstacle(_ name: [UInt8], _ reason: TreeObstacle.Reason) -> TreeObstacle {
        TreeObstacle(path: String(decoding: prefix + name, as: UTF8.self), reason: reason)
    }

    /// Opens a folder in the current one and makes it the current one.
    ///
    /// - Returns: Whether the walk continues.
    private mutating func enter(
        _ name: [UInt8], _ status: stat, _ visitor: inout Visitor
    ) throws(Visitor.WalkError) -> Bool {
        let folder = frames[frames.count - 1].descriptor
        var descriptor: Int32 = -1
        repeat {
            descriptor = name.withCName { openat(folder, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) }
        } while descriptor < 0 && (errno == EINTR || ((errno == EMFILE || errno == ENFILE) && closeOldest()))
        guard descriptor >= 0 else {
            try visitor.meet(obstacle(name, .system(errno)))
            return true
        }
        let outerPrefix = prefix.count
        prefix += name
        prefix.append(UInt8(ascii: "/"))
        return try push(descriptor, status: status, outerPrefix: outerPrefix, &visitor)
    }

    /// Reads the names in a folder and makes it the current one; takes ownership of its descriptor.
    private mutating func push(
        _ descriptor: Int32, status: stat, outerPrefix: Int, _ visitor: inout Visitor
    ) throws(Visitor.WalkError) -> Bool {
        var found = stat()
        func give(up reason: TreeObstacle.Reason) throws(Visitor.WalkError) {
            let path = String(decoding: prefix.dropLast(), as: UTF8.self)
            prefix.removeLast(prefix.count - outerPrefix)
            try visitor.meet(TreeObstacle(path: path, reason: reason))
        }
        guard fstat(descriptor, &found) == 0 else {
            let number = errno
            close(descriptor)
            try give(up: .system(number))
            return true
        }
        if staysOnFileSystem, let first = frames.dropFirst().first ?? frames.first, first.device != 0,
            first.device != found.st_dev
        {
            close(descriptor)
            try give(up: .mounted)
            return true
        }
        guard let stream = fdopendir(descriptor) else {
            let number = errno
            close(descriptor)
            try give(up: .system(number))
            return true
        }
        var frame = Frame(
            descriptor: descriptor, stream: stream, device: found.st_dev, inode: found.st_ino, names: [],
            status: status, outerPrefix: outerPrefix)
        while true {
            errno = 0
            guard let item = readdir(stream) else { break }
            let name = withUnsafePointer(to: &item.pointee.d_name) { tuple in
                let length = strlen(UnsafeRawPointer(tuple).assumingMemoryBound(to: CChar.self))
                return [UInt8](UnsafeRawBufferPointer(start: tuple, count: length))
            }
            if name == [0x2E] || name == [0x2E, 0x2E] { continue }
            met += 1
            guard met <= mostNames else {
                frame.close()
                try give(up: .tooMany)
                return false
            }
            frame.names.append(name)
        }
        guard errno == 0 else {
            let number = errno
            frame.close()
            try give(up: .system(number))
            return true
        }
        do {
            try visitor.select(&frame.names, in: prefix)
        } catch {
            frame.close()
            throw error
        }
        frames.append(frame)
        if frames.count - firstOpen >= max(window, 2) { _ = closeOldest() }
        return true
    }

    /// Closes the open folder that is needed last; false when only the top and the current one are open.
    private mutating func closeOldest() -> Bool {
        guard firstOpen < frames.count - 1 else { return false }
        frames[firstOpen].close()
        firstOpen += 1
        return true
    }

    /// Returns to the parent folder, or to its deepest ancestor that is still in its place.
    private mutating func leave(_ visitor: inout Visitor) throws(Visitor.WalkError) {
        var child = frames.removeLast()
        let parent = frames.count - 1
        prefix.removeLast(prefix.count - child.outerPrefix)
        let isBack = frames[parent].descriptor >= 0 || reopen(parent, from: child.descriptor)
        child.close()
        firstOpen = min(firstOpen, max(parent, 1))
        guard isBack else { return try findWay(&visitor) }
        let name = frames[parent].names[frames[parent].next - 1]
        try visitor.leave(
            TreeEntry(folder: frames[parent].descriptor, name: name, prefix: prefix, status: child.status))
    }

    /// Whether `descriptor` refers to the folder of a frame.
    private func isFolder(_ descriptor: Int32, of index: Int) -> Bool {
        var status = stat()
        return fstat(descriptor, &status) == 0 && status.st_dev == frames[index].device
            && status.st_ino == frames[index].inode
    }

    private mutating func reopen(_ index: Int, from child: Int32) -> Bool {
        // Its names have been read already, so it need not be readable.
        let descriptor = openat(child, "..", O_PATH | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        guard isFolder(descriptor, of: index) else {
            close(descriptor)
            return false
        }
        frames[index].descriptor = descriptor
        return true
    }

    /// Searches for the current folder by its names from the top, and continues from the deepest one that is in its
    /// place.
    private mutating func findWay(_ visitor: inout Visitor) throws(Visitor.WalkError) {
        var present = 0
        var moved = false
        while present + 1 < frames.count {
            let name = frames[present].names[frames[present].next - 1]
            let folder = frames[present].descriptor
            let next = name.withCName { openat(folder, $0, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) }
            guard next >= 0, isFolder(next, of: present + 1) else {
                if next >= 0 { close(next) }
                moved = true
                break
            }
            if present > 0 { frames[present].close() }
            present += 1
            frames[present].descriptor = next
        }
        if moved {
            prefix.removeLast(prefix.count - frames[present + 1].outerPrefix)
            frames.removeLast(frames.count - present - 1)
        }
        firstOpen = max(present, 1)
        // When the current folder is in its place, the folder below it, whose entries have been visited, was moved.
        let name = frames[present].names[frames[present].next - 1]
        try visitor.meet(obstacle(name, .moved))
    }
}

extension [UInt8] {
    /// Calls `body` with these bytes as a C string.
    func withCName<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        var terminated = self
        terminated.append(0)
        return terminated.withUnsafeBytes { bytes in
            // The array holds a zero, so it has a base address; "" is only there for the compiler.
            guard let start = bytes.baseAddress else { return "".withCString(body) }
            return body(start.assumingMemoryBound(to: CChar.self))
        }
    }
}

/// `O_PATH` of open(2), a descriptor that refers to a file without opening it. glibc's header defines it only for C
/// with GNU extensions. The value is that of asm-generic/fcntl.h, which x86 uses.
let O_PATH: Int32 = 0o10_000_000
