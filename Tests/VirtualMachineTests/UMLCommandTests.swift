// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Glibc
import Processes
import SystemPackage
import Testing

@testable import VirtualMachine

@Suite("user-mode Linux's command line", .timeLimit(.minutes(30)))
struct UMLCommandTests {
    private func configuration(root: RootDevice = .disk("/store/a,b:c/image"), shares: [Share] = []) -> UMLConfiguration
    {
        UMLConfiguration(
            kernel: "/store/linux", memoryMegabytes: 96, root: root, shares: shares, kernelArguments: ["extra=1"])
    }

    @Test("the command is the kernel, with its serial lines on inherited sockets")
    func command() {
        let sockets = MachineSockets(folder: "/private")
        let command = configuration().command(folder: "/private", sockets: sockets)
        #expect(command.tool == "/store/linux")
        #expect(command.descriptors == ["/private/console", "/private/results"])
        for word in ["mem=96M", "con0=fd:3", "ssl0=fd:4", "kbuild.results=ttyS0", "kbuild.shares=hostfs", "noreboot"] {
            #expect(command.arguments.contains(word), "\(word)")
        }
        #expect(command.arguments.last == "extra=1")
    }

    @Test("a root's path is passed as a link, because a comma or a colon would end it")
    func root() {
        let sockets = MachineSockets(folder: "/private")
        let disk = configuration().command(folder: "/private", sockets: sockets).arguments
        #expect(disk.contains("ubd0r=/private/root"))
        #expect(disk.contains("root=/dev/ubda"))
        #expect(disk.contains("init=/init"))
        let archive = configuration(root: .initramfs("/store/x")).command(folder: "/private", sockets: sockets)
            .arguments
        #expect(archive.contains("initrd=/private/root"))
        #expect(archive.contains("rdinit=/init"))
        #expect(!archive.contains { $0.hasPrefix("ubd0") })
    }

    @Test("scratch disks are the block devices after the root's")
    func scratchDisks() {
        var configuration = configuration()
        configuration.scratchMegabytes = [300, 1]
        let arguments = configuration.command(folder: "/private", sockets: MachineSockets(folder: "/private")).arguments
        #expect(arguments.contains("ubd1=/private/disk0"))
        #expect(arguments.contains("ubd2=/private/disk1"))
    }

    @Test("the private folder gets a link to the root and one to each share, by its tag")
    func links() throws {
        var template = Array("/tmp/kbuild-uml-test-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let folder = FilePath(String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self))
        defer { try? removeAll(folder) }
        let share = Share(tag: "programs", path: "/runs/a b", isReadOnly: true)
        try configuration(shares: [share]).prepare(folder)
        func target(_ path: FilePath) -> String? {
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = buffer.withUnsafeMutableBytes { bytes in
                bytes.bindMemory(to: CChar.self).baseAddress.map { readlink(path.string, $0, bytes.count) } ?? -1
            }
            return count < 0 ? nil : String(decoding: buffer.prefix(count), as: UTF8.self)
        }
        #expect(target(folder.appending("root")) == "/store/a,b:c/image")
        #expect(target(folder.pushing("shares/programs")) == "/runs/a b")
    }

    @Test(
        "the process's end determines the guest's end",
        arguments: [
            (ProcessStatus.exited(85), MachineExit.finished), (.exited(0), .reset), (.signaled(SIGABRT), .panicked),
            (.signaled(SIGKILL), .failed(.signaled(SIGKILL), message: "words")),
            (.exited(1), .failed(.exited(1), message: "words")),
        ])
    func endings(status: ProcessStatus, exit: MachineExit) {
        #expect(UMLMachine.interpret(CommandResult(status: status, output: "", errors: "words")) == exit)
    }
}
