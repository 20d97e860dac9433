// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Processes
import SystemPackage

/// The files that a collection of selftests needs beside its programs, as lib.mk of tools/testing/selftests installs
/// them.
struct SelftestFiles: Sendable {
    /// The collection's folder in tools/testing/selftests.
    var collection: String
    /// Where that folder is.
    var source: FilePath
    /// tools/testing/selftests.
    var selftests: FilePath
    /// Files that go beside the programs, from the collection's folder on or absolute.
    private var beside: [FilePath] = []
    /// Files of other folders, which keep their place below the selftests.
    private var elsewhere: [FilePath] = []

    /// The goal of `rule`.
    static let goal = "kbuild-files"
    /// A rule that prints the files: the variables are those of lib.mk's install rule, of 6.1 and 6.12.
    static let rule = """
        \(goal): ; @for file in $(TEST_PROGS_EXTENDED) $(TEST_FILES) $(TEST_GEN_PROGS_EXTENDED) $(TEST_GEN_FILES); \
        do echo "\(besideWord)$$file"; done; for file in $(TEST_INCLUDES); do echo "\(elsewhereWord)$$file"; done
        """
    private static let (besideWord, elsewhereWord) = ("beside:", "elsewhere:")
    /// Functions for scripts that no collection lists, because lib.mk's own runner has them (`kselftest` since 6.8).
    private static let common = "kselftest"

    /// - Parameter listing: What `rule` printed.
    init(listing: String, collection: String, source: FilePath, selftests: FilePath) {
        (self.collection, self.source, self.selftests) = (collection, source, selftests)
        for line in listing.textLines() {
            if line.hasPrefix(Self.besideWord) {
                beside.append(source.pushing(FilePath(String(line.dropFirst(Self.besideWord.count)))))
            } else if line.hasPrefix(Self.elsewhereWord) {
                elsewhere.append(source.pushing(FilePath(String(line.dropFirst(Self.elsewhereWord.count)))))
            }
        }
        beside.append(source.appending("settings"))
    }

    /// Files for one folder.
    struct Copy: Sendable {
        /// The folder.
        var target: FilePath
        /// Copies them, links followed.
        var command: Command
    }

    /// The copies that lay programs and files out as in tools/testing/selftests. A file that was not built is left out,
    /// as a program is that this compiler cannot build.
    ///
    /// - Parameter target: The folder that stands for tools/testing/selftests.
    func copies(programs: [FilePath], to target: FilePath) -> [Copy] {
        func copy(_ files: [FilePath], to target: FilePath) -> Copy? {
            let files = files.filter(fileExists).map(\.string)
            guard !files.isEmpty else { return nil }
            let command = Command("cp", ["-rL", "--preserve=mode", "--"] + files + [target.string])
            return Copy(target: target, command: command)
        }
        var others: [FilePath: [FilePath]] = [:]
        for file in elsewhere {
            // A name that leaves the selftests has no place below the target.
            guard let path = Self.path(of: file.lexicallyNormalized(), below: selftests) else { continue }
            others[path.removingLastComponent(), default: []].append(file)
        }
        let copies =
            [
                copy(programs + beside, to: target.pushing(FilePath(collection))),
                copy([selftests.appending(Self.common)], to: target),
            ] + others.sorted { $0.key.string < $1.key.string }.map { copy($0.value, to: target.pushing($0.key)) }
        return copies.compactMap { $0 }
    }

    private static func path(of file: FilePath, below folder: FilePath) -> FilePath? {
        var file = file
        let folder = folder.lexicallyNormalized()
        guard file != folder, file.removePrefix(folder) else { return nil }
        return file
    }
}
