// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Glibc
import Processes
import SystemPackage

/// The inputs of user-mode Linux's command line.
public struct UMLConfiguration: Sendable, Hashable {
    /// The kernel, an executable of the host.
    public var kernel: FilePath
    /// Guest memory in MiB.
    public var memoryMegabytes: Int
    /// The root file system.
    public var root: RootDevice
    /// The folders that the guest mounts by hostfs.
    public var shares: [Share]
    /// Words added to the end of the kernel's command line.
    public var kernelArguments: [String]
    /// The sizes in MiB of the scratch disks after the root's, empty at the machine's start and removed at its end.
    public var scratchMegabytes: [Int] = []

    /// Creates a configuration.
    public init(
        kernel: FilePath, memoryMegabytes: Int, root: RootDevice, shares: [Share], kernelArguments: [String] = []
    ) {
        self.kernel = kernel
        self.memoryMegabytes = memoryMegabytes
        self.root = root
        self.shares = shares
        self.kernelArguments = kernelArguments
    }

    /// The exit code of the process when the guest's init ends it: init writes it to /proc/exitcode.
    static let exitCodeOfInit = MachineConfiguration.exitCodeOfInit

    /// The names of the links in the machine's private folder: kernel arguments cannot contain every path.
    static let rootLink = "root"
    static let sharesFolder = "shares"
    /// The folder of the kernel's management socket; it contains a folder for each guest.
    static let managementFolder = "uml"
    /// The guest's name there.
    static let identity = "guest"

    /// The argument that distinguishes one guest's process from another's.
    static func managementArgument(in folder: FilePath) -> String { "uml_dir=\(folder.appending(managementFolder))" }

    /// The kernel with all its arguments.
    ///
    /// - Parameter folder: The machine's private folder, with the links that `prepare` made.
    public func command(folder: FilePath, sockets: MachineSockets) -> Command {
        let root = folder.appending(Self.rootLink)
        var arguments = ["mem=\(memoryMegabytes)M"]
        switch self.root {
        case .disk: arguments += ["ubd0r=\(root)", "root=/dev/ubda", "ro", "init=/init"]
        case .initramfs: arguments += ["initrd=\(root)", "rdinit=/init"]
        }
        // ubd0 is the root's, or unused with an initramfs.
        for index in scratchMegabytes.indices { arguments.append("ubd\(index + 1)=\(sockets.scratchDisk(index))") }
        arguments += [
            // The sockets below; no other device of the host is a line of the guest.
            "con0=fd:3", "ssl0=fd:4", "con=null", "ssl=null", "console=tty0",
            BootMessages.level, "panic=-1",
            // The host's random numbers; init would wait for the guest's own until the limit.
            "random.trust_cpu=on",
            // A guest that reboots would otherwise start itself again (arch/um/kernel/reboot.c).
            "noreboot",
            // The folder of the process's PID file and management socket: in HOME otherwise.
            Self.managementArgument(in: folder), "umid=\(Self.identity)",
            "hostfs=\(folder.appending(Self.sharesFolder))",
            "kbuild.results=ttyS0", "kbuild.shares=hostfs", "kbuild.exit=proc",
        ]
        return Command(
            kernel.string, arguments + kernelArguments, descriptors: [sockets.console, sockets.results])
    }

    /// Makes the links with which the guest's kernel finds its root and its shares.
    func prepare(_ folder: FilePath) throws {
        let root: FilePath =
            switch root {
            case .disk(let path), .initramfs(let path): path
            }
        let shares = folder.appending(Self.sharesFolder)
        try createFolder(shares)
        try createFolder(folder.appending(Self.managementFolder))
        let links = [(root, folder.appending(Self.rootLink))] + self.shares.map { ($0.path, shares.appending($0.tag)) }
        for (target, link) in links where symlink(target.string, link.string) != 0 {
            throw Failure(.infrastructure, "cannot make the link \(link)", details: String(cString: strerror(errno)))
        }
    }
}

/// A guest in user-mode Linux: the kernel as a process of the host.
public struct UMLMachine: BootingMachine {
    /// The kernel's configuration.
    public let configuration: UMLConfiguration
    private let runner: CommandRunner

    /// Creates a machine; nothing runs yet.
    public init(_ configuration: UMLConfiguration, runner: CommandRunner) {
        self.configuration = configuration
        self.runner = runner
    }

    /// The same machine with a word added to the kernel's command line, before the user's.
    public func adding(kernelArgument word: String) -> UMLMachine {
        var configuration = configuration
        // The user's words may end with `--` and words for another init.
        configuration.kernelArguments.insert(word, at: 0)
        return UMLMachine(configuration, runner: runner)
    }

    /// The kernel with all its arguments.
    public func command(in folder: FilePath) -> Command {
        configuration.command(folder: folder, sockets: MachineSockets(folder: folder))
    }

    /// Never: results have their own line.
    public var hasResultsOnConsole: Bool { false }

    /// Boots the guest and returns when its process has ended.
    public func run(_ handlers: MachineHandlers) async throws -> MachineExit {
        let result = try await runMachine(handlers, runner: runner) { links in
            let console = ManagementConsole(
                folder: links.folder.appending(UMLConfiguration.managementFolder)
                    .appending(UMLConfiguration.identity))
            if let inspector = handlers.inspector {
                let (kernel, folder) = (configuration.kernel, links.folder)
                try await console.watch(
                    inspector,
                    process: {
                        UMLProcess(kernel: kernel, marker: UMLConfiguration.managementArgument(in: folder))
                    }, links)
            }
        } command: { folder, sockets in
            try configuration.prepare(folder)
            try sockets.createScratchDisks(configuration.scratchMegabytes.map(Optional.some))
            return configuration.command(folder: folder, sockets: sockets)
        }
        return Self.interpret(result)
    }

    static func interpret(_ result: CommandResult) -> MachineExit {
        switch result.status {
        case .exited(UMLConfiguration.exitCodeOfInit): .finished
        case .exited(0): .reset
        // Its panic handler ends in abort (os_dump_core in arch/um/os-Linux/util.c).
        case .signaled(SIGABRT): .panicked
        default: .failed(result.status, message: result.errors + result.output)
        }
    }
}
