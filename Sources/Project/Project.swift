// SPDX-License-Identifier: Apache-2.0
import KernelMake
import RootFilesystem
import SystemPackage
import VirtualMachine

/// What a run works from: kbuild.yaml with a profile and the command line's flags on top, checked and complete.
public struct Project: Sendable, Equatable {
    /// The kernel.
    public struct Kernel: Sendable, Equatable {
        /// The source, as `KernelSource` reads it.
        public var source: String
        /// What a tarball's SHA-256 must be.
        public var sha256: String?
        /// Folders with patches or specs, or single patch files.
        public var patches: [FilePath]
        /// What the configuration starts from on QEMU; user-mode Linux always starts from tinyconfig.
        public var base = Base.target("tinyconfig")
        /// Configuration fragments, applied in order.
        public var config: [Fragment]
        /// The fragments for user-mode Linux, in place of `config`.
        public var umlConfig: [Fragment]
        /// Options on top of the fragments, as lines of one: `CONFIG_NAME=VALUE`.
        public var options: [String] = []
        /// How many jobs make and SwiftPM may run; nil for the number of processors.
        public var jobs: Int?
        /// Whether it is built with debug information.
        public var hasDebugInfo = false
        /// The lines of context at either end of a hunk that need not agree.
        public var fuzz = 0
        /// How many patches are applied, from the first on; nil for all.
        public var patchLimit: Int?
    }

    /// What a configuration starts from.
    public enum Base: Sendable, Equatable {
        /// A target of the kernel's makefiles.
        case target(String)
        /// The running kernel's configuration, less the modules that are not loaded.
        case localModules
        /// A whole configuration, such as a distribution's.
        case file(FilePath)

        /// The words for bases that are not files.
        public static let words = ["tinyconfig", "defconfig", "allnoconfig", "localmodconfig"]
    }

    /// A configuration fragment.
    public enum Fragment: Sendable, Hashable {
        /// A file.
        case file(FilePath)
        /// One of the kernel's own, by name: kernel/configs/NAME.config, or that of the architecture.
        case kernel(String)
        /// The options that a collection of selftests wants: tools/testing/selftests/NAME/config.
        case kselftest(String)

        /// The file; nil for one of the kernel's tree.
        public var file: FilePath? { if case .file(let path) = self { path } else { nil } }

        /// What a fragment of the kernel's tree is called in the project file; nil for a file.
        public var name: String? {
            switch self {
            case .file: nil
            case .kernel(let name): "kernel:\(name)"
            case .kselftest(let name): "kselftest:\(name)"
            }
        }

        /// Where the kernel's tree may have it, the likeliest first.
        public func paths(architecture: KernelArchitecture) -> [String] {
            switch self {
            case .file: []
            case .kernel(let name):
                ["kernel/configs/\(name).config"]
                    + (architecture == .um ? ["um", "x86"] : ["x86"]).map { "arch/\($0)/configs/\(name).config" }
            case .kselftest(let name): ["tools/testing/selftests/\(name)/config"]
            }
        }
    }

    /// How the root file system is stored.
    public enum RootFilesystemType: String, Sendable, CaseIterable {
        /// An ext4 image.
        case disk
        /// A cpio archive.
        case initramfs
        /// An ext4 image of a Debian system, with all else laid over it.
        case debian
        /// The host's own, over 9p, with a layer in the guest's memory for what the guest writes.
        case host

        /// Whether libguestfs makes an image of it.
        package var isDisk: Bool { self == .disk || self == .debian }
    }

    /// What a Debian system for the guest is made of.
    public struct Debian: Sendable, Equatable {
        /// The suite; nil for the host's.
        public var suite: String?
        /// What is installed beside the essential packages.
        public var packages: [String]
        /// Where packages come from; nil for where the host's do.
        public var mirror: String?

        /// What a course on system calls wants at hand.
        public static let defaultPackages = ["gdb-minimal", "less", "procps", "strace"]
    }

    /// A folder that host and guest share.
    public struct SharedFolder: Sendable, Equatable {
        /// On the host.
        public var path: FilePath
        /// In the guest.
        public var target: String
        /// Whether the guest may write.
        public var isWritable: Bool
    }

    /// A disk behind the root's.
    public enum Disk: Sendable, Equatable {
        /// An empty one, new for each guest, of so many MiB.
        case empty(megabytes: Int)
        /// A file of the host. What a guest writes is gone with the guest, unless the file is writable.
        case file(FilePath, isWritable: Bool)

        /// The size of an empty disk in MiB; nil for a file.
        public var megabytes: Int? { if case .empty(let size) = self { size } else { nil } }
    }

    /// The guest's network.
    public struct Network: Sendable, Equatable {
        /// Whether the guest has QEMU's user network: it reaches what the host reaches, and nobody reaches the guest.
        public var isUser = false
        /// The exceptions to that.
        public var forwards: [PortForward] = []
    }

