// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Glibc
import SystemPackage

/// The confinement of a command that runs untrusted code: a kernel's makefiles after a stranger's patch, or a test's
/// build.
///
/// The command sees the system's programs and libraries and the folders named here, and nothing else of the host. It
/// has no network, no capabilities, no access to other processes, a private /tmp, limits, and a filter of system calls.
/// When kbuild runs as root, the command runs as a user that owns nothing else. bubblewrap sets all of this up, so this
/// type is a value whose argv can be tested.
public struct Sandbox: Sendable, Hashable {
    /// The user and group that the command runs as; nil for kbuild's own, the only choice without root.
    public var identity: UInt32?
    /// Files and folders that the command may read.
    public var readable: [FilePath]
    /// Folders that it may write to.
    public var writable: [FilePath]
    /// Device nodes that the command may open.
    public var devices: [FilePath]
    /// The command's limits.
    public var limits: Limits
    /// Whether only the command uses the writable folders: they are given to its user, and their contents are checked
    /// before kbuild reads them.
    public var ownsFolders: Bool
    /// The system calls that the command is refused.
    public var filter = SystemCallFilter.build

    /// Describes a sandbox.
    public init(
        identity: UInt32? = nil, readable: [FilePath] = [], writable: [FilePath] = [], devices: [FilePath] = [],
        limits: Limits = .build, ownsFolders: Bool = true, filter: SystemCallFilter = .build
    ) {
        self.identity = identity
        self.readable = readable
        self.writable = writable
        self.devices = devices
        self.limits = limits
        self.ownsFolders = ownsFolders
        self.filter = filter
    }

    /// The user that a command runs as when kbuild is root: one of systemd's range for DynamicUser, which no account
    /// has, and a different one for each `name`, so that they share no limits.
    public static func identity(for name: String, user: UInt32 = geteuid()) -> UInt32? {
        guard user == 0 else { return nil }
        // FNV-1a, because Swift's hash differs in every process.
        let hash = name.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
        return 61_184 + hash % 4_336
    }

    /// The files that every command sees: programs, libraries, and Debian's alternatives.
    static let system: [FilePath] = [
        "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/alternatives", "/etc/ld.so.cache",
    ]

    /// The folder with a tool and its libraries, when `system` does not contain it.
    ///
    /// - Parameter tool: The executable, links followed.
    public static func installation(of tool: FilePath) -> FilePath? {
        guard !system.contains(where: { tool.starts(with: $0) }) else { return nil }
        let folder = tool.removingLastComponent()
        let root = folder.removingLastComponent()
        let isInstalled = folder.lastComponent == "bin" && !root.components.isEmpty
        return isInstalled ? root : tool
    }

    // MARK: The command

    /// The mounts, in an order in which none hides an earlier one.
    private var mounts: [String] {
        var arguments: [String] = []
        var folders: Set<FilePath> = []
        /// bubblewrap creates the parent folders of a mount with permissions for their owner only, and the command runs
        /// as another user.
        func makeFolders(above path: FilePath) {
            var folder = FilePath("/")
            for component in path.removingLastComponent().components {
                folder.append(component)
                if folders.insert(folder).inserted { arguments += ["--perms", "0755", "--dir", folder.string] }
            }
        }
        arguments += ["--size", "\(4 << 30)", "--perms", "1777", "--tmpfs", "/tmp"]
        folders.insert("/tmp")
        for path in Self.system {
            makeFolders(above: path)
            arguments += ["--ro-bind-try", path.string, path.string]
        }
        let binds = Set(readable).subtracting(writable).map { ($0, "--ro-bind") } + Set(writable).map { ($0, "--bind") }
        // A folder comes before its contents.
        for (path, option) in binds.sorted(by: {
            ($0.0.components.count, $0.0.string) < ($1.0.components.count, $1.0.string)
        }) {
            makeFolders(above: path)
            arguments += [option, path.string, path.string]
        }
        return arguments
    }

