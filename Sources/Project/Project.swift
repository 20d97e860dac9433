// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import KernelMake
import KernelSource
import RootFilesystem
import SystemPackage
import VirtualMachine

/// The complete and checked configuration of a run: kbuild.yaml with a profile and the command line's flags on top.
public struct Project: Sendable, Equatable {
    /// The kernel.
    public struct Kernel: Sendable, Equatable {
        /// The source, as `KernelSource` reads it.
        public var source: String
        /// The required SHA-256 of a tarball.
        public var sha256: String?
        /// Folders with patches or specs, or single patch files.
        public var patches: [FilePath]
        /// The base of the configuration on QEMU; user-mode Linux always starts from tinyconfig.
        public var base = Base.target("tinyconfig")
        /// Configuration fragments, applied in order.
        public var config: [Fragment]
        /// The fragments for user-mode Linux, in place of `config`.
        public var umlConfig: [Fragment]
        /// Options on top of the fragments, as lines of a fragment: `CONFIG_NAME=VALUE`.
        public var options: [String] = []
        /// The most jobs of make and SwiftPM; nil for the number of processors.
        public var jobs: Int?
        /// Whether the kernel is built with debug information.
        public var hasDebugInfo = false
        /// The lines of context at either end of a hunk that need not match.
        public var fuzz = 0
        /// The number of patches to apply, from the first; nil for all.
        public var patchLimit: Int?
    }

    /// The base of a configuration.
    public enum Base: Sendable, Equatable {
        /// A target of the kernel's makefiles.
        case target(String)
        /// The running kernel's configuration, without the modules that are not loaded.
        case localModules
        /// A complete configuration, such as a distribution's.
        case file(FilePath)

        /// The names of bases that are not files.
        public static let words = ["tinyconfig", "defconfig", "allnoconfig", "localmodconfig"]
    }

    /// A configuration fragment.
    public enum Fragment: Sendable, Hashable {
        /// A file.
        case file(FilePath)
        /// One of the kernel's fragments, by name: kernel/configs/NAME.config, or that of the architecture.
        case kernel(String)
        /// The options that a collection of selftests requires: tools/testing/selftests/NAME/config.
        case kselftest(String)
        /// One that comes with kbuild, by name, such as `suites`.
        case kbuild(String)

        /// What test suites from elsewhere expect of a guest.
        public static let suites = Fragment.kbuild("suites")

        /// Reads the name of a fragment that is not a file, as the project file and the command line have it:
        /// `kernel:NAME`, `kselftest:NAME` or `kbuild:NAME`, with or without `.config`.
        ///
        /// - Returns: nil for any other text, which is a path.
        public init?(named text: String) {
            guard let colon = text.firstIndex(of: ":") else { return nil }
            let rest = text[text.index(after: colon)...]
            let name = String(rest.hasSuffix(".config") ? rest.dropLast(".config".count) : rest)
            switch text[..<colon] {
            case "kernel": self = .kernel(name)
            case "kselftest": self = .kselftest(name)
            case "kbuild": self = .kbuild(name)
            default: return nil
            }
        }

        /// The file; nil for one with a name.
        public var file: FilePath? { if case .file(let path) = self { path } else { nil } }

        /// The name of a fragment that is not a file, in the project file; nil for a file.
        public var name: String? {
            switch self {
            case .file: nil
            case .kernel(let name): "kernel:\(name)"
            case .kselftest(let name): "kselftest:\(name)"
            case .kbuild(let name): "kbuild:\(name)"
            }
        }

        /// The possible paths in the kernel's tree, the likeliest first.
        public func paths(architecture: KernelArchitecture) -> [String] {
            switch self {
            case .file, .kbuild: []
            case .kernel(let name):
                ["kernel/configs/\(name).config"]
                    + (architecture == .um ? ["um", "x86"] : ["x86"]).map { "arch/\($0)/configs/\(name).config" }
            case .kselftest(let name): ["tools/testing/selftests/\(name)/config"]
            }
        }
    }

    /// The type of a root file system.
    public enum RootFilesystemType: String, Sendable, CaseIterable {
        /// An ext4 image.
        case disk
        /// A cpio archive.
        case initramfs
        /// An ext4 image of a Debian system, with all other files on top.
        case debian
        /// The host's root over 9p, with an overlay in the guest's memory for its writes.
        case host

