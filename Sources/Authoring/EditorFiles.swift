// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Project
import ProjectTemplate
import SystemPackage

/// The files that Visual Studio Code, and clangd in any editor, need for a project.
public enum EditorFiles {
    /// The files of Templates/vscode.template.
    package enum Section: String, CaseIterable, Sendable {
        case tasks = ".vscode/tasks.json"
        case launch = ".vscode/launch.json"
        case properties = ".vscode/c_cpp_properties.json"
        case clangd = ".clangd"
    }

    package static let template = Template<Section>(PackageResources.vscode_template)

    /// The folder, in the project's, with the links to the guest that waits for a debugger.
    package static let links = "\(SupportFolder.name)/debug"

    /// The files that were written, and those that existed and stayed.
    public struct Written: Sendable, Equatable {
        /// The new files, by their paths in the project.
        public var new: [String] = []
        /// The files that existed.
        public var kept: [String] = []
    }

    /// Writes the files that a project does not have.
    ///
    /// - Throws: `Failure` (`infrastructure`) when one cannot be written.
    public static func write(in project: FilePath) throws -> Written {
        var written = Written()
        for section in Section.allCases {
            let path = project.pushing(FilePath(section.rawValue))
            // Also a link without a target.
            guard FileStatus(path) == nil else {
                written.kept.append(section.rawValue)
                continue
            }
            try createFolder(path.removingLastComponent())
            try writeAtomically(template.text(section, ["links": links]), to: path)
            written.new.append(section.rawValue)
        }
        return written
    }
}
