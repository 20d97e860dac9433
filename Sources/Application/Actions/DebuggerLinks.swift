// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Glibc
import SystemPackage

/// A folder in which an editor's debugger finds a guest that waits for it: paths in the cache change from run to run,
/// and an editor's configuration has constant ones.
public struct DebuggerLinks: Sendable {
    private static let vmlinux = "vmlinux"
    private static let socket = "socket"
    /// gdb's commands before it connects, and after.
    private static let setup = "setup.gdb"
    private static let breakpoints = "breakpoints.gdb"
    private static let names = [vmlinux, socket, setup, breakpoints]

    private let folder: FilePath

    /// Names the folder.
    public init(folder: FilePath) { self.folder = folder }

    /// Makes the links to a guest, in place of an earlier guest's.
    ///
    /// - Throws: `Failure` (`infrastructure`) when they cannot be made.
    public func place(_ target: DebugTarget) throws {
        try createFolder(folder)
        remove()
        for (name, path) in [Self.vmlinux: target.vmlinux, Self.socket: target.socket] {
            guard symlink(path.string, folder.appending(name).string) == 0 else {
                throw Failure(.infrastructure, "cannot make \(folder.appending(name))", details: errnoText())
            }
        }
        for (name, lines) in [Self.setup: target.setup, Self.breakpoints: target.breakpointCommands] {
            try writeAtomically(lines.map { $0 + "\n" }.joined(), to: folder.appending(name))
        }
    }

    /// Removes the links and the files beside them.
    public func remove() {
        for name in Self.names { unlink(folder.appending(name).string) }
    }
}