    /// The command in the sandbox.
    ///
    /// bubblewrap needs no root where the kernel allows unprivileged user namespaces, but it must reach the folders,
    /// and the command's user cannot read root's folders. So root uses two of them: the outer one mounts the folders
    /// where that user can reach them, and the inner one is the same as without root.
    ///
    /// - Parameters:
    ///   - executable: The command's tool, located.
    ///   - path: The search path for tools.
    public func wrapping(_ command: Command, executable: FilePath, path: String) -> Command {
        var environment = ["HOME": "/tmp", "LC_ALL": "C.UTF-8", "PATH": path]
        for (name, value) in command.environment { environment[name] = value }
        // None of kbuild's own variables are passed on: they may hold a job's credentials.
        let variables = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        var words = ["-i"] + variables
        var filtered = Command("env", descriptors: command.descriptors, systemCallFilter: filter)
        if let identity {
            words += ["bwrap", "--die-with-parent"] + mounts
            words += ["--bind", "/proc", "/proc", "--dev-bind", "/dev", "/dev"]
            words += [
                "setpriv", "--reuid=\(identity)", "--regid=\(identity)", "--clear-groups", "--no-new-privs",
                "--inh-caps=-all", "--bounding-set=-all", "--pdeathsig=keep",
            ]
        }
        words += [
            "bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session",
            "--cap-drop", "ALL", "--hostname", "kbuild", "--seccomp", "\(filtered.systemCallFilterDescriptor)",
        ]
        words += mounts + ["--proc", "/proc", "--dev", "/dev", "--size", "\(4 << 30)", "--tmpfs", "/dev/shm"]
        for device in devices { words += ["--dev-bind", device.string, device.string] }
        words += ["--remount-ro", "/dev", "--remount-ro", "/"]
        words += ["--chdir", command.workingDirectory?.string ?? "/tmp"]
        // The kernel ends these first when memory runs out.
        words += ["choom", "--adjust=1000", "--", "prlimit"] + limits.arguments + ["--"]
        words += [executable.string] + command.arguments
        filtered.arguments = words
        return filtered
    }

    // MARK: Before and after

    /// Creates the writable folders, and gives them to the command's user.
    ///
    /// - Throws: `Failure` (`infrastructure`).
    func prepare() throws(Failure) {
        guard ownsFolders else { return }
        for folder in writable { try SandboxFolder(folder).chown(to: identity) }
    }

    /// Gives one of kbuild's folders, with its contents, to the command's user.
    ///
    /// - Throws: `Failure` (`infrastructure`).
    public func chown(_ folder: FilePath) throws(Failure) {
        try SandboxFolder(folder).chown(to: identity)
    }

    /// Takes a folder back from the command's user.
    ///
    /// - Throws: `Failure` (`infrastructure`).
    public func takeBack(_ folder: FilePath) throws(Failure) {
        if identity != nil { try SandboxFolder(folder).chown(to: geteuid()) }
    }

    /// Checks the files that the command left before kbuild reads them.
    ///
    /// - Throws: `Failure` (`build`) when a file could lead a reader out of the folder.
    public func inspect() throws(Failure) {
        guard ownsFolders else { return }
        for folder in writable { try SandboxFolder(folder).inspect(allowing: readable + writable + Self.system) }
    }

    /// The quota for the command's folders.
    var quota: FolderQuota? {
        guard ownsFolders, let bytes = limits.diskBytes else { return nil }
        return FolderQuota(
            folders: writable, bytes: bytes, files: limits.files, code: .build,
            message: "the sandbox was closed: its command filled the disk",
            nextStep: "look for a recipe that writes without an end")
    }

    /// The failure of a command that does not end.
    static let outOfTime = Failure(
        .timeout, "the sandbox was closed: its command did not end in time",
        nextStep: "look for a recipe or a test that waits forever")
}

extension Sandbox.Limits {
    /// The options of prlimit.
    var arguments: [String] {
        [
            cpuSeconds.map { "--cpu=\($0)" }, memoryBytes.map { "--as=\($0)" }, "--fsize=\(fileBytes)",
            "--nproc=\(processes)", "--core=0",
        ].compactMap { $0 }
    }
}
