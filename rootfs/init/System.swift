// SPDX-License-Identifier: Apache-2.0
import CInit

/// The C library's calls that PID 1 makes, with Swift types.
enum System {
    static func mount(_ source: String, _ target: String, type: String, options: String = "", flags: UInt = 0) -> Bool {
        CInit.mount(source, target, type, flags, options.isEmpty ? nil : options) == 0
    }

    /// Creates a folder and its parents, as far as possible.
    static func makeFolders(_ path: String) {
        guard access(path, F_OK) != 0 else { return }
        let bytes = Array(path.utf8)
        for index in bytes.indices.dropFirst() where bytes[index] == UInt8(ascii: "/") {
            mkdir(Array(bytes[..<index]).text(), 0o755)
        }
        mkdir(path, 0o755)
    }

    /// The contents of a file; nil when it cannot be read.
    static func read(_ path: String) -> [UInt8]? {
        let descriptor = kbuild_open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        while let chunk = readChunk(descriptor), !chunk.isEmpty { bytes += chunk }
        return bytes
    }

    /// The bytes that can be read now: empty at the end of the file, nil when there are none yet or the read failed.
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

    /// Whether a read would not block: there is data, or the other end is closed.
    static func isReadable(_ descriptor: Int32) -> Bool {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&waiting, 1, 0) > 0
    }

    /// Writes everything, in several calls if necessary; false when the other end is closed.
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

    /// Starts a program in its own session; nil, with errno set, when it cannot be started.
    ///
    /// - Parameter streams: Adds the actions that open the program's descriptors.
    static func spawn(
        _ program: Plan.Program, in folder: String, streams: (inout posix_spawn_file_actions_t) -> Void
    ) -> pid_t? {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        streams(&actions)
        posix_spawn_file_actions_addchdir_np(&actions, folder)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSID))

        var (arguments, environment) = Self.strings(of: program)
        var process: pid_t = 0
        let error = posix_spawn(&process, program.arguments[0], &actions, &attributes, &arguments, &environment)
        for string in arguments + environment { free(string) }
        posix_spawn_file_actions_destroy(&actions)
        posix_spawnattr_destroy(&attributes)
        guard error == 0 else {
            kbuild_set_errno(error)
            return nil
        }
        return process
    }

    /// Starts a program in /tmp and in its own namespaces; nil, with errno set, when that fails.
    ///
    /// - Parameters:
    ///   - streams: The program's descriptors 0 to 3; -1 skips a descriptor.
    ///   - account: The pipe to which the keeper of the namespaces writes how the program ended; see CInit.h.
    /// - Returns: The keeper.
    static func spawnApart(_ program: Plan.Program, streams: [Int32], account: Int32) -> pid_t? {
        var (arguments, environment) = Self.strings(of: program)
        let keeper = kbuild_spawn_apart(&arguments, &environment, streams, account)
        let error = kbuild_errno()
        for string in arguments + environment { free(string) }
        kbuild_set_errno(error)
        return keeper < 0 ? nil : keeper
    }

    /// A program's arguments and environment, to be freed.
    private static func strings(
        of program: Plan.Program
    ) -> (arguments: [UnsafeMutablePointer<CChar>?], environment: [UnsafeMutablePointer<CChar>?]) {
        // With two variables of one name some programs use the first, others the last.
        let defaults = [
            ("PATH=", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"), ("HOME=", "/root"), ("TERM=", "dumb"),
        ].filter { name, _ in !program.environment.contains { $0.hasPrefix(name) } }.map { $0 + $1 }
        return (
            program.arguments.map { strdup($0) } + [nil], (defaults + program.environment).map { strdup($0) } + [nil]
        )
    }

    /// The C library's text for the last error.
    static var lastError: String {
        strerror(kbuild_errno()).map { String(cString: $0) } ?? "error"
    }
}