        /// Whether it has a distribution's programs.
        package var hasDistribution: Bool { self == .debian || self == .host }
        /// Whether libguestfs makes an image of this type.
        package var isDisk: Bool { self == .disk || self == .debian }
    }

    /// The contents of a Debian system for the guest.
    public struct Debian: Sendable, Equatable {
        /// The suite; nil for the host's.
        public var suite: String?
        /// The packages to install in addition to the essential ones.
        public var packages: [String]
        /// The archive of the packages; nil for the host's.
        public var mirror: String?

        /// Packages that are useful in a course on system calls.
        public static let defaultPackages = ["gdb-minimal", "less", "procps", "strace"]
    }

    /// A folder that host and guest share.
    public struct SharedFolder: Sendable, Equatable {
        /// The path on the host.
        public var path: FilePath
        /// The path in the guest.
        public var target: String
        /// Whether the guest may write.
        public var isWritable: Bool
    }

    /// A disk after the root's.
    public enum Disk: Sendable, Equatable {
        /// An empty disk of this many MiB, new for each guest.
        case empty(megabytes: Int)
        /// A file of the host. A guest's writes are discarded when it ends, unless the file is writable.
        case file(FilePath, isWritable: Bool)

        /// The size of an empty disk in MiB; nil for a file.
        public var megabytes: Int? { if case .empty(let size) = self { size } else { nil } }
    }

    /// The guest's network.
    public struct Network: Sendable, Equatable {
        /// Whether the guest has QEMU's user network, in which the guest reaches the host's networks but cannot be
        /// reached.
        public var isUser = false
        /// The forwarded ports, by which the guest can be reached.
        public var forwards: [PortForward] = []
    }

    /// A folder with a kernel module that is built outside of the kernel's tree.
    public struct Module: Sendable, Hashable {
        /// The folder, with a Kbuild file or a Makefile that names objects in obj-m.
        public var path: FilePath
        /// The module's parameters, as `NAME=VALUE`.
        public var parameters: [String]

        /// The name by which tests ask for it.
        public var name: String { path.lastComponent?.string ?? path.string }
    }

    /// The requested board.
    public enum MachineChoice: String, Sendable, CaseIterable {
        /// Chosen by kbuild.
        case auto
        /// Q35.
        case q35
        /// 440FX.
        case pc
        /// The microvm board, without PCI and firmware.
        case microvm
        /// User-mode Linux: the kernel as a process of the host.
        case uml
    }

    /// The requested channel.
    public enum ResultsChoice: String, Sendable, CaseIterable {
        /// Chosen by kbuild.
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
        /// The channel for the guest's results.
        public var results: ResultsChoice
        /// Words added to the kernel's command line.
        public var kernelArguments: [String]
        /// Whether the memory of a guest that crashes or hangs is kept.
        public var keepsMemory = false
        /// The number of NUMA nodes that memory and CPUs are divided among.
        public var numaNodes = 1
        /// QEMU options, each with its value: `-device virtio-rng-pci`.
        public var emulatorOptions: [String] = []
    }

    /// The form of a program's results.
    public enum ResultsProtocol: String, Sendable, CaseIterable {
        /// The exit code.
        case exit
        /// KTAP or TAP on standard output.
        case ktap
        /// The Linux Test Project's form: lines with TPASS and TFAIL, and the bits of the exit code.
        case ltp
    }

    /// Something to run in the guest.
    public enum Test: Sendable, Equatable {
        /// The Swift Testing tests of a package, with filters in `swift test`'s form.
        case swift(package: FilePath, filter: String?, skip: String?, timeout: Int?)
        /// A collection of the kernel's own selftests: a folder of tools/testing/selftests.
        case kselftest(collection: String, timeout: Int?)
        /// The suites built into the kernel whose names match a shell pattern.
        case kunit(pattern: String, timeout: Int?)
        /// A program: a C file to compile, or an executable.
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
        /// The program's arguments.
        public var arguments: [String]
        /// The form of its results.
        public var resultsProtocol: ResultsProtocol
        /// The exit code that means skipped; nil when every code except 0 is a failure.
        public var skipCode: Int32?
        /// Its time limit in seconds; nil for the project's `timeouts.test`.
        public var timeout: Int?
        /// Whether a pattern selected it. Then the guest also has the other files of its folder, and PATH begins with
        /// that folder.
        public var hasCompanions = false
    }

    /// Limits, in seconds.
    public struct Timeouts: Sendable, Equatable {
        /// From QEMU's start to init's first frame.
        public var boot: Int
        /// Without output or a frame from the guest.
        public var silence: Int
        /// The limit for one test.
        public var test: Int
        /// The limit for everything in the guest.
        public var run: Int
    }

