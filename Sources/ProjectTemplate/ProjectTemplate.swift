// SPDX-License-Identifier: Apache-2.0
/// The files of a new project, and those that come with the executable, embedded by Plugins/EmbedTemplate.
public enum ProjectTemplate {
    /// A file of the project.
    public struct File: Sendable, Equatable {
        /// Its path, relative to the project's folder.
        public var path: String
        /// Its contents.
        public var text: String

        /// Creates a file.
        public init(path: String, text: String) {
            self.path = path
            self.text = text
        }
    }

    /// The files of a new project, without those of its first system call.
    ///
    /// - Parameters:
    ///   - name: The project's name.
    ///   - call: The first system call, whose folder is `kernel/CALL`.
    ///   - suite: The test target of its suite.
    ///   - source: The kernel's source.
    public static func files(name: String, call: String, suite: String, source: String) -> [File] {
        [
            File(path: "kbuild.yaml", text: projectFile(call: call, source: source)),
            File(path: ".gitignore", text: ignored),
            File(path: "README.md", text: readme(name: name, call: call, suite: suite)),
        ]
    }

    /// The files that come with the executable: configuration fragments, the root file system's definition, the sources
    /// of the guest's init and of its snapshot harness, and a package with SyscallTesting.
    public static let supportFiles: [File] =
        carriedFiles.map { File(path: $0.path, text: $0.text) } + [
            File(path: "Package.swift", text: manifest)
        ]

    /// The file that marks the folder as kbuild's. It excludes the folder from version control, regardless of the
    /// project's .gitignore.
    public static let supportMark = File(
        path: ".gitignore", text: "# kbuild writes this folder, and restores and removes files in it.\n*\n")

    private static func projectFile(call: String, source: String) -> String {
        """
        # What kbuild builds, where it runs it and what it tests. `kbuild config --show` prints every key with its value.

        kernel:
          source: "\(source)"       # or a folder, a tarball, git+REPOSITORY#REF
          patches:                          # folders with a syscall.yaml or patches, applied in this order
            - kernel/\(call)
          # Fragments that come with kbuild, which writes the folder .kbuild; add your own after them. Every option is
          # checked after olddefconfig.
          config: [.kbuild/configs/base.config]
          uml-config: [.kbuild/configs/uml.config]   # the same for `--machine uml`

        rootfs: {type: disk}                # kbuild's own; `definition: FILE` names another

        machine: {type: auto, accel: auto, memory: 512M, cpus: 2}

        tests:
          - swift: Tests/GuestTests

        timeouts: {boot: 120, silence: 120, test: 300, run: 30m}

        profiles:
          initramfs:
            rootfs: {type: initramfs}
          uml:
            machine: {type: uml}

        """
    }

    /// The package in which suites, and editors, find SyscallTesting.
    private static let manifest = """
        // swift-tools-version: 6.2
        import PackageDescription

        // What suites import beside Testing. kbuild writes this folder and restores it when it differs.
        let package = Package(
            name: "kbuild",
            products: [.library(name: "SyscallTesting", targets: ["SyscallTesting"])],
            targets: [.target(name: "SyscallTesting", dependencies: ["CSyscall"]), .target(name: "CSyscall")],
            swiftLanguageModes: [.v6]
        )

        """

    private static let ignored = """
        .build*/
        .kbuild/
        .swiftpm/
        Package.resolved

        """

    private static func readme(name: String, call: String, suite: String) -> String {
        """
        # \(name)

        A kernel with the system call `\(call)`, and its tests.

            kbuild doctor       # what this machine lacks
            kbuild run          # patch, build, boot and test
            kbuild watch        # the same after every change
            kbuild shell        # a shell on that kernel

        | path | what it is |
        |---|---|
        | `kbuild.yaml` | the project: what is built, where it runs, what is tested |
        | `kernel/\(call)` | the call: a C file, how it is registered, its contract |
        | `Tests/GuestTests/Tests/\(suite)` | its suite, which runs inside the guest |
        | `.kbuild` | written by kbuild, not under version control: configuration fragments, the guest's init, and `SyscallTesting`, which the suites import |

        Edit `kernel/\(call)/\(call).c` and its suite from here. `kbuild syscall new NAME --args "..."` adds another call.

        """
    }
}
