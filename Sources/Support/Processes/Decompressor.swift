// SPDX-License-Identifier: Apache-2.0
import CDescriptors
import Diagnostics
import Glibc
import SystemPackage

/// A compression format that kbuild decompresses with Debian's tool for it.
public enum CompressionFormat: String, Sendable, CaseIterable {
    case gzip, xz, zstd, bzip2

    /// The magic bytes at the start of a file of this format.
    public var magic: [UInt8] {
        switch self {
        case .gzip: [0x1F, 0x8B]
        case .xz: [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00]
        case .zstd: [0x28, 0xB5, 0x2F, 0xFD]
        // "BZh", the block size, and the digits of pi, which begin each block.
        case .bzip2: [0x42, 0x5A, 0x68]
        }
    }

    /// The format by `head`, the first bytes of a file; nil for none of these formats.
    public init?(head: some Collection<UInt8>) {
        guard let format = Self.allCases.first(where: { head.starts(with: $0.magic) }) else { return nil }
        if format == .bzip2 {
            let block = Array(head.dropFirst(4).prefix(6))
            let isBlock =
                block == [0x31, 0x41, 0x59, 0x26, 0x53, 0x59] || block == [0x17, 0x72, 0x45, 0x38, 0x50, 0x90]
            guard isBlock else { return nil }
        }
        self = format
    }

    /// The Debian package with the tool.
    var package: String { self == .xz ? "xz-utils" : rawValue }

    /// The tool's arguments. They limit the memory; gzip and bzip2 have built-in limits.
    var arguments: [String] {
        switch self {
        case .gzip, .bzip2: ["-dc"]
        case .xz: ["-dc", "--memlimit-decompress=256MiB"]
        case .zstd: ["-dcq", "--memory=256MB"]
        }
    }
}

/// Runs a decompressor and passes on its output, within limits.
public struct Decompressor: Sendable {
    /// The file's name, for messages.
    public var name: String
    /// The exit status of failures.
    public var code: ExitStatus
    /// The most bytes of decompressed contents. A small file can decompress to more than any disk holds.
    public var limit: Int

    /// Creates a decompressor.
    public init(name: String, code: ExitStatus, limit: Int) {
        (self.name, self.code, self.limit) = (name, code, limit)
    }

    /// The milliseconds that a tool may stay silent. It only reads a file that exists already.
    private static let longestSilence: Int32 = 60_000

    /// Decompresses `input`, a file that is read from its current offset.
    ///
    /// - Throws: `Failure` with `code` for a damaged or too large file, `infrastructure` for a missing tool; and what
    ///   `body` throws.
    public func expand(
        _ input: FileDescriptor, _ format: CompressionFormat, _ body: (ArraySlice<UInt8>) throws -> Void
    ) throws {
        let errors = try temporaryFile()
        defer { close(errors) }
        var ends: [Int32] = [-1, -1]
        guard kbuild_pipe(&ends) == 0 else { throw unstarted(format, errno) }
        var writeEnd = ends[1]
        defer {
            close(ends[0])
            if writeEnd >= 0 { close(writeEnd) }
        }
        let process: pid_t
        do {
            process = try start(format, input: input.rawValue, output: writeEnd, errors: errors)
        } catch let error as Errno {
            throw unstarted(format, error.rawValue)
        }
        close(writeEnd)
        writeEnd = -1
        var isReaped = false
        defer {
            if !isReaped {
                kill(process, SIGKILL)
                _ = Self.wait(process)
            }
        }
        var total = 0
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            var event = pollfd(fd: ends[0], events: Int16(POLLIN), revents: 0)
            let ready = poll(&event, 1, Self.longestSilence)
            if ready < 0, errno == EINTR { continue }
            guard ready > 0 else {
                throw Failure(code, "\(name): \(format.rawValue) wrote nothing for 60 s, so it was stopped")
            }
            let count = read(ends[0], &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            total += count
            guard total <= limit else {
                throw Failure(
                    code, "\(name) holds more than \(limit >> 20) MB when decompressed",
                    nextStep: "decompress it by hand, and give the part that matters")
            }
            try body(buffer[..<count])
        }
        let status = Self.wait(process)
        isReaped = true
        // gzip and xz exit with 2 for a warning, such as zeros after the end.
        let isWarning = status == 2 << 8 && (format == .gzip || format == .xz)
        guard status == 0 || isWarning else {
            throw Failure(
                code, "\(name) is compressed by \(format.rawValue), and damaged or cut off",
                details: Self.text(of: errors), nextStep: "fetch the file again; `\(format.rawValue) -t` tests it")
        }
    }

    private func start(
        _ format: CompressionFormat, input: Int32, output: Int32, errors: Int32
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (from, to) in [(input, 0), (output, 1), (errors, 2)] as [(Int32, Int32)] {
            posix_spawn_file_actions_adddup2(&actions, from, to)
        }
        // XZ_OPT and similar variables could change the tool's options.
        let environment = ["LC_ALL=C", "PATH=/usr/local/bin:/usr/bin:/bin"]
        var process: pid_t = 0
        let status = Self.withCStrings([format.rawValue] + format.arguments) { arguments in
            Self.withCStrings(environment) { variables in
                posix_spawnp(&process, format.rawValue, &actions, nil, arguments, variables)
            }
        }
        guard status == 0 else { throw Errno(rawValue: status) }
        return process
    }

    private func unstarted(_ format: CompressionFormat, _ error: Int32) -> Failure {
        Failure(
            .infrastructure, "\(name) is compressed by \(format.rawValue), which could not be started",
            details: String(cString: strerror(error)), nextStep: "sudo apt-get install \(format.package)")
    }

    private func temporaryFile() throws -> Int32 {
        let file = kbuild_memory_file("kbuild-decompressor")
        guard file >= 0 else { throw Failure(.infrastructure, "no memory file: \(String(cString: strerror(errno)))") }
        return file
    }

    private static func text(of file: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 2000)
        let count = pread(file, &bytes, bytes.count, 0)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }

    private static func wait(_ process: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        return status
    }

    private static func withCStrings<Result>(
        _ texts: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let pointers: [UnsafeMutablePointer<CChar>?] = texts.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers)
    }
}
