// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Syscalls
import SystemPackage

/// The module SyscallNumbers: a header with numbers, and the module map for it. Its folder's name follows from the
/// numbers.
struct NumbersModule: Sendable {
    /// Its path, once it is written.
    let folder: FilePath
    /// The digest of the folder's contents.
    let digest: Digest
    private let texts: [String: String]

    init(header: String, in layout: CacheLayout) {
        texts = [SyscallHeader.fileName: header, "module.modulemap": SyscallHeader.moduleMap]
        folder = layout.root.appending("numbers").appending(Digest.of(header).short)
        digest = StatCache.digest(ofTexts: texts)
    }

    /// Writes the folder, unless it is there.
    ///
    /// - Throws: `Failure` (`infrastructure`).
    func write() throws {
        for (name, text) in texts where (try? readText(folder.appending(name))) != text {
            try createFolder(folder)
            try writeAtomically(text, to: folder.appending(name))
        }
    }
}
