// SPDX-License-Identifier: Apache-2.0
import Artifacts
import FileSystem
import Glibc
import Project
import Reporting
import ResultsModel
import SystemPackage

/// Reads the source lines of issues, for the report.
///
/// A guest names the files, and it may name any file of the host. So a file is read only when it is, all links
/// followed, in one of the project's own folders.
package struct SourceLines {
    /// The folders, with links resolved.
    private let folders: [String]
    private var files: [String: [ArraySlice<UInt8>]?] = [:]

    /// The largest source file to read, in bytes.
    private static let largestFile = 4 << 20
    /// The most files to read, and the most issues that get a line.
    private static let mostFiles = 200
    private static let mostIssues = 2000
    /// O_PATH (include/uapi/asm-generic/fcntl.h), which Glibc's module hides.
    private static let nameOnly: Int32 = 0o10_000_000
    /// The most characters of a line.
    static let longestLine = 200

    /// - Parameter folders: The folders whose files may be read.
    package init(folders: [FilePath]) {
        self.folders = folders.compactMap { folder in
            guard let path = resolvedPath(folder)?.string else { return nil }
            return path.hasSuffix("/") ? path : path + "/"
        }
    }

    /// Adds the text of the source line to each issue in a file of the project.
    package static func add(to report: inout RunReport, project: Project) {
        let packages = project.tests.compactMap { test -> FilePath? in
            if case .swift(let package, _, _, _) = test { package } else { nil }
        }
        var lines = SourceLines(folders: [project.folder] + packages)
        var count = 0
        for suite in report.suites.indices {
            for test in report.suites[suite].tests.indices {
                for issue in report.suites[suite].tests[test].issues.indices {
                    guard count < mostIssues else { return }
                    let found = report.suites[suite].tests[test].issues[issue]
                    guard let file = found.file, let line = found.line else { continue }
                    count += 1
                    report.suites[suite].tests[test].issues[issue].sourceText = lines.text(file: file, line: line)
                }
            }
        }
    }

    /// In each place of a crash report that is in a file added by the project, replaces the file with the user's own
    /// file, and adds the text of the source line.
    ///
    /// - Parameters:
    ///   - userFiles: The user's own files by their paths in the kernel's tree.
    ///   - shown: The name by which the user knows a file.
    package static func addOwnFiles(
        to crashes: inout [Crash], userFiles: [String: FilePath], project: Project,
        shown: (FilePath) -> String
    ) {
        guard !userFiles.isEmpty else { return }
        var lines = SourceLines(folders: [project.folder] + userFiles.values.map { $0.removingLastComponent() })
        var count = 0
        for crash in crashes.indices {
            for frame in crashes[crash].frames.indices {
                for index in crashes[crash].frames[frame].locations.indices {
                    var place = crashes[crash].frames[frame].locations[index]
                    guard let own = userFiles[place.file] else { continue }
                    place.file = shown(own)
                    if count < mostIssues { place.sourceText = lines.text(file: own.string, line: place.line) }
                    count += 1
                    crashes[crash].frames[frame].locations[index] = place
                }
            }
        }
    }

    /// The text of a line, without the blanks around it, cut at `longestLine` characters; nil when there is none to
    /// show.
    package mutating func text(file: String, line: Int) -> String? {
        guard file.hasPrefix("/"), line > 0 else { return nil }
        if files[file] == nil {
            guard files.count < Self.mostFiles else { return nil }
            files[file] = .some(read(file))
        }
        guard let lines = files[file] ?? nil, line <= lines.count else { return nil }
        var bytes = lines[lines.startIndex + line - 1]
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0D }
        bytes = bytes.drop(while: isBlank)
        while let last = bytes.last, isBlank(last) { bytes.removeLast() }
        guard !bytes.isEmpty else { return nil }
        // Decoding a line of megabytes for its first 200 characters would be a waste; a character has at most 4 bytes,
        // without combining marks.
        let text = String(decoding: bytes.prefix(8 * Self.longestLine), as: UTF8.self)
        return text.count > Self.longestLine ? text.prefix(Self.longestLine) + "…" : text
    }

    /// The lines of a file; nil when it is not one of the project's.
    private func read(_ path: String) -> [ArraySlice<UInt8>]? {
        // A descriptor that only refers to the file (O_PATH) does not open a device or wait for a pipe, and the file
        // cannot be replaced between the check and the read.
        let name = open(path, Self.nameOnly | O_CLOEXEC)
        guard name >= 0 else { return nil }
        defer { close(name) }
        let handle = "/proc/self/fd/\(name)"
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = readlink(handle, &buffer, buffer.count - 1)
        guard count > 0, let status = FileStatus(ofDescriptor: name), status.isRegular,
            status.size <= Self.largestFile
        else { return nil }
        let real = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard folders.contains(where: real.hasPrefix), let bytes = try? readBytes(FilePath(handle)) else { return nil }
        return bytes[...].split(separator: 0x0A, omittingEmptySubsequences: false)
    }
}
