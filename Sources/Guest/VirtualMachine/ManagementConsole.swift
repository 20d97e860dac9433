// SPDX-License-Identifier: Apache-2.0
import Glibc
import SystemPackage

/// The management console of user-mode Linux: a datagram socket on which the kernel receives commands, in its interrupt
/// handler (Documentation/virt/uml/user_mode_linux_howto_v2.rst; arch/um/include/shared/mconsole.h).
struct ManagementConsole: Sendable {
    /// The guest's folder, in which its kernel makes the socket.
    let folder: FilePath

    /// `MCONSOLE_MAGIC`, `MCONSOLE_VERSION` and `MCONSOLE_MAX_DATA` of mconsole.h.
    private static let magic: UInt32 = 0xCAFE_BABE
    private static let version: UInt32 = 2
    private static let mostData = 512

    /// The letters of sysrq that make the kernel print the current task with its registers, and its memory. The list of
    /// tasks (t, w) reads the workers' names in a way that makes Linux 6.1 panic here (copy_from_kernel_nofault).
    private static let sysrqLetters = "pm"

    /// Answers an inspector's requests until the machine ends. The kernel's answers are on its console.
    ///
    /// - Parameters:
    ///   - process: Finds the kernel's process.
    ///   - links: The connections to the machine.
    /// - Throws: `CancellationError`.
    func watch(
        _ inspector: MachineInspector, process: () -> UMLProcess?, _ links: MachineLinks
    ) async throws {
        inspector.serve()
        for await request in inspector.requests {
            switch request {
            case .inspect(let reply):
                try await inspector.ask(Self.sysrqLetters.utf8) {
                    send("sysrq \(Character(UnicodeScalar($0)))")
                }
                reply.yield([])
                reply.finish()
            case .read(let ranges, let reply):
                reply.yield(process()?.read(ranges) ?? .unread("the process of user-mode Linux was not found"))
                reply.finish()
            case .answer(let bytes): links.sendToConsole(bytes)
            }
        }
        try Task.checkCancellation()
    }

    /// A command as the kernel reads it: magic, version, length, and the text in a field of fixed size.
    static func encode(_ command: String) -> [UInt8] {
        let text = Array(command.utf8.prefix(mostData - 1))
        let words = [magic, version, UInt32(text.count)].flatMap { word in
            withUnsafeBytes(of: word) { Array($0) }
        }
        return words + text + Array(repeating: 0, count: mostData - text.count)
    }

    /// Sends a command; false when there is no receiver. Its answer, which only confirms that it was carried out, is
    /// not read.
    private func send(_ command: String) -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = Array(folder.appending("mconsole").string.utf8)
        guard path.count < MemoryLayout.size(ofValue: address.sun_path) else { return false }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let bytes = Self.encode(command)
        let sent = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(
                    descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT), $0,
                    socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        return sent == bytes.count
    }
}
