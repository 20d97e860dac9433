// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import KernelBuild
import KernelConfig
import KernelSource
import PatchedTree
import Processes
import Project
import Reporting
import RootFilesystem
import Syscalls
import SystemPackage

/// A kernel that exists, or that make has built in the user's tree, ready to boot.
struct PrebuiltKernelArtifact: Sendable {
    var kernel: PrebuiltKernel
    var files: PrebuiltKernelFiles
    /// The ELF file with symbols, which need not exist.
    var vmlinux: FilePath
    /// The digest of the image.
    var identity: Digest
    /// The modules that a guest loads before it does anything else.
    var modules: BootModules

    /// The kernel as the other steps have it.
    var built: BuiltKernel {
        BuiltKernel(image: files.image, vmlinux: vmlinux, config: files.config, version: files.release)
    }
}

/// The modules that a guest of a prebuilt kernel loads first, because a distribution builds as modules what kbuild
/// builds in.
struct BootModules: Sendable, Hashable {
    /// The folder of a kernel's modules; nil for a kernel without any.
    var folder: FilePath?
    /// The modules' paths, relative to the folder, each after what it needs.
    var paths: [String] = []
    /// The kernel's release; nil for a kernel without modules.
    var release: String? { folder?.lastComponent?.string }
    /// The mount tag of the folder with all modules.
    static let tag = "modules"
    /// The folder where modprobe looks for them; nil for a kernel without modules.
    var searchFolder: String? { release.map { "/lib/modules/\($0)" } }
    /// The names of modules that the kernel has neither as a file nor built in.
    var missing: Set<String> = []

    /// The results port.
    private static let results = ["virtio_pci", "virtio_console"]
    /// The disk with the test programs, which is a FAT file system.
    private static let programs = ["virtio_blk", "vfat", "nls_cp437", "nls_ascii", "nls_utf8"]
    /// The user's folders, and the host's root.
    private static let shares = ["9pnet_virtio", "9p"]
    /// Programs of a project may use them.
    private static let usual = ["overlay", "loop", "virtio_rng"]
    private static let network = ["virtio_net"]

    /// Whether the guest can mount folders of the host.
    var hasShares: Bool { !Self.shares.contains(where: missing.contains) }
    /// Whether the guest can have an overlay on the host's root.
    var hasOverlay: Bool { !missing.contains("overlay") }
    /// Whether the guest can mount the test programs' folder as any guest of kbuild does. Else it has them on a disk,
    /// because a distribution's kernel may lack 9p.
    var hasBuiltInShares = false
    /// Those without which kbuild cannot run a test.
    var obstacles: [String] {
        (Self.results + (hasBuiltInShares ? [] : ["virtio_blk", "vfat"])).filter(missing.contains)
    }

    init() {}

    /// Chooses the modules of a kernel.
    init(_ files: PrebuiltKernelFiles) throws {
        let index = try files.modules.map { try ModuleIndex(folder: $0) } ?? ModuleIndex(builtIn: files.builtIn)
        self.init(folder: files.modules, index: index)
    }

    init(folder: FilePath?, index: ModuleIndex) {
        let wanted = Self.results + Self.programs + Self.shares + Self.usual + Self.network
        self.folder = folder
        paths = index.loadOrder(of: wanted)
        missing = Set(wanted.filter { !index.has($0) })
        hasBuiltInShares = Self.shares.allSatisfy(index.isBuiltIn)
    }

    /// The folder of the modules in the guest.
    static let guestFolder = "/lib/modules/boot"
    /// The file of the archive with the paths for init to load, in this order.
    static let list = "/etc/kbuild-modules"

    /// The names of the modules' files in the guest, which are decompressed.
    private func guestName(_ path: String) -> String {
        let name = path.split(separator: "/").last.map(String.init) ?? path
        guard let end = name.firstRange(of: ".ko") else { return name }
        return String(name[..<end.upperBound])
    }

    /// The lines of init's list.
    var listText: String { paths.map { "\(Self.guestFolder)/\(guestName($0))\n" }.joined() }

