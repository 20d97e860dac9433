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
        let values = ["name": name, "call": call, "suite": suite, "source": source]
        return [Section.projectFile, .ignored, .readme].map {
            File(path: $0.rawValue, text: template.text($0, values))
        }
    }

    /// The files of Templates/project.template.
    package enum Section: String, CaseIterable, Sendable {
        case projectFile = "kbuild.yaml"
        case ignored = ".gitignore"
        case readme = "README.md"
        /// The package in which suites, and editors, find SyscallTesting.
        case manifest = "Package.swift"
    }

    package static let template = Template<Section>(PackageResources.project_template)

    /// The files that come with the executable: configuration fragments, the root file system's definition, the sources
    /// of the guest's init and of its snapshot harness, and a package with SyscallTesting.
    public static let supportFiles: [File] =
        carriedFiles.map { File(path: $0.path, text: $0.text) } + [
            File(path: Section.manifest.rawValue, text: template.text(.manifest))
        ]

    /// The file that marks the folder as kbuild's. It excludes the folder from version control, regardless of the
    /// project's .gitignore.
    public static let supportMark = File(
        path: ".gitignore", text: "# kbuild writes this folder, and restores and removes files in it.\n*\n")
}
