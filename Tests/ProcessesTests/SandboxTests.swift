// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import FileSystem
import Foundation
import Glibc
import SystemPackage
import Testing

@testable import Processes

@Suite("Sandbox", .timeLimit(.minutes(30)))
struct SandboxTests {
    private func words(_ sandbox: Sandbox, _ command: Command = Command("make", ["all"])) -> [String] {
        sandbox.wrapping(command, executable: "/usr/bin/make", path: "/usr/bin:/bin").arguments
    }

    /// Whether `part` stands in `words` without anything between.
    private func has(_ words: [String], _ part: String...) -> Bool {
        words.indices.contains { words[$0...].starts(with: part) }
    }

    @Test("the command has its own namespaces, no capability, and cannot gain one")
    func namespaces() {
        let words = words(Sandbox())
        for option in [
            "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session",
        ] {
            #expect(words.contains(option))
        }
        #expect(has(words, "--cap-drop", "ALL"))
        // The filter comes behind the command's own descriptors, to the inner sandbox alone: the outer one needs
        // mounts.
        #expect(has(words, "--seccomp", "3"))
        let command = Command("make", descriptors: ["/a", "/b"])
        let wrapped = Sandbox(identity: 61_500, filter: .machine)
            .wrapping(command, executable: "/usr/bin/make", path: "/b")
        #expect(wrapped.descriptors == ["/a", "/b"])
        #expect(wrapped.systemCallFilter == .machine)
        #expect(wrapped.arguments.count { $0 == "--seccomp" } == 1)
        #expect(has(wrapped.arguments, "--seccomp", "5"))
        #expect(
            (wrapped.arguments.firstIndex(of: "--seccomp") ?? 0) > (wrapped.arguments.firstIndex(of: "setpriv") ?? .max)
        )
        #expect(has(words, "--proc", "/proc", "--dev", "/dev"))
        #expect(has(words, "--remount-ro", "/"))
        // What is not shared is not there: the host's network above all.
        #expect(!words.contains { $0.hasPrefix("--share") })
        #expect(words.suffix(3) == ["--", "/usr/bin/make", "all"])
    }

    @Test("it sees the system and the named folders, and writes only to the writable ones")
    func folders() {
        let words = words(Sandbox(readable: ["/p/tree", "/p/out/x"], writable: ["/p/out"]))
        #expect(has(words, "--ro-bind", "/p/tree", "/p/tree"))
        #expect(has(words, "--bind", "/p/out", "/p/out"))
        #expect(has(words, "--ro-bind-try", "/usr", "/usr"))
        let binds = words.indices.filter { words[$0] == "--bind" }
        #expect(binds.map { words[$0 + 1] } == ["/p/out"])
        // A folder is mounted before what lies in it, or it would hide that.
        let inner = words.firstIndex(of: "/p/out/x")
        let outer = words.firstIndex(of: "/p/out")
        #expect(inner.map { i in outer.map { $0 < i } ?? false } == true)
        // bubblewrap makes the folders above for their owner alone.
        #expect(has(words, "--perms", "0755", "--dir", "/p"))
        // A private /tmp comes first, or it would hide a folder in it.
        let temporary = Sandbox(writable: ["/tmp/kbuild-x"])
        let list = self.words(temporary)
        #expect(
            list.firstIndex(of: "--tmpfs").map { i in list.firstIndex(of: "/tmp/kbuild-x").map { i < $0 } ?? false }
                == true)
    }

    @Test("when kbuild runs as root, the command becomes another user between two sandboxes")
    func identity() throws {
        let plain = words(Sandbox())
        #expect(plain.count { $0 == "bwrap" } == 1)
        #expect(!plain.contains("setpriv"))
        let dropped = words(Sandbox(identity: 61_500))
        #expect(dropped.count { $0 == "bwrap" } == 2)
        #expect(has(dropped, "setpriv", "--reuid=61500", "--regid=61500", "--clear-groups", "--no-new-privs"))
        let drop = try #require(dropped.firstIndex(of: "setpriv"))
        #expect(!dropped[..<drop].contains("--unshare-user"))
        #expect(dropped[drop...].contains("--unshare-user"))
        #expect(Sandbox.identity(for: "a", user: 1000) == nil)
        let users = Set(["a", "b", "c"].compactMap { Sandbox.identity(for: $0, user: 0) })
        #expect(users.count == 3)
        #expect(users.allSatisfy { (61_184...65_519).contains($0) })
        #expect(Sandbox.identity(for: "a", user: 0) == Sandbox.identity(for: "a", user: 0))
    }

    @Test("limits are set only for the command, after bubblewrap has started it")
    func limits() throws {
        var sandbox = Sandbox()
        sandbox.limits = .init(cpuSeconds: 7, memoryBytes: 8, fileBytes: 9, processes: 10)
        let words = words(sandbox)
        #expect(has(words, "prlimit", "--cpu=7", "--as=8", "--fsize=9", "--nproc=10", "--core=0", "--"))
        let last = try #require(words.lastIndex(of: "bwrap"))
        #expect(try #require(words.firstIndex(of: "prlimit")) > last)
        sandbox.limits = .machine
        #expect(!self.words(sandbox).contains { $0.hasPrefix("--as=") })
    }

    @Test("only the command's own variables are passed, none of kbuild's environment")
    func environment() {
        let command = Command("make", environment: ["V": "1", "GONE": String?.none], workingDirectory: "/p")
        let wrapped = Sandbox(readable: ["/p"]).wrapping(command, executable: "/usr/bin/make", path: "/b")
        #expect(wrapped.tool == "env")
        #expect(wrapped.arguments.starts(with: ["-i", "HOME=/tmp", "LC_ALL=C.UTF-8", "PATH=/b", "V=1", "bwrap"]))
        #expect(wrapped.environment.isEmpty)
        #expect(has(wrapped.arguments, "--chdir", "/p"))
    }

    @Test(
        "for a tool outside of the system its installation folder is mounted",
        arguments: [
            ("/usr/bin/gcc", nil), ("/opt/swift/usr/bin/swift-build", "/opt/swift/usr"), ("/bin/sh", nil),
            ("/home/me/tool", "/home/me/tool"), ("/users/bin/x", "/users"),
        ] as [(String, String?)])
    func installations(tool: String, root: String?) {
        #expect(Sandbox.installation(of: FilePath(tool))?.string == root)
    }

    @Test(
        "a build may leave only files, folders and links within its folder",
        arguments: [
            ("ln -s /etc/hostname x", "a link to /etc/hostname"), ("ln -s nowhere x", "a link to nothing"),
            ("mkfifo x", "a device, pipe or socket"), ("touch x; chmod u+s x", "a setuid or setgid file"),
            ("mkdir -p a/b; ln -s ../../.. a/b/x", "a link to "),
        ])
    func inspection(script: String, refusal: String) async throws {
        let folder = FilePath(NSTemporaryDirectory()).appending("kbuild-sandbox-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(atPath: folder.string) }
        try SandboxFolder(folder).chown(to: nil)
        let harmless = "mkdir d; touch d/f; ln -s d/f l; ln -s \(folder)/d m"
        _ = try await CommandRunner().output(of: Command("sh", ["-c", harmless], workingDirectory: folder))
        try SandboxFolder(folder).inspect(allowing: [folder])
        #expect(SandboxFolder(folder).usage(upTo: 100).files == 5)
        _ = try await CommandRunner().output(of: Command("sh", ["-c", script], workingDirectory: folder))
        let failure = #expect(throws: Failure.self) { try SandboxFolder(folder).inspect(allowing: [folder]) }
        #expect(failure?.code == .build)
        #expect(failure?.message.contains(refusal) == true)
    }

    @Test("a command that fills its folder is ended")
    func quota() async throws {
        let folder = FilePath(NSTemporaryDirectory()).appending("kbuild-quota-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(atPath: folder.string) }
        try SandboxFolder(folder).chown(to: nil)
        let quota = FolderQuota(
            folders: [folder], bytes: 1 << 30, files: 50, code: .build, message: "too much", nextStep: nil)
        let failure = await #expect(throws: Failure.self) {
            let script = "i=0; while [ $i -lt 100 ]; do i=$((i + 1)); : > $i; done; sleep 600"
            _ = try await CommandRunner().limited(by: quota).capture(
                Command("sh", ["-c", script], workingDirectory: folder))
        }
        #expect(failure?.code == .build)
        #expect(failure?.details?.contains("50 files") == true)
    }

    @Test("files deeper than the longest path count for the quota, and are given to the sandbox's user and back")
    func deep() async throws {
        let folder = FilePath(NSTemporaryDirectory()).appending("kbuild-deep-\(UUID().uuidString)")
        try SandboxFolder(folder).chown(to: nil)
        // 6 MB in 1,500 nested folders: paths of 13 KB.
        try nest(1500, in: folder)
        func quota(bytes: Int) -> FolderQuota {
            FolderQuota(folders: [folder], bytes: bytes, files: 10_000, code: .build, message: "too much")
        }
        #expect(throws: Never.self) { try quota(bytes: 20 << 20).check() }
        let failure = #expect(throws: Failure.self) { try quota(bytes: 5 << 20).check() }
        #expect(failure?.details?.contains("3001 files") == true)
        if geteuid() == 0 {
            for user in [61_500, 0] as [UInt32] {
                try SandboxFolder(folder).chown(to: user)
                #expect(try owners(in: folder) == [user])
            }
        }
        try removeTree(folder)
    }

    @Test("an uncountable folder exceeds the quota")
    func obstacle() throws {
        let file = FilePath(NSTemporaryDirectory()).appending("kbuild-file-\(UUID().uuidString)")
        try Data("x".utf8).write(to: URL(fileURLWithPath: file.string))
        defer { try? removeTree(file) }
        // A folder "below" a file: ENOTDIR, which says nothing of how much is there.
        let quota = FolderQuota(
            folders: [file.appending("out")], bytes: 1 << 30, files: 100, code: .build, message: "too much")
        let failure = #expect(throws: Failure.self) { try quota.check() }
        #expect(failure?.details?.contains("cannot be counted") == true)
        // What is not there takes no room.
        let missing = FolderQuota(
            folders: [FilePath("/nonexistent-\(UUID().uuidString)")], bytes: 1, files: 1, code: .build,
            message: "too much")
        #expect(throws: Never.self) { try missing.check() }
    }

    private func nest(_ depth: Int, in folder: FilePath) throws {
        var descriptor = open(folder.string, O_RDONLY | O_DIRECTORY)
        defer { close(descriptor) }
        for _ in 0..<depth {
            try #require(mkdirat(descriptor, "a-folder", 0o755) == 0)
            let next = openat(descriptor, "a-folder", O_RDONLY | O_DIRECTORY)
            close(descriptor)
            descriptor = next
            try #require(mknodat(descriptor, "file", S_IFREG | 0o644, 0) == 0)
            let file = FileDescriptor(rawValue: openat(descriptor, "file", O_WRONLY))
            _ = try file.closeAfter { try file.writeAll([UInt8](repeating: 0x78, count: 4096)) }
        }
    }

    private func owners(in folder: FilePath) throws -> Set<UInt32> {
        struct Owners: TreeVisitor {
            var users: Set<UInt32> = []
            mutating func visit(_ entry: TreeEntry) -> TreeStep {
                users.insert(entry.status.st_uid)
                return .enter
            }
            mutating func meet(_ obstacle: TreeObstacle) { users.insert(.max) }
        }
        var owners = Owners()
        var walker = TreeWalker<Owners>()
        walker.walk(folder, &owners)
        return owners.users
    }
}