    /// Adds the modules, and their list, to a root file system.
    ///
    /// - Parameter decompressed: The folder with the files of compressed modules, by their names in the guest.
    func add(to definition: inout RootFilesystemDefinition, decompressed: FilePath?) {
        guard let folder else { return }
        for path in paths {
            let file = folder.pushing(FilePath(path))
            let isPlain = path.hasSuffix(".ko")
            definition.files["\(Self.guestFolder)/\(guestName(path))"] = .init(
                source: isPlain ? file : decompressed?.appending(guestName(path)) ?? file, mode: 0o644)
        }
        definition.texts[Self.list] = .init(listText)
    }

    /// Decompresses the compressed modules.
    ///
    /// - Returns: The folder with the results; nil when no module is compressed.
    /// - Throws: `Failure` (`infrastructure`) when one cannot be read.
    func decompressed(_ tools: ToolContext) async throws -> FilePath? {
        guard let folder else { return nil }
        let compressed = paths.filter { !$0.hasSuffix(".ko") }
        guard !compressed.isEmpty else { return nil }
        @Sendable func key() throws -> ArtifactKey {
            var key = KeyBuilder(step: "boot-modules", version: 1, trust: .trusted)
            for path in compressed { key.add(path, try tools.statCache.digest(of: folder.pushing(FilePath(path)))) }
            return key.key
        }
        if let artifact = tools.store.lookup(try key()) { return artifact.folder }
        return try await tools.store.publish(key: key) { target in
            for path in compressed {
                let bytes = try decompressedBytes(of: folder.pushing(FilePath(path)))
                try writeAtomically(bytes, to: target.appending(guestName(path)))
            }
        }.folder
    }

    /// The most bytes of a module.
    private static let largest = 64 << 20

    private func decompressedBytes(of file: FilePath) throws -> [UInt8] {
        let input = try FileDescriptor.open(file, .readOnly, options: .closeOnExec)
        defer { try? input.close() }
        guard let format = CompressionFormat(head: try readBytes(file).prefix(16)) else {
            throw Failure(.infrastructure, "\(file) is compressed by a tool that kbuild does not know")
        }
        var bytes: [UInt8] = []
        try Decompressor(name: file.string, code: .infrastructure, limit: Self.largest).expand(input, format) {
            bytes += $0
        }
        return bytes
    }
}

/// The steps of a kernel that kbuild neither patches nor configures, in place of those from its source to its image.
struct PrebuiltKernelSteps: Sendable {
    let context: ProjectContext
    let kernel: PrebuiltKernel

    private var tools: ToolContext { context.tools }
    private var project: Project { context.project }

    /// Finds the kernel, unpacks its package, or builds it in the user's tree.
    ///
    /// The step throws `Failure`: `usage` for tests that need the kernel's source, `infrastructure` when the kernel is
    /// missing, or lacks what a guest needs, `build` when it does not build.
    func source() -> Step<PrebuiltKernelArtifact> {
        Step(.source) { _ in
            try checkTests()
            switch kernel {
            case .installed(let image, let release):
                let artifact = try artifact(try PrebuiltKernelFiles(image: image, release: release))
                return .found(artifact, key: artifact.identity, detail(artifact))
            case .package(let path):
                guard fileExists(path) else { throw Failure(.infrastructure, "there is no package \(path)") }
                if let unpacked = tools.store.lookup(try key(path)) {
                    let artifact = try artifact(try PrebuiltKernelFiles(unpackedIn: unpacked.folder, package: path))
                    return .found(artifact, key: artifact.identity, detail(artifact))
                }
                return Work(
                    detail: "\(kernel)",
                    forecast: {
                        Forecast(
                            actions: [try RunPlan.Action(unpacking(path, to: Self.shownFolder), by: tools.runner)]
                                + [.remark("depmod indexes its modules")])
                    },
                    perform: { _ in
                        let unpacked = try await unpack(path)
                        let artifact = try artifact(
                            try PrebuiltKernelFiles(unpackedIn: unpacked.folder, package: path))
                        return Performed(result: artifact, outcome: .made, detail: detail(artifact))
                    })
            case .inTree(let tree):
                let build = try inTreeBuild(of: tree)
                return Work(
                    detail: "\(kernel)",
                    forecast: {
                        let install = build.hasModules ? [build.installation(below: Self.shownFolder)] : []
                        let commands = [build.command] + install
                        return Forecast(actions: try commands.map { try RunPlan.Action($0, by: tools.runner) })
                    },
                    perform: { progress in
                        let artifact = try await artifact(of: build, progress)
                        return Performed(
                            result: artifact, outcome: .made, detail: "\(tree), Linux \(artifact.files.release)")
                    })
            }
        }
    }

