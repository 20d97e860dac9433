// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// A file beside a kernel's output folder, where make cannot write.
public enum OutputMark: String, Sendable, CaseIterable {
    /// The inputs of a confined build that finished.
    case overlay
    /// The tools used in the output folder.
    case tools
    /// The inputs of the output, for later builds that start from it.
    case description
    /// The key of the kernel whose modules make can build there.
    case modules

    /// The path of an output's mark.
    public func path(of output: FilePath) -> FilePath { FilePath("\(output).\(rawValue)") }

    /// The output that a file marks; nil when the file is another mark, or not a mark.
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