    /// The board that was asked for.
    public enum MachineChoice: String, Sendable, CaseIterable {
        /// kbuild's choice.
        case auto
        /// Q35.
        case q35
        /// 440FX.
        case pc
        /// Without PCI and firmware.
        case microvm
        /// User-mode Linux: the kernel as a process of the host.
        case uml
    }

    /// The channel that was asked for.
    public enum ResultsChoice: String, Sendable, CaseIterable {
        /// kbuild's choice.
        case auto
        /// A virtio port.
        case virtio
        /// Frames on the console.
        case serial
    }

    /// The virtual machine.
    public struct Machine: Sendable, Equatable {
        /// The board.
        public var type: MachineChoice
        /// The accelerator.
        public var accelerator: AcceleratorRequest
        /// Memory in MiB.
        public var memoryMegabytes: Int
        /// Virtual CPUs.
        public var cpus: Int
        /// How results leave the guest.
        public var results: ResultsChoice
        /// Words added to the kernel's command line.
        public var kernelArguments: [String]
        /// Whether the memory of a guest that crashes or hangs is kept.
        public var keepsMemory = false
        /// How many nodes memory and CPUs are divided among.
        public var numaNodes = 1
        /// Options of QEMU's, each with its value: `-device virtio-rng-pci`.
        public var emulatorOptions: [String] = []
    }

    /// How a program tells its results.
    public enum ResultsProtocol: String, Sendable, CaseIterable {
        /// By its exit code.
        case exit
        /// KTAP or TAP on standard output.
        case ktap
        /// As the Linux Test Project's tests do: lines with TPASS and TFAIL, and the bits of the exit code.
        case ltp
    }

    /// Something to run in the guest.
    public enum Test: Sendable, Equatable {
        /// The Swift Testing tests of a package, with filters as `swift test` takes them.
        case swift(package: FilePath, filter: String?, skip: String?, timeout: Int?)
        /// A collection of the kernel's own selftests: a folder of tools/testing/selftests.
        case kselftest(collection: String, timeout: Int?)
        /// The suites that are built into the kernel, those that match a pattern as shells have it.
        case kunit(pattern: String, timeout: Int?)
        /// A program: a C file to be compiled, or an executable.
        case program(ProgramTest)
    }

    /// A program to run in the guest.
    public struct ProgramTest: Sendable, Equatable {
        /// The C file or the executable.
        public var path: FilePath
        /// Whether it is a C file.
        public var isSource: Bool
        /// Whether a C file is compiled for i386 rather than for x86-64.
        public var is32Bit: Bool
        /// The name in reports.
        public var name: String
        /// Its arguments.
        public var arguments: [String]
        /// How it tells its results.
        public var resultsProtocol: ResultsProtocol
        /// The exit code by which it says that it skipped; nil when every code but 0 is a failure.
        public var skipCode: Int32?
        /// The most seconds that it may take; nil for the project's `timeouts.test`.
        public var timeout: Int?
        /// Whether it is one of those that a pattern named. The guest has the files of its folder beside it, and PATH
        /// begins with that folder.
        public var hasCompanions = false
    }

    /// Limits, in seconds.
    public struct Timeouts: Sendable, Equatable {
        /// From QEMU's start to init's first word.
        public var boot: Int
        /// Without a sign of life.
        public var silence: Int
        /// For one test.
        public var test: Int
        /// For everything in the guest.
        public var run: Int
    }

    /// What tests share.
    public enum Isolation: String, Sendable, CaseIterable {
        /// One guest: a test finds it as the tests before have left it.
        case none
        /// Nothing: each test has a guest of its own, fresh from its start.
        case test
    }

    /// Which tree the kernel's own tests come from.
    public enum TestsFrom: String, Sendable, CaseIterable {
        /// The kernel's source as it is without the patches, so that these decide nothing about their own tests.
        case pristine
        /// The tree with the patches, whose author is then trusted to test them.
        case patched
    }

    /// Whether code is confined when it runs on the host.
    public enum SandboxChoice: String, Sendable, CaseIterable {
        /// What a foreign input makes run (`Provenance`), where the host can.
        case auto
        /// Always; a host that cannot is an error.
        case on
        /// Never.
        case off
    }

    /// What a kernel report that is not fatal does to the run.
    public enum SplatPolicy: Sendable, Equatable {
        /// The run fails.
        case fail
        /// The report is shown.
        case warn
        /// The run fails, unless one of these entries names the report. One that is fatal always fails it.
        case known([KnownSplat])
    }

    /// A kernel report that the project expects.
    public struct KnownSplat: Sendable, Equatable {
        /// A regular expression on the report's title.
        public var title: String
        /// Why it is expected.
        public var reason: String
    }

    /// What a skipped test, or a skipped case of one, does to the run.
    public enum SkipPolicy: Sendable, Equatable {
        /// The skip is counted and shown.
        case warn
        /// The run fails.
        case fail
        /// The run fails, unless one of these regular expressions matches the test's name.
        case expected([String])
    }

