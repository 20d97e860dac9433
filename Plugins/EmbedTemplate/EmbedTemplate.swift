// SPDX-License-Identifier: Apache-2.0
import Foundation
import PackagePlugin

/// Compiles the files of a new project into the module ProjectTemplate, so that the executable needs no further files
/// to make one.
@main
struct EmbedTemplate: BuildToolPlugin {
    /// Folders and files of this repository.
    private static let carried = [
        "configs/base.config", "configs/guest.config", "configs/suites.config", "configs/uml.config", "rootfs",
        "Sources/SyscallTesting", "Sources/CSyscall",
    ]

    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        let root = context.package.directoryURL
        let paths = try Self.carried.flatMap { try Self.files(at: $0, in: root) }.sorted()
        let output = context.pluginWorkDirectoryURL.appending(path: "CarriedFiles.swift")
        return [
            .buildCommand(
                displayName: "Carrying the files of a new project",
                executable: try context.tool(named: "TemplateEmbedder").url,
                arguments: [output.path(percentEncoded: false), root.path(percentEncoded: false)] + paths,
                inputFiles: paths.map { root.appending(path: $0) }, outputFiles: [output])
        ]
    }

    /// The file `path`, or all files below the folder `path`.
    private static func files(at path: String, in root: URL) throws -> [String] {
        let values = try root.appending(path: path).resourceValues(forKeys: [.isDirectoryKey])
        guard values.isDirectory == true else { return [path] }
        let names = try FileManager.default.contentsOfDirectory(
            atPath: root.appending(path: path).path(percentEncoded: false))
        return try names.filter { !$0.hasPrefix(".") && !$0.hasSuffix(".docc") }.flatMap {
            try files(at: "\(path)/\($0)", in: root)
        }
    }
}
