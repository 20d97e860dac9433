// SPDX-License-Identifier: Apache-2.0
import Processes
import SystemPackage

/// How make runs on a kernel tree: the same for configuring and for building, because kconfig tests the compiler's
/// features and make rebuilds everything when the answer changes.
public struct KernelMake: Sendable, Hashable {
    /// The source tree, which make only reads.
    public var tree: FilePath
    /// The folder for all build output.
    public var output: FilePath
    /// The architecture.
    public var architecture: KernelArchitecture
    /// How many recipes run at once.
    public var jobs: Int
    /// Whether compilations go through ccache.
    public var usesCcache: Bool
    /// The C compiler.
    public var compiler: String
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

    /// The make command for some targets, in its own environment.
    ///
    /// - Parameters:
    ///   - environment: kbuild's own environment, of which few variables are passed.
    ///   - makefile: A makefile that make reads before the kernel's own makefiles.
    public func command(
        _ targets: [String], environment: [String: String], makefile: FilePath? = nil
    ) -> Command {
        let compiler = usesCcache ? "ccache \(self.compiler)" : self.compiler
        var passed = self.environment(from: environment)
        if let makefile { passed["MAKEFILES"] = makefile.string }
        let exported = passed.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        let make = [
            "make", "--directory=\(tree)", "--no-print-directory", "--jobs=\(jobs)",
            // The messages of one compiler run stay together.
            "--output-sync=target", "O=\(output)",
        ]
        let settings =
            architecture.makeVariables + ["CC=\(compiler)", "HOSTCC=\(compiler)"] + Self.reproducibility
            + self.variables
        return Command("env", ["-i"] + exported + make + settings + targets)
    }

    /// Fixed values for what the kernel would take from the clock and the machine: equal inputs give equal kernels, and
    /// utsversion.h does not change with every build (Documentation/kbuild/reproducible-builds.rst in the kernel).
    private static let reproducibility = [
        "KBUILD_BUILD_TIMESTAMP=Thu Jan 1 00:00:00 UTC 1970", "KBUILD_BUILD_USER=kbuild", "KBUILD_BUILD_HOST=kbuild",
        "KBUILD_BUILD_VERSION=1",
    ]

    /// make reads every environment variable as one of its own, and the kernel's makefiles read many (V, M, O, ARCH,
    /// KCFLAGS, LDFLAGS, src, obj ...), so only these are passed.
    private static let passed: Set<String> = [
        "HOME", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "TMPDIR", "USER", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
        "XDG_RUNTIME_DIR",
    ]

    private func environment(from inherited: [String: String]) -> [String: String] {
        var environment = inherited.filter { name, _ in
            Self.passed.contains(name) || (usesCcache && name.hasPrefix("CCACHE_"))
        }
        // kbuild parses the compiler's messages, and the order of `ls` must not depend on the user.
        environment["LC_ALL"] = "C"
        if usesCcache {
            // Paths below the folder that contains both tree and output are hashed as relative paths, and the working
            // directory is hashed only for objects with debug information, which names it (ccache(1), hash_dir), so all
            // projects with the same relative position of the two folders share their other objects.
            if let base = commonFolder { environment["CCACHE_BASEDIR"] = base.string }
            environment["CCACHE_NOHASHDIR"] = nil
            environment["CCACHE_HASHDIR"] = "1"
        }
        return environment
    }

    /// The deepest folder that contains both the tree and the output; nil when that is the root.
    private var commonFolder: FilePath? {
        var common = FilePath("/")
        for (left, right) in zip(tree.components, output.components) {
            guard left == right else { break }
            common.append(left)
        }
        return common.components.isEmpty ? nil : common
    }
}
