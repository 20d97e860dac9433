// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Foundation
import KernelConfig
import RootFilesystem
import SystemPackage
import TestSession
import Testing
import VirtualMachine

@testable import Application
@testable import Project

/// The host's root as a guest's root: the hidden files, the incompatible settings, and the refusal for untrusted code.
@Suite("The host's root", .timeLimit(.minutes(30)))
struct HostRootTests {
    private static let repository = FilePath(#filePath).removingLastComponent().removingLastComponent()
        .removingLastComponent()

    private func load(_ text: String) throws -> Project {
        try Project.load(text: text, file: "/p/kbuild.yaml", profile: nil, overrides: [])
    }

    @Test("a shared folder keeps the guest's modes and links for a plain user whose inputs are all the project's own")
    func sharedModes() throws {
        func keeps(_ text: String = "", foreign: Bool = false, user: UInt32 = 1000) throws -> Bool {
            let own = "kernel: {source: linux-source-6.1, patches: [kernel/a], config: [c]}\ntests: [{c: a.c}]\n"
            return ProjectContext.keepsModes(try load(own + text), hasForeignInput: foreign, user: user)
        }
        #expect(try keeps())
        #expect(try !keeps(user: 0))
        #expect(try !keeps(foreign: true))
        #expect(try !keeps("sandbox: on\n"))
        #expect(try keeps("rootfs: {type: host}\n", user: 0))
    }

    @Test("existing secrets are hidden, both folders and files, and links to them lead to the hidden ones")
    func secrets() throws {
        let home = FilePath(FileManager.default.temporaryDirectory.path).appending("home-\(UUID().uuidString)")
        defer { try? removeAll(home) }
        try createFolder(home.appending(".ssh"))
        try createFolder(home.pushing(".config/gh"))
        try createFolder(home.appending("elsewhere"))
        try writeAtomically("token", to: home.appending(".netrc"))
        try writeAtomically("mine", to: home.appending(".profile"))
        try FileManager.default.createSymbolicLink(
            atPath: home.appending(".aws").string, withDestinationPath: home.appending("elsewhere").string)
        let real = try #require(resolvedPath(home))
        let hidden = HostRoot.secrets(home: home.string)
        let own = hidden.filter { $0.starts(with: real) }.map { $0.removingPrefix(real) }
        #expect(Set(own) == [".ssh", ".config/gh", ".netrc", "elsewhere"])
        #expect(hidden.contains("/etc/shadow") == fileExists("/etc/shadow"))
        let text = HostRoot.definition(hiding: hidden).texts[HostRoot.hiddenList]?.contents ?? ""
        let lines = text.split { $0.isNewline }
        #expect(lines.count == hidden.count && lines.contains("d \(real)/.ssh") && lines.contains("f \(real)/.netrc"))
        #expect(HostRoot.definition(hiding: []).texts[HostRoot.hiddenList]?.contents == "")
    }

    @Test("every hidden name is documented")
    func documented() throws {
        let page = try readText(Self.repository.pushing("docs/SECURITY.md"))
        for name in HostRoot.secretsOfHomes + HostRoot.secretsOfSystem {
            #expect(page.contains("`\(name)`"), "docs/SECURITY.md does not name \(name)")
        }
    }

    @Test("the share is read-only, a writable folder keeps modes, and the machine is not saved")
    func machine() throws {
        let project = try load("rootfs: {type: host}\nshares: [{path: /a, target: /a}]\n")
        let shares = HostRoot.shares(of: project)
        #expect(shares.count == 1 && shares[0].isReadOnly && shares[0].path == "/")
        #expect(HostRoot.shares(of: try load("kernel: {}\n")).isEmpty)
        #expect(project.reachingDevice == "rootfs.type host")
        #expect(try DeviceOptions.fragments(for: project).flatMap(\.entries).contains { $0.name == "OVERLAY_FS" })
    }

    @Test("a command starts in its user's folder with the user's PATH and home, or in a given folder")
    func request() throws {
        let environment = ["PATH": "/opt/x:/bin", "HOME": "/home/u", "SSH_AUTH_SOCK": "/run/agent", "LANG": "C.UTF-8"]
        let plain = ShellRequest(command: ["true"], isTerminal: false)
        let host = HostRoot.prepare(
            plain, project: try load("rootfs: {type: host, directory: /work}\n"), environment: environment)
        #expect(host.directory == "/work" && host.path == "/opt/x:/bin")
        #expect(host.environment == ["HOME=/home/u", "LANG=C.UTF-8"])
        let folder = ShellFolder(syscalls: [], version: "6.12", programs: [], shares: [], request: host)
        #expect(folder.planned.environment.contains("PATH=/kbuild/programs/bin:/opt/x:/bin"))
        #expect(folder.script == "cd /work || exit 126\nexec true\n")
        // Another root has none of the host's folders.
        let other = HostRoot.prepare(plain, project: try load("kernel: {}\n"), environment: environment)
        #expect(other.path == nil && other.environment.isEmpty && other.directory == nil)
    }

    @Test(
        "incompatible settings are refused",
        arguments: [
            ("rootfs: {type: host, tools: [mkfs.ext4]}\n", "rootfs.tools goes with disk and initramfs"),
            (
                "kernel: {uml-config: [a]}\nmachine: {type: uml}\nrootfs: {type: host}\n",
                "rootfs.type host goes with QEMU"
            ),
        ])
    func refused(text: String, message: String) throws {
        let failure = #expect(throws: Failure.self) { try load(text) }
        #expect(failure?.code == .usage && failure?.message.contains(message) == true)
    }
}

extension FilePath {
    /// The path below `prefix`.
    fileprivate func removingPrefix(_ prefix: FilePath) -> String {
        var path = self
        _ = path.removePrefix(prefix)
        return path.string
    }
}