    /// What tests share.
    public enum Isolation: String, Sendable, CaseIterable {
        /// One guest: a test sees the changes of earlier tests.
        case none
        /// Nothing: each test runs in its own fresh guest.
        case test
    }

    /// The tree of the kernel's own tests.
    public enum TestsFrom: String, Sendable, CaseIterable {
        /// The kernel's source without the patches, so that the patches cannot change their own tests.
        case pristine
        /// The tree with the patches, whose author is then trusted to test them.
        case patched
    }

    /// The confinement of code that runs on the host.
    public enum SandboxChoice: String, Sendable, CaseIterable {
        /// Code from a foreign input is confined (`Provenance`), if the host supports it.
        case auto
        /// Always; a host without support is an error.
        case on
        /// Never.
        case off
    }

    /// The effect of a non-fatal kernel report on the run.
    public enum SplatPolicy: Sendable, Equatable {
        /// The run fails.
        case fail
        /// The report is shown.
        case warn
        /// The run fails, unless one of these entries matches the report. A fatal report always fails the run.
        case known([KnownSplat])
    }

    /// A kernel report that the project allows.
    public struct KnownSplat: Sendable, Equatable {
        /// A regular expression on the report's title.
        public var title: String
        /// The reason that it is expected.
        public var reason: String
    }

    /// The effect of a skipped test, or of a skipped case of a test, on the run.
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
    /// The type of the root file system.
    public var rootfsType: RootFilesystemType
    /// The definition of its contents.
    public var rootfsDefinition: FilePath
    /// The contents of a root file system of the type `debian`.
    public var debian: Debian
    /// Programs of the host to copy to the guest, by name or path.
    public var hostTools: [String] = []
    /// Whether a guest with the host's root sees keys, tokens and browsers' folders.
    public var showsSecrets = false
    /// The working directory of a shell or command in the guest; nil when kbuild chooses it.
    public var shellFolder: String?
    /// Folders that host and guest share.
    public var shares: [SharedFolder]
    /// The disks of each guest after the root's.
    public var disks: [Disk]
    /// The guest's network.
    public var network = Network()
    /// The virtual machine.
    public var machine: Machine
    /// The kernel modules outside of the kernel's tree.
    public var modules: [Module] = []
    /// The tests to run.
    public var tests: [Test]
    /// For each test the names of the modules that it asks for; nil for a test that names none, and has all of
    /// `modules`.
    var testModules: [[String]?] = []
    /// What tests share.
    public var isolation: Isolation
    /// The number of guests that run at once; nil when kbuild chooses it.
    public var guests: Int?
    /// The number of retries of a failed test.
    public var retries: Int
    /// Limits.
    public var timeouts: Timeouts
    /// Whether the first failure ends the run.
    public var failFast: Bool
    /// The effect of the compiler's warnings about the project's own C files.
    public var warnings = WarningPolicy.warn
    /// Whether sparse and checkpatch read the project's own C files.
    public var lint = false
    /// Whether the cost of each added call is counted, by test.
    public var profilesCalls = false
    /// Whether the tests continue after several guests with the same crash.
    public var keepsGoing = false
    /// The effect of splats.
    public var splats: SplatPolicy
    /// The effect of skipped tests.
    public var skips = SkipPolicy.warn
    /// The confinement of builds and machines.
    public var sandbox: SandboxChoice
    /// The tree of the kernel's own tests.
    public var testsFrom: TestsFrom
    /// The kernel's checkers that are enabled.
    public var checks: [Checker] = []
    /// Whether the command line sets the run's time limit. The user knows of the checkers, so that limit is not scaled.
    var hasRunLimitOfCommandLine = false
    /// The coverage settings; nil when no coverage is collected.
    public var coverage: CoverageSettings?
    /// The kernel tree of kbuild's own project for it; nil for a user's project.
    public internal(set) var kernelTree: FilePath?
    /// The files of a commit of the kernel tree, used as the kernel's source; nil when the tree itself is the source.
    public internal(set) var commitTree: FilePath?
    /// The patches that are not applied, because kbuild does not build the kernel.
    public internal(set) var absentPatches: [FilePath] = []
    /// Whether it is kbuild's own project, for a kernel tree or for patches without one.
    public internal(set) var isStandIn = false

