// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A file beside a kernel's output folder, where make cannot write.
public enum OutputMark: String, Sendable, CaseIterable {
    /// What a confined build that came to its end was made from.
    case overlay
    /// The tools that build there.
    case tools
    /// What the output was built from, for others to start from it.
    case description

    /// Where the mark of an output lies.
    public func path(of output: FilePath) -> FilePath { FilePath("\(output).\(rawValue)") }

    /// The output that a file marks; nil when it is another mark, or none.
    public func output(ofMark path: FilePath) -> FilePath? {
        let ending = ".\(rawValue)"
        guard path.string.hasSuffix(ending) else { return nil }
        return FilePath(String(path.string.dropLast(ending.count)))
    }
}

extension CacheLayout {
    /// The folder of a tree's outputs, beside the tree.
    public static let outputs = "build"
    /// The folder of the outputs of confined builds.
    public static let confinedOutputs = "confined"

    /// The folders that hold outputs of the tree in `folder`.
    public static func outputFolders(of folder: FilePath) -> [FilePath] {
        [outputs, confinedOutputs].map { folder.appending($0) }
    }
}