    // MARK: The user's tree

    /// Brings the kernel up to date, and keeps the files that a guest needs: a later make changes them in the tree.
    private func artifact(of build: InTreeBuild, _ progress: ProgressSink) async throws -> PrebuiltKernelArtifact {
        let lock = "in-tree-\(Digest.of(build.tree.string).short)"
        return try await FileLock.withLock(lock, in: tools.layout, progress: progress) {
            // Only make knows whether anything is to be done.
            try await build.run(by: tools.runner, progress, log: context.buildLog)
            let built = try PrebuiltKernelFiles(builtIn: build.tree)
            let vmlinux = build.tree.appending("vmlinux")
            let inputs = [built.image, built.config, vmlinux] + (try build.modules())
            @Sendable func key() throws -> ArtifactKey {
                var key = KeyBuilder(step: "in-tree-kernel", version: 1, trust: .trusted)
                for file in inputs { key.add(file.string, try tools.statCache.digest(of: file)) }
                return key.key
            }
            let kept =
                if let earlier = tools.store.lookup(try key()) {
                    earlier
                } else {
                    try await tools.store.publish(key: key) { folder in
                        try copyFile(built.image, to: folder.appending("image"))
                        try copyFile(built.config, to: folder.appending("config"))
                        try copyFile(vmlinux, to: folder.appending("vmlinux"))
                        if build.hasModules { try await install(build, release: built.release, in: folder) }
                    }
                }
            var files = built
            (files.image, files.config) = (kept.path("image"), kept.path("config"))
            if build.hasModules { files.takeModules(below: kept.folder) }
            return try artifact(files, vmlinux: kept.path("vmlinux"))
        }
    }

    /// Installs the modules in a folder of the store.
    private func install(_ build: InTreeBuild, release: String, in folder: FilePath) async throws {
        _ = try await tools.runner.output(of: build.installation(below: folder))
        // Links to the tree.
        let modules = PrebuiltKernelFiles.modulesFolder(of: release, below: folder)
        for name in ["build", "source"] { try removeAll(modules.appending(name)) }
    }

    /// The build of the tree that the user stands in. Another tree's makefiles would run unconfined.
    private func inTreeBuild(of tree: FilePath) throws -> InTreeBuild {
        guard tree == project.kernelTree else {
            throw Failure(
                .usage, "\(kernel) is not the kernel tree of this project",
                nextStep: "go to \(tree) and give --in-tree there")
        }
        guard project.sandbox != .on else {
            throw Failure(
                .usage, "--in-tree runs make in \(tree), where a sandbox cannot confine it",
                nextStep: "leave out --sandbox on, or --in-tree")
        }
        return try InTreeBuild(tree: tree, jobs: context.jobs, environment: context.environment)
    }

    /// The folder's name in a dry run's command.
    private static let shownFolder = FilePath("DIR")

    private func detail(_ artifact: PrebuiltKernelArtifact) -> String {
        "\(kernel), Linux \(artifact.files.release), not built by kbuild"
    }

    /// What a guest needs before a module can be loaded: its archive, the console, and the programs' form.
    private static let neededOptions = ["BLK_DEV_INITRD", "SERIAL_8250_CONSOLE", "DEVTMPFS", "BINFMT_ELF"]

    /// - Parameter vmlinux: The ELF file; nil for that of Debian's package with debug information.
    private func artifact(_ files: PrebuiltKernelFiles, vmlinux: FilePath? = nil) throws -> PrebuiltKernelArtifact {
        let modules = try BootModules(files)
        guard modules.obstacles.isEmpty else {
            throw Failure(
                .infrastructure,
                "the kernel \(files.release) has no \(modules.obstacles.joined(separator: ", ")), built in or as a module",
                details: kernel.isInTree || files.modules != nil
                    ? nil : "there are no modules of it in /lib/modules/\(files.release)",
                nextStep: kernel.isInTree
                    ? "leave out --in-tree: kbuild then adds the options to a configuration of its own"
                    : "install its modules, or name another kernel")
        }
        let config = ConfigFile(parsing: try readText(files.config)).values
        let missing = Self.neededOptions.filter { config[$0] != .yes }
        guard missing.isEmpty else {
            throw Failure(
                .infrastructure,
                "the kernel \(files.release) is built without \(missing.map { "CONFIG_\($0)" }.joined(separator: ", "))",
                nextStep: kernel.isInTree
                    ? "set it in the tree's .config, or leave out --in-tree: kbuild then adds it to a configuration of its own"
                    : "name another kernel")
        }
        if project.rootfsType == .host, !modules.hasShares || !modules.hasOverlay {
            throw Failure(
                .usage,
                "the kernel \(files.release) has no \(modules.hasShares ? "overlay file system" : "9p"), by which a guest "
                    + "has the host's root", nextStep: "leave out --rootfs host")
        }
        return PrebuiltKernelArtifact(
            kernel: kernel, files: files,
            vmlinux: vmlinux ?? FilePath("/usr/lib/debug/boot/vmlinux-\(files.release)"),
            identity: try tools.statCache.digest(of: files.image), modules: modules)
    }

