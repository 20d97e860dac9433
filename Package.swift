// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

let package = Package(
    name: "kbuild",
    products: [
        .executable(name: "kbuild", targets: ["kbuild"]),
        .library(name: "SyscallTesting", targets: ["SyscallTesting"]),
    ],
    dependencies: [
        // The command line: parsing, help, completions.
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        // Child processes with typed options, streaming and cancellation.
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
        // Typed paths and file descriptors.
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        // kbuild.yaml, with line marks for errors.
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .executableTarget(
            name: "kbuild",
            dependencies: [
                "AgentServer", "ResultsModel", "KernelBuild", "CrashReports",
                "Application", "Authoring", "Doctor", "GuestSession", "Project", "RunStore", "Reporting",
                "TestSession", "VirtualMachine", "RootFilesystem", "Processes", "Diagnostics",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "SystemPackage", package: "swift-system"),
            ], path: "Sources/CLI"),
        // The steps of a run, and what each command does.
        .target(
            name: "Application",
            dependencies: [
                "AgentServer", "Coverage", "ResultsModel", "Patching",
                "Authoring", "Doctor", "GuestSession", "Project", "RunStore", "Reporting", "TestSession",
                "CrashReports", "VirtualMachine", "RootFilesystem", "KernelBuild", "IncrementalBuild", "KernelConfig",
                "KernelMake",
                "PatchedTree", "Syscalls", "KernelSource", "Artifacts", "Processes", "TextInput", "Diagnostics",
                "FileSystem",
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "Yams", package: "Yams"),
            ], path: "Sources/Application"),
        // New projects and new system calls.
        .target(
            name: "Authoring",
            dependencies: [
                "Doctor", "Project", "KernelSource", "Syscalls", "Artifacts", "Diagnostics", "FileSystem",
                "ProjectTemplate",
                .product(name: "SystemPackage", package: "swift-system"),
            ], path: "Sources/Authoring",
            resources: [
                .embedInCode("Templates/contract.template"), .embedInCode("Templates/source.template"),
                .embedInCode("Templates/suite.template"), .embedInCode("Templates/suites.template"),
                .embedInCode("Templates/vscode.template"),
                .embedInCode("Templates/module.template"),
            ]),
        // The Model Context Protocol, for `kbuild mcp`.
        .target(name: "AgentServer", dependencies: ["Diagnostics"], path: "Sources/AgentServer"),
        // What kbuild needs of the host.
        .target(
            name: "Doctor",
            dependencies: [
                "KernelMake",
                "Project", "RootFilesystem", "VirtualMachine", "KernelSource", "Artifacts", "Processes",
                "Diagnostics",
                .product(name: "SystemPackage", package: "swift-system"),
            ], path: "Sources/Doctor"),
        // Kept runs and their reports.
        .target(
            name: "RunStore",
            dependencies: [
                "Coverage", "ResultsModel", "Project", "Reporting", "Artifacts", "Diagnostics", "FileSystem",
                .product(name: "SystemPackage", package: "swift-system"),
            ], path: "Sources/RunStore"),
        // A session with a guest, and tests scheduled over guests.
        .target(
            name: "GuestSession",
            dependencies: [
                "ResultsModel", "Project", "Reporting", "TestSession", "CrashReports", "RootFilesystem",
                "VirtualMachine",
                "Artifacts", "Processes", "Diagnostics", "FileSystem",
                .product(name: "SystemPackage", package: "swift-system"),
            ], path: "Sources/Guest/GuestSession"),
        // The project file as checked values.
        .target(
            name: "Project",
            dependencies: [
                "ProjectTemplate", "RootFilesystem", "VirtualMachine", "KernelMake", "KernelSource", "Artifacts",
                "TextInput", "YAML", "Diagnostics", "FileSystem",
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "Yams", package: "Yams"),
            ], path: "Sources/Project"),
        // What `kbuild init` writes, compiled in.
        .target(
            name: "ProjectTemplate", dependencies: ["Diagnostics"],
            resources: [.embedInCode("Templates/project.template")],
            plugins: ["EmbedTemplate"]),
        .plugin(name: "EmbedTemplate", capability: .buildTool, dependencies: ["TemplateEmbedder"]),
        .executableTarget(name: "TemplateEmbedder", path: "Plugins/TemplateEmbedder"),
        // What the tests reached of the project's files.
        .target(name: "Coverage", dependencies: ["Diagnostics"], path: "Sources/Results/Coverage"),
        // What a run's results are, from what the guest says to what is shown.
        .target(name: "ResultsModel", dependencies: ["Coverage", "Diagnostics"], path: "Sources/Results/Model"),
        .target(
            name: "Reporting", dependencies: ["Coverage", "ResultsModel", "Artifacts", "Diagnostics"],
            path: "Sources/Results/Reporting",
            resources: [.embedInCode("HTML/page.css"), .embedInCode("HTML/page.js")]),
        .target(
            name: "TestSession", dependencies: ["Coverage", "ResultsModel", "CrashReports", "KTAP", "Diagnostics"],
            path: "Sources/Results/TestSession"),
        // Crash reports in a kernel's log: recognised, titled, symbolised.
        .target(
            name: "CrashReports", dependencies: ["ResultsModel", "Diagnostics"], path: "Sources/Results/CrashReports"),
        .target(
            name: "VirtualMachine",
            dependencies: [
                "Artifacts", "Processes", "Diagnostics", "CHostProbe", "FileSystem",
                .product(name: "SystemPackage", package: "swift-system"),
            ], path: "Sources/Guest/VirtualMachine"),
        .target(name: "CHostProbe", path: "Sources/Shims/CHostProbe"),
        .target(
            name: "RootFilesystem",
            dependencies: [
                "Artifacts", "Processes", "TextInput", "YAML", "Diagnostics", "CGuestfs", "FileSystem",
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "Yams", package: "Yams"),
            ], path: "Sources/Guest/RootFilesystem"),
        .target(
            name: "KernelBuild",
            dependencies: [
                "IncrementalBuild", "KernelConfig", "KernelMake", "PatchedTree", "Artifacts", "Processes",
                "Diagnostics",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Sources/Kernel/KernelBuild"),
        .target(
            name: "IncrementalBuild",
            dependencies: [
                "KernelMake", "KernelSource", "PatchedTree", "Artifacts", "Processes", "Diagnostics", "FileSystem",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Sources/Kernel/IncrementalBuild"),
        .target(
            name: "KernelConfig",
            dependencies: [
                "KernelMake", "Artifacts", "Processes", "TextInput", "Diagnostics", "FileSystem",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Sources/Kernel/KernelConfig"),
        .target(
            name: "KernelMake",
            dependencies: [
                "Processes", "Diagnostics", "FileSystem",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Sources/Kernel/KernelMake"),
        .target(
            name: "PatchedTree",
            dependencies: [
                "Syscalls", "Patching", "KernelSource", "Artifacts", "TextInput", "Diagnostics", "FileSystem",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Sources/Kernel/PatchedTree"),
        .target(
            name: "Syscalls",
            dependencies: [
                "Patching", "YAML", "Artifacts", "TextInput", "Diagnostics", "FileSystem",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Sources/Kernel/Syscalls"),
        .target(
            name: "Patching",
            dependencies: [
                "Artifacts", "Diagnostics", "FileSystem", .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Sources/Kernel/Patching"),
        .target(
            name: "KernelSource",
            dependencies: [
                "Artifacts", "Processes", "Diagnostics", "FileSystem",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Sources/Kernel/KernelSource"),
        .target(
            name: "YAML",
            dependencies: ["Diagnostics", .product(name: "Yams", package: "Yams")],
            path: "Sources/Support/YAML"),
        .target(
            name: "Artifacts",
            dependencies: [
                "Diagnostics", "FileSystem", "COpenSSL",
                .product(name: "SystemPackage", package: "swift-system"),
            ], path: "Sources/Support/Artifacts"),
        .target(
            name: "Processes",
            dependencies: [
                "Diagnostics", "FileSystem", "CSupervisor", "CSeccomp", "CDescriptors",
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ], path: "Sources/Support/Processes", resources: [.embedInCode("packages.txt")]),
        // Reads text files that a person hands in, in whatever form they come.
        .target(
            name: "TextInput",
            dependencies: [
                "Diagnostics", "Artifacts", "Processes", "CDescriptors",
                .product(name: "SystemPackage", package: "swift-system"),
            ], path: "Sources/Support/TextInput"),
        .target(name: "CDescriptors", path: "Sources/Shims/CDescriptors"),
        .target(name: "CSupervisor", path: "Sources/Shims/CSupervisor"),
        // Walks trees of folders by descriptors.
        .target(
            name: "FileSystem", dependencies: [.product(name: "SystemPackage", package: "swift-system")],
            path: "Sources/Support/FileSystem"),
        .target(name: "Diagnostics", path: "Sources/Support/Diagnostics"),
        .target(name: "KTAP", path: "Sources/Results/KTAP"),
        .target(name: "SyscallTesting", dependencies: ["CSyscall"]),
        .target(name: "CSyscall"),
        // SHA-256 for content addresses. libssl-dev is installed anyway: the kernel's build needs it.
        .systemLibrary(
            name: "COpenSSL", path: "Sources/Shims/COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        // The filter of system calls for confined commands.
        .systemLibrary(
            name: "CSeccomp", path: "Sources/Shims/CSeccomp", pkgConfig: "libseccomp",
            providers: [.apt(["libseccomp-dev"])]),
        // libguestfs, loaded by the process that makes an image and by no other; its header is libguestfs-dev's.
        .target(name: "CGuestfs", path: "Sources/Shims/CGuestfs"),

        // The files of the guest's PID 1 that communicate with the host, so that they are tested without a guest. The
        // others mount, reboot and end every process; kbuild itself compiles them all, as Embedded Swift.
        .systemLibrary(name: "CInit", path: "rootfs/init/CInit"),
        .target(
            name: "GuestInit", dependencies: ["CInit"], path: "rootfs/init",
            exclude: [
                "BootModules.swift", "CInit", "HostRoot.swift", "Init.swift", "Leaks.swift", "Modules.swift",
                "Program.swift",
                "Settings.swift",
                "Shell.swift", "Snapshot.swift",
            ]),
        .testTarget(
            name: "GuestInitTests",
            dependencies: ["Fuzzing", "GuestInit", "GuestSession", "ResultsModel", "TestSession", "VirtualMachine"]),
        // Numbers that a seed determines, and inputs that are damaged by them.
        .target(name: "Fuzzing", path: "Tests/Fuzzing"),
        // Holds this manifest and the sources' imports against the module map.
        .testTarget(name: "LayeringTests"),
        .testTarget(name: "AgentServerTests", dependencies: ["Fuzzing", "AgentServer", "Diagnostics"]),
        .testTarget(name: "KTAPTests", dependencies: ["Fuzzing", "KTAP"]),
        .testTarget(name: "SyscallTestingTests", dependencies: ["SyscallTesting"]),
        .testTarget(
            name: "FileSystemTests",
            dependencies: ["FileSystem", .product(name: "SystemPackage", package: "swift-system")]),
        .testTarget(
            name: "TextInputTests",
            dependencies: [
                "TextInput", "Processes", "Diagnostics", .product(name: "SystemPackage", package: "swift-system"),
            ]),
        .testTarget(
            name: "ProcessesTests",
            dependencies: [
                "Processes", "FileSystem", "Diagnostics", .product(name: "SystemPackage", package: "swift-system"),
            ]),
        .testTarget(
            name: "ArtifactsTests",
            dependencies: ["Artifacts", "Diagnostics", .product(name: "SystemPackage", package: "swift-system")]),
        .testTarget(
            name: "KernelTreeTests",
            dependencies: [
                "Fuzzing", "KernelBuild", "IncrementalBuild", "KernelConfig", "KernelMake", "PatchedTree", "Syscalls",
                "Patching",
                "KernelSource", "Artifacts", "Diagnostics", "Processes", "FileSystem",
                .product(name: "SystemPackage", package: "swift-system"),
            ]),
        .testTarget(
            name: "RootFilesystemTests",
            dependencies: [
                "Fuzzing", "RootFilesystem", "Artifacts", "Diagnostics", "Processes",
                .product(name: "SystemPackage", package: "swift-system"),
            ]),
        .testTarget(
            name: "VirtualMachineTests",
            dependencies: [
                "VirtualMachine", "Artifacts", "Diagnostics", "Processes",
                .product(name: "SystemPackage", package: "swift-system"),
            ]),
        .testTarget(name: "CoverageTests", dependencies: ["Coverage", "Diagnostics"]),
        .testTarget(name: "CrashReportsTests", dependencies: ["ResultsModel", "Fuzzing", "CrashReports"]),
        .testTarget(
            name: "TestSessionTests",
            dependencies: ["Coverage", "ResultsModel", "Fuzzing", "TestSession", "CrashReports", "Diagnostics"]),
        .testTarget(
            name: "ReportingTests",
            dependencies: ["Coverage", "ResultsModel", "Reporting", "Artifacts", "Diagnostics"],
            exclude: ["Golden"]),
        .testTarget(
            name: "ApplicationTests",
            dependencies: [
                "CrashReports", "ResultsModel", "KernelMake", "KernelBuild",
                "AgentServer", "Fuzzing", "Application", "Authoring", "ProjectTemplate", "Doctor", "GuestSession",
                "Project", "RunStore", "Artifacts",
                "Reporting",
                "Diagnostics", "KernelConfig", "KernelSource", "Processes", "Syscalls", "RootFilesystem", "FileSystem",
                "TestSession",
                "VirtualMachine",
                .product(name: "SystemPackage", package: "swift-system"),
            ]),
        .testTarget(
            name: "KbuildTests",
            dependencies: [
                "kbuild",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "Yams", package: "Yams"),
                "Authoring", "Diagnostics",
            ]),
        // A copy of this repository's project for tests to run kbuild in.
        .target(
            name: "ProjectFixture",
            dependencies: [
                "Artifacts", "Processes", "Diagnostics", .product(name: "SystemPackage", package: "swift-system"),
            ], path: "Tests/ProjectFixture"),
        .testTarget(
            name: "IntegrationTests",
            dependencies: [
                "ProjectFixture", "Artifacts", "Processes", "Diagnostics",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            exclude: ["Golden"]),
        .testTarget(name: "MatrixTests", dependencies: ["Processes", "ProjectFixture"]),
        .testTarget(
            name: "StalenessTests",
            dependencies: [
                "Fuzzing", "ProjectFixture", "Artifacts", "Processes", "Diagnostics",
                .product(name: "SystemPackage", package: "swift-system"),
            ]),
        .testTarget(
            name: "SoakTests",
            dependencies: [
                "Fuzzing", "ProjectFixture", "Artifacts", "Processes",
                .product(name: "SystemPackage", package: "swift-system"),
            ]),
        .testTarget(
            name: "MutationTests",
            dependencies: [
                "Processes",
                "ProjectFixture", "Artifacts", "Diagnostics", .product(name: "Yams", package: "Yams"),
                .product(name: "SystemPackage", package: "swift-system"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)

// A file sees the members of the modules that it imports itself, and of no others: an import that a file needs does not
// come with another file of its target. LayeringTests then reads every dependency from the imports.
for target in package.targets where [.regular, .executable, .test].contains(target.type) {
    target.swiftSettings = (target.swiftSettings ?? []) + [.enableUpcomingFeature("MemberImportVisibility")]
}
