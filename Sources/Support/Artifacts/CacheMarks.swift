// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import FileSystem
import Glibc
import SystemPackage

extension CacheLayout {
    /// The marker of a folder as kbuild's cache, and the lock between its users and its removal.
    public var marker: FilePath { root.appending(".kbuild-cache") }
    /// The file that tells backup programs to skip the folder (bford.info/cachedir).
    var cacheTag: FilePath { root.appending("CACHEDIR.TAG") }
    /// The folder with the records of the cache's users.
    var uses: FilePath { root.appending("uses") }

    private static let markerText = """
        This folder is a cache of kbuild. `kbuild clean --all` removes what kbuild has put here.

        """
    private static let cacheTagText = """
        Signature: 8a477f597d28d172789f06886806bc55
        # This file is a cache directory tag created by kbuild.
        # For information about cache directory tags, see https://bford.info/cachedir/

        """

    /// The folders that kbuild makes in a cache, and the form of their entries' names. A folder's name alone does not
    /// prove that kbuild made it: `projects` and `sources` are common names.
    private var folders: [(path: FilePath, isOwn: (String) -> Bool)] {
        [
            (store, { name in fileExists(store.appending(name)) && Self.isStep(store.appending(name)) }),
            (
                sources,
                { Self.isHexadecimal($0, 32) || $0.hasPrefix("directory-") && Self.isHexadecimal($0.dropFirst(10), 16) }
            ),
            (projects, { Self.isHexadecimal($0, 16) }),
            (locks, { $0.hasSuffix(".lock") }),
            (uses, { $0.hasSuffix(".use") }),
            (root.appending("numbers"), { Self.isHexadecimal($0, 16) }),
            (root.appending("appliance"), { Self.isHexadecimal($0, 16) }),
            (root.appending("logs"), { $0.hasPrefix("image-") && $0.hasSuffix(".log") }),
            (root.appending("kunit"), { $0.hasSuffix(".c") }),
        ]
    }

    /// Whether an entry of the cache's root is a file of kbuild's.
    private static func isOwnFile(_ name: String) -> Bool {
        ["stat-cache", "kvm-probe", "last-prune"].contains(name)
            || name.hasPrefix("qemu-") && isHexadecimal(name.dropFirst(5), 16)
            || name.hasPrefix("told-") && isHexadecimal(name.dropFirst(5), 16)
            || name.hasPrefix("noted-") && isHexadecimal(name.dropFirst(6), 16) || name.hasPrefix("first-build-")
    }

    private static func isHexadecimal(_ text: some StringProtocol, _ count: Int) -> Bool {
        text.utf8.count == count && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// A step's folder holds results by key.
    private static func isStep(_ folder: FilePath) -> Bool {
        (try? namesInFolder(folder))?.allSatisfy { isHexadecimal($0, 32) } == true
    }

    private static func isRealFolder(_ path: FilePath) -> Bool { FileSignature.of(path)?.isDirectory == true }

    /// Creates the cache's folder, or checks that the existing folder is a cache, and writes the marker.
    ///
    /// A cache of an older kbuild, which wrote no marker, is recognized by the form of its contents.
    ///
    /// - Throws: `Failure` (`usage`) for a folder of other files; `infrastructure` when it cannot be made.
    public func prepare() throws(Failure) {
        do {
            if !isFolder(root) { try createFolder(root) }
            if FileSignature.of(marker)?.isRegularFile != true {
                try checkIsOwn()
                try writeAtomically(Self.markerText, to: marker)
            }
            if !fileExists(cacheTag) { try writeAtomically(Self.cacheTagText, to: cacheTag) }
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(.infrastructure, "cannot use the cache folder \(root)", details: "\(error)")
        }
    }

    /// Checks that the folder is a cache of kbuild's, with the marker or without; a folder that does not exist passes.
    ///
    /// - Throws: `Failure` (`usage`) when it holds other files and nothing that only kbuild makes.
    public func checkIsOwn() throws(Failure) {
        guard isFolder(root), FileSignature.of(marker)?.isRegularFile != true else { return }
        let names: [String]
        do {
            names = try namesInFolder(root)
        } catch {
            throw Failure(.infrastructure, "cannot read the cache folder \(root)", details: "\(error)")
        }
        // A newly made file system has this folder.
        let found = names.filter { $0 != "lost+found" }
        let own = found.filter(isOwnEntry)
        let strangers = found.filter { name in
            !own.contains(name) && (Self.isOwnFile(name) || folders.contains { $0.path.lastComponent?.string == name })
        }
        guard found.isEmpty || (!own.isEmpty && strangers.isEmpty) else {
            let shown = (strangers.isEmpty ? found : strangers).prefix(5).joined(separator: ", ")
            throw Failure(
                .usage, "\(root) is not a cache of kbuild: it contains other files",
                details: "without the file \(marker.lastComponent?.string ?? ""), and with \(shown)"
                    + (found.count > 5 ? " and others" : ""),
                nextStep: "set KBUILD_CACHE to a new or empty folder")
        }
    }

    /// Whether kbuild made an entry of the root, by name, kind and contents. An empty folder proves nothing, but can be
    /// removed without loss.
    private func isOwnEntry(_ name: String) -> Bool {
        let path = root.appending(name)
        if Self.isOwnFile(name) { return FileSignature.of(path)?.isRegularFile == true }
        if path == temporary { return Self.isRealFolder(path) && (try? namesInFolder(path))?.isEmpty == true }
        guard let folder = folders.first(where: { $0.path == path }), Self.isRealFolder(path),
            let names = try? namesInFolder(path)
        else { return false }
        return names.allSatisfy(folder.isOwn)
    }

    /// Removes kbuild's files from a cache and, when nothing else is left, the marker and the folder. The caller holds
    /// the `CacheGate`.
    ///
    /// - Returns: The names of the remaining files, which kbuild did not make.
    /// - Throws: `Failure` (`usage`) when the folder is not a cache; `infrastructure` when something cannot be removed.
    func removeContents() throws -> [String] {
        try checkIsOwn()
        guard isFolder(root) else { return [] }
        let isMarked = FileSignature.of(marker)?.isRegularFile == true
        for name in try namesInFolder(root) {
            let path = root.appending(name)
            // In a marked cache, entries of these names are kbuild's, even with an interrupted run's files in them.
            let isNamed = folders.contains { $0.path == path } || path == temporary
            if isMarked ? isNamed && Self.isRealFolder(path) || isOwnEntry(name) : isOwnEntry(name) {
                try removeAll(path)
            }
        }
        // When other files are left, the marker stays: without it the next run would refuse the folder.
        let marks = [marker, cacheTag]
        let left = try namesInFolder(root).filter { !marks.contains(root.appending($0)) }
        guard left.isEmpty else { return left }
        for mark in marks { try removeAll(mark) }
        guard rmdir(root.string) == 0 || errno == ENOTEMPTY || errno == EBUSY else {
            throw Failure(.infrastructure, "cannot remove \(root)", details: errnoText())
        }
        return []
    }
}
