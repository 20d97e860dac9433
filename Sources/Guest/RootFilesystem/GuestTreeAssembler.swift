// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Processes
import SystemPackage

/// Converts a request to the list of all entries of the guest's root file system.
struct GuestTreeAssembler: Sendable {
    let store: ArtifactStore
    let runner: CommandRunner

    /// The path of init. An initramfs starts /init; a disk starts /sbin/init, which is a link to it.
    static let initPath = "/init"
    private static let diskInitPath = "/sbin/init"
    private static let busyboxPath = "/bin/busybox"
    private static let fstabPath = "/etc/fstab"

    /// The tree.
    ///
    /// - Throws: `Failure` (`usage`) when the definition contradicts itself, (`infrastructure`) when a file or a
    ///   tool is missing.
    func assemble(_ request: RootFilesystemRequest) async throws -> GuestTree {
        let definition = request.definition
        var tree = try request.base.map { try GuestTree(over: $0) } ?? GuestTree()
        for path in [Self.initPath, Self.diskInitPath, Self.fstabPath] where tree.base != nil {
            try tree.forgetBase(at: path)
        }
        // Links first, so that /bin/x is added to the target of /bin.
        for (path, target) in definition.links.sorted(by: { $0.key < $1.key }) {
            try tree.add(GuestEntry(kind: .link(target), mode: 0o777), at: path)
        }
        for (path, mode) in definition.folders.sorted(by: { $0.key < $1.key }) {
            try tree.add(GuestEntry(kind: .folder, mode: mode), at: path)
        }
        for (path, file) in definition.files.sorted(by: { $0.key < $1.key }) {
            try tree.add(try entry(for: file.source, mode: file.mode), at: path)
        }
        try addTexts(of: request, to: &tree)
        // The kernel opens PID 1's console here, before a devtmpfs can be mounted: mem(4), console(4).
        try tree.add(GuestEntry(kind: .characterDevice(major: 5, minor: 1), mode: 0o600), at: "/dev/console")
        try tree.add(GuestEntry(kind: .characterDevice(major: 1, minor: 3), mode: 0o666), at: "/dev/null")
        try addInit(of: request, to: &tree)
        if let busybox = definition.busybox {
            try await addBusybox(busybox, sandbox: request.busyboxSandbox, to: &tree)
        }
        var executables: [FilePath] = []
        for executable in request.coveredExecutables {
            if let script = try Script(executable) {
                try script.check(executable, in: tree)
            } else {
                executables.append(executable)
            }
        }
        if definition.includesSwiftRuntime {
            try await SwiftRuntime(store: store, runner: runner).install(
                in: &tree, coveringExecutables: executables)
        }
        guard tree.entry(at: Self.initPath) != nil else {
            throw Failure(
                .usage, "the root file system has no init",
                nextStep: "set init or busybox in the root file system's definition")
        }
        return tree
    }

    private func entry(for source: FilePath, mode: UInt32) throws(Failure) -> GuestEntry {
        let real = LibraryClosure.resolved(source)
        guard fileExists(real), !isFolder(real) else {
            throw Failure(.usage, "the root file system needs \(source), which is not a file")
        }
        return GuestEntry(kind: .file(.host(real)), mode: mode)
    }

    private func addTexts(of request: RootFilesystemRequest, to tree: inout GuestTree) throws {
        var texts = request.definition.texts
        if !request.shares.isEmpty {
            var fstab = texts[Self.fstabPath] ?? .init("")
            if !fstab.contents.isEmpty, !fstab.contents.hasSuffix("\n") { fstab.contents += "\n" }
            for share in request.shares {
                try tree.addFolder(share.target)
                fstab.contents += try Self.fstabLine(for: share)
            }
            texts[Self.fstabPath] = fstab
        }
        for (path, text) in texts.sorted(by: { $0.key < $1.key }) {
            try tree.add(GuestEntry(kind: .file(.bytes(Array(text.contents.utf8))), mode: text.mode), at: path)
        }
    }

    /// A line of fstab(5), with its newline. White space within a field is written in octal.
    static func fstabLine(for share: SharedFolder) throws(Failure) -> String {
        if let problem = GuestTree.problem(withPath: share.target) {
            throw Failure(.usage, "the share \(share.tag)'s guest path \(share.target) \(problem)")
        }
        let fields = [share.tag, share.target, "9p", share.options, "0", "0"].map { field in
            field.map { character in
                switch character {
                case " ": "\\040"
                case "\t": "\\011"
                case "\n": "\\012"
                case "\\": "\\134"
                default: String(character)
                }
            }.joined()
        }
        guard !share.tag.isEmpty, !share.options.isEmpty else {
            throw Failure(.usage, "the share at \(share.target) needs a mount tag and options")
        }
        return fields.joined(separator: " ") + "\n"
    }

    private func addInit(of request: RootFilesystemRequest, to tree: inout GuestTree) throws {
        if let program = request.initProgram ?? request.definition.initProgram {
            try tree.add(try entry(for: program, mode: 0o755), at: Self.initPath)
        } else if request.definition.busybox != nil {
            try tree.addIfAbsent(GuestEntry(kind: .link(Self.busyboxPath), mode: 0o777), at: Self.initPath)
        }
        try tree.addIfAbsent(GuestEntry(kind: .link(Self.initPath), mode: 0o777), at: Self.diskInitPath)
    }

    /// Installs busybox and a link for each of its applets, except where another entry exists already.
    private func addBusybox(_ busybox: FilePath, sandbox: Sandbox?, to tree: inout GuestTree) async throws {
        let program = try entry(for: busybox, mode: 0o755)
        guard try ELFFile(LibraryClosure.resolved(busybox)).interpreter == nil else {
            throw Failure(
                .usage, "\(busybox) is not statically linked, so it may not run in the guest",
                nextStep: "apt-get install busybox-static")
        }
        try tree.add(program, at: Self.busyboxPath)
        let list = try await store.remembered {
            var key = KeyBuilder(step: "busybox-applets", version: 1, trust: .trusted)
            key.add("busybox", try store.statCache.digest(of: LibraryClosure.resolved(busybox)))
            return key.key
        } make: {
            try await runner.confined(by: sandbox).output(of: Command(busybox.string, ["--list"]))
        }
        for applet in list.textLines() where applet != "busybox" {
            try tree.addIfAbsent(GuestEntry(kind: .link("busybox"), mode: 0o777), at: "/bin/\(applet)")
        }
    }
}
