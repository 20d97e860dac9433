// SPDX-License-Identifier: Apache-2.0
import FileSystem
import Foundation
import SystemPackage

/// A pattern for programs, as in a shell: `bin/*`.
package enum ProgramPattern {
    /// Whether a path is a pattern and not the name of a file, which may contain the same characters.
    package static func isPattern(_ path: FilePath) -> Bool {
        path.string.contains { "*?[".contains($0) } && access(path.string, F_OK) != 0
    }

    /// The matching executable files, in the order of their names.
    package static func programs(matching pattern: FilePath) -> [FilePath] {
        var found = glob_t()
        defer { globfree(&found) }
        // In the order of the bytes, in any locale.
        guard glob(pattern.string, GLOB_NOSORT, nil, &found) == 0, let paths = found.gl_pathv else { return [] }
        return (0..<Int(found.gl_pathc)).compactMap { paths[$0].map { String(cString: $0) } }
            .filter { isFile($0) && access($0, X_OK) == 0 }.sorted().map { FilePath($0) }
    }

    /// The files in a program's folder that look like programs but cannot be run: files without the executable bit, and
    /// dangling links. A pattern skips them.
    package static func lookalikes(in folder: FilePath) -> [FilePath] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.string)) ?? []
        return names.sorted().map { folder.appending($0) }.filter { path in
            guard let target = FileStatus(path, followsLink: true) else { return FileStatus(path) != nil }
            guard target.isRegular, access(path.string, X_OK) != 0,
                let file = FileHandle(forReadingAtPath: path.string), let start = try? file.read(upToCount: 4)
            else { return false }
            return start.starts(with: "#!".utf8) || start.elementsEqual("\u{7F}ELF".utf8)
        }
    }

    /// The other files of a folder of programs, which the guest needs because a test may run or read them by name. A
    /// link is included when it leads to another file of the folder.
    package static func companions(in folder: FilePath) -> [FilePath] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.string)) ?? []
        return names.sorted().map { folder.appending($0) }.filter { path in
            guard isFile(path.string) else { return false }
            guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: path.string) else {
                return true
            }
            return !target.contains("/")
        }
    }

    private static func isFile(_ path: String) -> Bool {
        FileStatus(path, followsLink: true)?.isRegular == true
    }
}