    /// The effect of the compiler's warnings about the project's own C files.
    public enum WarningPolicy: String, Sendable {
        /// The warnings are shown.
        case warn
        /// The warnings fail the build.
        case fail
    }

    /// The kernel that kbuild boots and does not build; nil for a source.
    package var prebuiltKernel: PrebuiltKernel? {
        guard
            case .prebuilt(let kernel)? = try? KernelSource(
                parsing: kernel.source, sha256: kernel.sha256, relativeTo: folder)
        else { return nil }
        return kernel
    }

    /// The kernel's target.
    public var architecture: KernelArchitecture { machine.type == .uml ? .um : .x86_64 }
    /// Whether tests are built from the kernel's tree.
    package var hasKselftests: Bool {
        tests.contains { if case .kselftest = $0 { true } else { false } }
    }
    /// The configuration fragments for the target.
    public var fragments: [Fragment] { architecture == .um ? kernel.umlConfig : kernel.config }
    /// The base below the fragments.
    public var configBase: Base { architecture == .um ? .target("tinyconfig") : kernel.base }
    /// The files of the configuration: fragments, and the base if it is a file.
    public var configFragments: [FilePath] {
        var files = fragments.compactMap(\.file)
        if case .file(let path) = configBase { files.insert(path, at: 0) }
        return files
    }

    /// The modules that a guest has while a test runs, by their names.
    ///
    /// - Parameter index: The test's place among `tests`.
    package func moduleNames(ofTest index: Int) -> [String] {
        (testModules.indices.contains(index) ? testModules[index] : nil) ?? modules.map(\.name)
    }

    /// Whether a test names a module, which then may be one of the kernel's own.
    package var namesModules: Bool { testModules.contains { $0?.isEmpty == false } }

    /// The project with another test in place of its own.
    package func replacingTests(by test: Test) -> Project {
        var project = self
        (project.tests, project.testModules) = ([test], [])
        return project
    }

    /// The project with some of its tests.
    ///
    /// - Parameter isWanted: Chooses a test.
    package func keepingTests(_ isWanted: (Test) -> Bool) -> Project {
        var project = self
        let wanted = tests.indices.filter { isWanted(tests[$0]) }
        project.tests = wanted.map { tests[$0] }
        project.testModules = wanted.map { testModules.indices.contains($0) ? testModules[$0] : nil }
        return project
    }

    /// The project with another folder as its kernel's source, a commit of its history, with the same provenance.
    package func building(_ tree: FilePath) -> Project {
        var project = self
        project.kernel.source = tree.string
        project.kernel.sha256 = nil
        project.commitTree = tree
        return project
    }

    /// The folder of the project file, to which its paths are relative.
    public var folder: FilePath { file.removingLastComponent() }
    /// The user's folder: the project's folder, or the kernel tree.
    public var place: FilePath { kernelTree ?? folder }
    /// Whether the run only checks that the kernel boots without a report.
    package var onlyBoots: Bool {
        guard isStandIn, tests.count == 1, case .program(let program) = tests[0] else { return false }
        return program.name == KernelTree.bootTest
    }
}

/// A flag of the command line that overrides a key of the project file, or adds an entry to a list.
public struct ProjectOverride: Sendable, Equatable {
    /// The effect of a flag on its key.
    public enum Value: Sendable, Equatable {
        /// A value that replaces the file's.
        case scalar(String)
        /// A further entry of a list.
        case entry(String)
        /// A further entry of a list, as a map of keys.
        case fields([String: String])
        /// Words appended to the file's text.
        case words(String)
    }

    /// The key, with dots between levels: `machine.accel`.
    public var key: String
    /// The value, in the file's form.
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

    /// The flag that builds a kernel tree in place; `Project.load` adds the tree's path.
    public static let inTree = ProjectOverride(
        key: "kernel.source", value: PrebuiltKernel.inTreePrefix, flag: "--in-tree")

    /// The flag with the tree of the project, if it is `inTree`.
    ///
    /// - Throws: `Failure` (`usage`) when the project is not kbuild's own for a tree.
    func naming(tree: FilePath?) throws(Failure) -> ProjectOverride {
        guard self == .inTree else { return self }
        guard let tree else {
            throw Failure(
                .usage, "--in-tree goes with a kernel tree that has no \(Project.fileName)",
                nextStep: "leave it out, or go to a kernel tree")
        }
        return ProjectOverride(key: key, value: PrebuiltKernel.inTreePrefix + tree.string, flag: flag)
    }
}
