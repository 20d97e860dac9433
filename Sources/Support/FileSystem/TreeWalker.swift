// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// Something that a walk has found.
public struct TreeEntry {
    /// The descriptor of the folder that holds it, open while the visitor is called. `unlinkat`, `fchownat` and their
    /// like on it and `name` act on this very folder, wherever it has been moved meanwhile.
    public let folder: Int32
    /// Its name, as bytes: a file's name may be no UTF-8.
    public let name: [UInt8]
    /// The path of the folder that holds it, relative to where the walk began, with a slash at its end; empty at the
    /// top.
    public let prefix: [UInt8]
    /// What `fstatat` says of it, links not followed.
    public let status: stat

    /// Its kind: one of `S_IFDIR`, `S_IFREG`, `S_IFLNK` and so on.
    public var kind: mode_t { status.st_mode & S_IFMT }
    /// Whether it is a folder; a link to one is not.
    public var isFolder: Bool { kind == S_IFDIR }
    /// Its path relative to where the walk began, malformed UTF-8 repaired. It may be longer than the kernel takes.
    public var path: String { String(decoding: prefix + name, as: UTF8.self) }

    /// Calls `body` with the name as a C string.
    public func withName<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        name.withCName(body)
    }
}

/// What a visitor wants next.
public enum TreeStep: Sendable {
    /// Walk on, and into this entry if it is a folder.
    case enter
    /// Walk on, not into this entry.
    case skip
    /// End the walk.
    case stop
}

/// What a walk could not look at.
public struct TreeObstacle: Sendable, Equatable {
    /// Why.
    public enum Reason: Sendable, Equatable {
        /// The system call failed with this `errno`.
        case system(Int32)
        /// The folder was moved away while the walk was below it, so that the way back does not lead to it.
        case moved
        /// Another file system is mounted there, and the visitor wants to stay on one.
        case mounted
        /// The walk has met as many names as it may; it ends.
        case tooMany
    }

    /// The path relative to where the walk began, malformed UTF-8 repaired.
    public var path: String
    /// Why.
    public var reason: Reason

    /// Whether it is merely not there any more.
    public var isGone: Bool { reason == .system(ENOENT) }

    /// The reason in words.
    public var explanation: String {
        switch reason {
        case .system(let number): String(cString: strerror(number))
        case .moved: "it was moved while it was being looked at"
        case .mounted: "another file system is mounted there"
        case .tooMany: "too many files"
        }
    }
}

/// What is done with each entry of a walk.
public protocol TreeVisitor {
    /// What ends the walk.
    associatedtype WalkError: Error

    /// Called once a folder, with the names in it in the file system's order. Names that are taken out are not visited.
    ///
    /// - Parameter prefix: The folder's path relative to where the walk began, with a slash at its end; empty at the
    ///   top.
    mutating func select(_ names: inout [[UInt8]], in prefix: [UInt8]) throws(WalkError)
    /// Called with each entry, a folder before what is in it.
    mutating func visit(_ entry: TreeEntry) throws(WalkError) -> TreeStep
    /// Called with each folder that was entered, after all that is in it. The status is that of before.
    mutating func leave(_ entry: TreeEntry) throws(WalkError)
    /// Called with what could not be looked at, which is then left out.
    mutating func meet(_ obstacle: TreeObstacle) throws(WalkError)
}

extension TreeVisitor {
    /// Visits all names.
    public mutating func select(_ names: inout [[UInt8]], in prefix: [UInt8]) throws(WalkError) {}
    /// Does nothing.
    public mutating func leave(_ entry: TreeEntry) throws(WalkError) {}
}

/// Walks a tree of folders through descriptors: no path is looked up twice, no link is followed, and neither the depth
/// of the tree nor a low limit on open files ends it.
///
/// At most `window` folders are open at once. The way back to one that was closed is `..`, and it counts only if it
/// leads to the folder that the walk came from, by device and inode: a process that moves folders, or puts links in
/// their place, while they are walked cannot lead the walk out of the tree. When it does not, the folder is looked for
/// again from the top; if it is not in its place, the walk goes on above it and the visitor is told
/// (`TreeObstacle.Reason.moved`).
public struct TreeWalker<Visitor: TreeVisitor> {
    /// How many folders are open at once, where the process may open that many; at least 2. A folder takes 32 KB while
    /// it is open (glibc's buffer of a directory stream).
    public var window = 24
    /// The most names that are met. They are held in memory a folder at a time, so that this bounds that too.
    public var mostNames = Int.max
    /// Whether folders on other file systems than the first one are left out.
    public var staysOnFileSystem = false

    private struct Frame {
        /// -1 while it is closed.
        var descriptor: Int32
        /// Owns the descriptor where it is not nil.
        var stream: OpaquePointer?
        var device: dev_t
        var inode: ino_t
        var names: [[UInt8]]
        var next = 0
        /// What the folder above said of it.
        var status: stat
        /// The length of `prefix` for what is in the folder above.
        var outerPrefix: Int

        var isDone: Bool { next == names.count }

        mutating func close() {
            if let stream { closedir(stream) } else if descriptor >= 0 { Glibc.close(descriptor) }
            stream = nil
            descriptor = -1
        }
    }

    /// The folders from the top to where the walk is. The first one and the last one are always open.
    private var frames: [Frame] = []
    /// The first folder after the top that is open; all after it are too.
    private var firstOpen = 1
    private var prefix: [UInt8] = []
    private var met = 0

    /// Creates a walker.
    public init() {}

    /// Visits what `path` names, be it a file, a link or a folder, and all below. Paths that the visitor gets begin
    /// with the last component of `path`.
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

    /// Visits all that is in the folder `path`, and below. Paths that the visitor gets are relative to it.
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

    /// Opens a folder in the present one and makes it the present one.
    ///
    /// - Returns: Whether the walk goes on.
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

    /// Reads the names in a folder and makes it the present one; owns its descriptor from here on.
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

    /// Closes the open folder that is needed last; false when only the top and the present one are open.
    private mutating func closeOldest() -> Bool {
        guard firstOpen < frames.count - 1 else { return false }
        frames[firstOpen].close()
        firstOpen += 1
        return true
    }

    /// Goes back to the folder above, which the walk came from, or to the deepest above that which is in its place.
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

    /// Whether `descriptor` is the folder of a frame.
    private func isFolder(_ descriptor: Int32, of index: Int) -> Bool {
        var status = stat()
        return fstat(descriptor, &status) == 0 && status.st_dev == frames[index].device
            && status.st_ino == frames[index].inode
    }

    private mutating func reopen(_ index: Int, from child: Int32) -> Bool {
        // What is in it has been read already, so that it need not be readable.
        let descriptor = openat(child, "..", O_PATH | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        guard isFolder(descriptor, of: index) else {
            close(descriptor)
            return false
        }
        frames[index].descriptor = descriptor
        return true
    }

    /// Looks for the present folder by its names from the top, and goes on from the deepest one that is in its place.
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
        // Where the present folder is in its place, it is the one below, whose entries have been walked, that went
        // away.
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
            // An array that holds a zero is not empty, so it has a base address; "" stands in for the compiler.
            guard let start = bytes.baseAddress else { return "".withCString(body) }
            return body(start.assumingMemoryBound(to: CChar.self))
        }
    }
}

/// `O_PATH` of open(2), a descriptor that names a file without opening it; glibc's header has it for C with GNU
/// extensions alone. The value is that of asm-generic/fcntl.h, which x86 uses.
let O_PATH: Int32 = 0o10_000_000
