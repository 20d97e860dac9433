// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import SystemPackage
import Testing

@testable import Application

/// The folder in which an editor's debugger finds a waiting guest.
@Suite("debugger links", .timeLimit(.minutes(30)))
struct DebuggerLinksTests {
    @Test(
        "the links lead to the guest of the last call, gdb's commands are beside them, and all are removed at the end")
    func links() throws {
        let folder = FilePath(NSTemporaryDirectory()).appending("kbuild-links-\(UUID().uuidString)")
        defer { try? removeAll(folder) }
        let links = DebuggerLinks(folder: folder.appending("debug"))
        for socket in ["/run/a", "/run/b"] as [FilePath] {
            var target = DebugTarget(
                socket: socket, vmlinux: "/cache/vmlinux", commands: "/cache/debug.gdb",
                breakpoints: ["__do_sys_a", "__do_sys_b"], console: "/cache/console.log", runner: CommandRunner())
            target.setup = ["set substitute-path /x /y"]
            try links.place(target)
            let place = folder.appending("debug")
            let manager = FileManager.default
            #expect(
                try manager.destinationOfSymbolicLink(atPath: place.appending("socket").string) == socket.string)
            #expect(
                try manager.destinationOfSymbolicLink(atPath: place.appending("vmlinux").string) == "/cache/vmlinux")
            #expect(try readText(place.appending("setup.gdb")) == "set substitute-path /x /y\n")
            #expect(try readText(place.appending("breakpoints.gdb")) == "hbreak __do_sys_a\nhbreak __do_sys_b\n")
        }
        links.remove()
        #expect(try namesInFolder(folder.appending("debug")) == [])
    }
}