    /// The project file.
    public var file: FilePath
    /// The profile in use.
    public var profile: String?
    /// The kernel.
    public var kernel: Kernel
    /// How the root file system is stored.
    public var rootfsType: RootFilesystemType
    /// What is in it.
    public var rootfsDefinition: FilePath
    /// What a root file system of the type `debian` is made of.
    public var debian: Debian
    /// Programs of the host that the guest gets, by name or path.
    public var hostTools: [String] = []
    /// Whether a guest with the host's root sees keys, tokens and browsers' folders.
    public var showsSecrets = false
    /// Where a shell, or a command in its place, begins in the guest; nil for kbuild's choice.
    public var shellFolder: String?
    /// Folders that host and guest share.
    public var shares: [SharedFolder]
    /// The disks of each guest behind the root's.
    public var disks: [Disk]
    /// The guest's network.
    public var network = Network()
    /// The virtual machine.
    public var machine: Machine
    /// What to run.
    public var tests: [Test]
    /// What tests share.
    public var isolation: Isolation
    /// How many guests run at once; nil for kbuild's choice.
    public var guests: Int?
    /// How often a test that fails is tried again.
    public var retries: Int
    /// Limits.
    public var timeouts: Timeouts
    /// Whether the first failure ends the run.
    public var failFast: Bool
    /// What the compiler's warnings about the project's own C files do.
    public var warnings = WarningPolicy.warn
    /// Whether the tests run on after several guests with the same crash.
    public var keepsGoing = false
    /// What splats do.
    public var splats: SplatPolicy
    /// What skipped tests do.
    public var skips = SkipPolicy.warn
    /// Whether builds and machines are confined.
    public var sandbox: SandboxChoice
    /// Which tree the kernel's own tests come from.
    public var testsFrom: TestsFrom
    /// The kernel's checkers that are turned on.
    public var checks: [Checker] = []
    /// Whether the command line says how long a run may take. It knows of the checkers, so that holds as it is.
    var hasRunLimitOfCommandLine = false
    /// What is asked of coverage; nil when none is collected.
    public var coverage: CoverageSettings?
    /// The kernel tree that this is kbuild's own project of; nil for a user's project.
    public internal(set) var kernelTree: FilePath?
    /// The files of a commit of the kernel tree's history, which are the kernel's source; nil where the tree itself is.
    public internal(set) var commitTree: FilePath?
    /// Whether it is kbuild's own project, for a kernel tree or for patches without one.
    public internal(set) var isStandIn = false

    /// What the compiler's warnings about the project's own C files do.
    public enum WarningPolicy: String, Sendable {
        /// They are shown.
        case warn
        /// They fail the build.
        case fail
    }

    /// What the kernel is built for.
    public var architecture: KernelArchitecture { machine.type == .uml ? .um : .x86_64 }
    /// Whether tests are built from the kernel's tree.
    package var hasKselftests: Bool {
        tests.contains { if case .kselftest = $0 { true } else { false } }
    }
    /// The configuration fragments for that.
    public var fragments: [Fragment] { architecture == .um ? kernel.umlConfig : kernel.config }
    /// What they go on top of.
    public var configBase: Base { architecture == .um ? .target("tinyconfig") : kernel.base }
    /// The files of the configuration: fragments, and a base that is one.
    public var configFragments: [FilePath] {
        var files = fragments.compactMap(\.file)
        if case .file(let path) = configBase { files.insert(path, at: 0) }
        return files
    }

    /// The project with another folder for its kernel's source, which is as much the user's as the one before: a commit
    /// of its history.
    package func building(_ tree: FilePath) -> Project {
        var project = self
        project.kernel.source = tree.string
        project.kernel.sha256 = nil
        project.commitTree = tree
        return project
    }

    /// The folder of the project file, to which its paths are relative.
    public var folder: FilePath { file.removingLastComponent() }
    /// Where the user stands: the project's folder, or the kernel tree.
    public var place: FilePath { kernelTree ?? folder }
    /// Whether the one thing to find out is whether the kernel boots and reports nothing.
    package var onlyBoots: Bool {
        guard isStandIn, tests.count == 1, case .program(let program) = tests[0] else { return false }
        return program.name == KernelTree.bootTest
    }
}

/// A flag of the command line that overrides a key of the project file, or adds an entry to a list.
public struct ProjectOverride: Sendable, Equatable {
    /// What a flag gives for its key.
    public enum Value: Sendable, Equatable {
        /// A value in place of the file's.
        case scalar(String)
        /// A further entry of a list.
        case entry(String)
        /// A further entry of a list, which is a map of keys.
        case fields([String: String])
        /// Words after those of the file's text.
        case words(String)
    }

    /// The key, with dots between levels: `machine.accel`.
    public var key: String
    /// The value, as it would stand in the file.
    public var value: Value
    /// The flag, for errors.
    public var flag: String

    /// Creates an override of a value.
    public init(key: String, value: String, flag: String) {
        self.init(key: key, .scalar(value), flag: flag)
    }

    /// Creates an override.
    public init(key: String, _ value: Value, flag: String) {
        self.key = key
        self.value = value
        self.flag = flag
    }
}