    /// Tests that come with the kernel's source, or are built into it, have no place in a kernel that exists.
    private func checkTests() throws {
        let names = project.tests.compactMap { test -> String? in
            switch test {
            case .kselftest(let collection, _): "kselftest:\(collection)"
            case .kunit: "kunit"
            case .swift, .program: nil
            }
        }
        guard names.isEmpty else {
            throw Failure(
                .usage,
                "\(names.joined(separator: ", ")) needs a kernel that kbuild builds from its source, and \(kernel) is not one",
                nextStep: kernel.isInTree ? "leave out --in-tree" : "name other tests: kbuild test PATTERN")
        }
    }

    // MARK: A package

    private func key(_ package: FilePath) throws -> ArtifactKey {
        var key = KeyBuilder(step: "kernel-package", version: 1, trust: .trusted)
        key.add("package", try tools.statCache.digest(of: package))
        return key.key
    }

    /// Owners and setuid bits of a package's files have no use here.
    private func unpacking(_ package: FilePath, to folder: FilePath) -> Command {
        let script =
            "dpkg-deb --fsys-tarfile \"$1\" | tar --extract --no-same-owner --no-same-permissions --directory \"$2\""
        return Command("sh", ["-c", script, "unpack", package.string, folder.string])
    }

    private func unpack(_ package: FilePath) async throws -> Artifact {
        try await tools.store.publish(key: { try key(package) }) { folder in
            _ = try tools.runner.locate("dpkg-deb")
            _ = try await tools.runner.output(of: unpacking(package, to: folder))
            let files = try PrebuiltKernelFiles(unpackedIn: folder, package: package)
            // Newer packages have the modules below /usr, to which /lib leads on an installed system.
            let usual = folder.pushing("lib/modules")
            let merged = folder.pushing("usr/lib/modules")
            if !isFolder(usual), isFolder(merged) {
                try createFolder(usual.removingLastComponent())
                guard rename(merged.string, usual.string) == 0 else {
                    throw Failure(.infrastructure, "cannot move \(merged)", details: errnoText())
                }
            }
            if isFolder(usual.appending(files.release)) {
                // An index is made when the package is installed, and is not in it.
                _ = try await tools.runner.output(
                    of: Command("depmod", ["--basedir", folder.string, files.release]))
            }
        }
    }

    // MARK: The kernel for other steps

    /// The number of calls that the kernel does not have: no kernel's table reaches so far, so they fail with ENOSYS.
    private static let absentNumber = 0x3FFF_FFFF

    /// What stands for a patched source: no patch is applied, and the project's calls have a number that no kernel has.
    func patched(_ artifact: PrebuiltKernelArtifact) -> PatchedKernelArtifact {
        var calls: [RegisteredSyscall] = []
        for path in project.absentPatches {
            guard let source = try? PatchSource.load(path) else { continue }
            calls += source.callNames.map { RegisteredSyscall(name: $0, number: Self.absentNumber, abi: .common) }
        }
        var key = KeyBuilder(step: "prebuilt-kernel", version: 1, trust: .trusted)
        key.add("image", artifact.identity)
        return PatchedKernelArtifact(
            pristine: .prebuilt(
                kernel, release: artifact.files.release, identity: artifact.identity,
                folder: artifact.files.image.removingLastComponent()),
            overlay: .unpatched(absentCalls: calls), request: .merge([]), key: key.key)
    }
}
