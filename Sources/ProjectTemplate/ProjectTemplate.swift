// SPDX-License-Identifier: Apache-2.0
/// The files that a new project begins with: those that are copies of this repository's own, carried within the executable
/// by Plugins/EmbedTemplate, and those that are written for it.
public enum ProjectTemplate {
    /// A file of the project.
    public struct File: Sendable, Equatable {
        /// Its path from the project's folder on.
        public var path: String
        /// Its contents.
        public var text: String

        /// Creates a file.
        public init(path: String, text: String) {
            self.path = path
            self.text = text
        }
    }

    /// All files but those of the first system call.
    ///
    /// - Parameters:
    ///   - name: The project's name.
    ///   - call: The first system call, whose folder is `kernel/CALL`.
    ///   - suite: The test target of its suite.
    ///   - source: The kernel's source.
    public static func files(name: String, call: String, suite: String, source: String) -> [File] {
        carriedFiles.map { File(path: $0.path, text: $0.text) } + [
            File(path: "kbuild.yaml", text: projectFile(call: call, source: source)),
            File(path: "Package.swift", text: manifest), File(path: ".gitignore", text: ignored),
            File(path: "README.md", text: readme(name: name, call: call, suite: suite)),
            File(
                path: "shared/README.md",
                text: "This folder is /root/host_folder in the guest; both sides may write to it.\n"),
        ]
    }

    private static func projectFile(call: String, source: String) -> String {
        """
        # What kbuild builds, where it runs it and what it tests. `kbuild config --show` prints every key with its value.

        kernel:
          source: "\(source)"       # or a folder, a tarball, git+REPOSITORY#REF
          patches:                          # folders with a syscall.yaml or patches, applied in this order
            - kernel/\(call)
          config: [configs/base.config]     # every option is checked after olddefconfig
          uml-config: [configs/uml.config]  # the same for `--machine uml`

        rootfs: {type: disk, definition: rootfs/default.yaml}

        shares:
          - {path: shared, target: /root/host_folder, writable: true}

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

    /// The suites find SyscallTesting in a package two folders above them.
    private static let manifest = """
        // swift-tools-version: 6.2
        import PackageDescription

        // What the suites in Tests/GuestTests import beside Testing: a copy of kbuild's library.
        let package = Package(
            name: "kbuild",
            products: [.library(name: "SyscallTesting", targets: ["SyscallTesting"])],
            targets: [.target(name: "SyscallTesting", dependencies: ["CSyscall"]), .target(name: "CSyscall")],
            swiftLanguageModes: [.v6]
        )

        """

    private static let ignored = """
        .build*/
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
        | `configs` | fragments of the kernel's configuration |
        | `rootfs` | what the guest's root file system holds, and the source of its init |
        | `shared` | a folder that the guest has as `/root/host_folder` |
        | `Sources` | `SyscallTesting`, which the suites import: a copy of kbuild's |

        Edit `kernel/\(call)/\(call).c` and its suite from here. `kbuild syscall new NAME --args "..."` adds another call.

        """
    }
}
