// SPDX-License-Identifier: Apache-2.0
import Processes
import SystemPackage

/// How make is run on a kernel tree: the same for configuring and for building, because kconfig asks the compiler what
/// it can do and make rebuilds all when the answer changes.
public struct KernelMake: Sendable, Hashable {
    /// The source tree, which make only reads.
    public var tree: FilePath
    /// The folder that everything is built in.
    public var output: FilePath
    /// What is built for.
    public var architecture: KernelArchitecture
    /// How many recipes run at once.
    public var jobs: Int
    /// Whether compilations go through ccache.
    public var usesCcache: Bool
    /// The C compiler.
    public var compiler: String
    /// Whether objects have debug information.
    public var hasDebugInfo = false
    /// Variables of the makefiles, `NAME=VALUE`.
    public var variables: [String] = []

    /// Describes a build.
    public init(
        tree: FilePath, output: FilePath, architecture: KernelArchitecture = .x86_64, jobs: Int = 1,
        usesCcache: Bool = false, compiler: String = "gcc"
    ) {
        self.tree = tree
        self.output = output
        self.architecture = architecture
        self.jobs = jobs
        self.usesCcache = usesCcache
        self.compiler = compiler
    }

    /// The make command for some targets, in an environment of its own.
    ///
    /// - Parameters:
    ///   - environment: kbuild's own environment, of which little is let through.
    ///   - makefile: A makefile that make is to read before the kernel's own ones.
    public func command(
        _ targets: [String], environment: [String: String], makefile: FilePath? = nil
    ) -> Command {
        let compiler = usesCcache ? "ccache \(self.compiler)" : self.compiler
        var passed = self.environment(from: environment)
        if let makefile { passed["MAKEFILES"] = makefile.string }
        let exported = passed.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        let make = [
            "make", "--directory=\(tree)", "--no-print-directory", "--jobs=\(jobs)",
            // One compiler's messages stay together.
            "--output-sync=target", "O=\(output)",
        ]
        let settings =
            architecture.makeVariables + ["CC=\(compiler)", "HOSTCC=\(compiler)"] + Self.reproducibility
            + self.variables
        return Command("env", ["-i"] + exported + make + settings + targets)
    }

    /// What the kernel would take from the clock and the machine, fixed: equal inputs give equal kernels, and
    /// utsversion.h does not change with every build (Documentation/kbuild/reproducible-builds.rst in the kernel).
    private static let reproducibility = [
        "KBUILD_BUILD_TIMESTAMP=Thu Jan 1 00:00:00 UTC 1970", "KBUILD_BUILD_USER=kbuild", "KBUILD_BUILD_HOST=kbuild",
        "KBUILD_BUILD_VERSION=1",
    ]

    /// make takes every variable of its environment for one of its own, and the kernel's makefiles read many (V, M, O,
    /// ARCH, KCFLAGS, LDFLAGS, src, obj ...), so only these are let through.
    private static let passed: Set<String> = [
        "HOME", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "TMPDIR", "USER", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
        "XDG_RUNTIME_DIR",
    ]

    private func environment(from inherited: [String: String]) -> [String: String] {
        var environment = inherited.filter { name, _ in
            Self.passed.contains(name) || (usesCcache && name.hasPrefix("CCACHE_"))
        }
        // The compiler's messages are read by kbuild, and the order of `ls` must not depend on the user.
        environment["LC_ALL"] = "C"
        if usesCcache {
            // Paths below the folder that holds both tree and output count as relative ones, and the working directory
            // does not count, so that all projects whose two folders lie alike share their hits. In debug information
            // it stands, and gdb looks there for the sources.
            if let base = commonFolder { environment["CCACHE_BASEDIR"] = base.string }
            if !hasDebugInfo { environment["CCACHE_NOHASHDIR"] = "1" }
        }
        return environment
    }

    /// The deepest folder that holds both the tree and the output; nil when that is the root.
    private var commonFolder: FilePath? {
        var common = FilePath("/")
        for (left, right) in zip(tree.components, output.components) {
            guard left == right else { break }
            common.append(left)
        }
        return common.components.isEmpty ? nil : common
    }
}
