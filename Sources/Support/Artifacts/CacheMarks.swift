// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import FileSystem
import Glibc
import SystemPackage

extension CacheLayout {
    /// What says that a folder is a cache of kbuild's, and keeps those apart who use it from who removes it.
    public var marker: FilePath { root.appending(".kbuild-cache") }
    /// What tells backup programs that the folder need not be kept (bford.info/cachedir).
    var cacheTag: FilePath { root.appending("CACHEDIR.TAG") }
    /// The record of who uses the cache.
    var uses: FilePath { root.appending("uses") }

    private static let markerText = """
        This folder is a cache of kbuild. `kbuild clean --all` removes what kbuild has put here.

        """
    private static let cacheTagText = """
        Signature: 8a477f597d28d172789f06886806bc55
        # This file is a cache directory tag created by kbuild.
        # For information about cache directory tags, see https://bford.info/cachedir/

        """

    /// The folders that kbuild makes in a cache, and what the names of their entries look like. Names alone are not
    /// enough to take a folder for kbuild's: `projects` and `sources` are usual ones.
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

    /// Makes the cache's folder, or looks whether a folder that is there is one, and marks it.
    ///
    /// A cache of an older kbuild, which made no marker, is known by the form of what is in it.
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

    /// Looks whether the folder is a cache of kbuild's, with the marker or without; one that is not there is.
    ///
    /// - Throws: `Failure` (`usage`) when it holds other files and nothing that kbuild has surely made.
    public func checkIsOwn() throws(Failure) {
        guard isFolder(root), FileSignature.of(marker)?.isRegularFile != true else { return }
        let names: [String]
        do {
            names = try namesInFolder(root)
        } catch {
            throw Failure(.infrastructure, "cannot read the cache folder \(root)", details: "\(error)")
        }
        // A file system of its own, just made, has one.
        let found = names.filter { $0 != "lost+found" }
        let own = found.filter(isOwnEntry)
        let strangers = found.filter { name in
            !own.contains(name) && (Self.isOwnFile(name) || folders.contains { $0.path.lastComponent?.string == name })
        }
        guard found.isEmpty || (!own.isEmpty && strangers.isEmpty) else {
            let shown = (strangers.isEmpty ? found : strangers).prefix(5).joined(separator: ", ")
            throw Failure(
                .usage, "\(root) is not a cache of kbuild: it holds other files",
                details: "without the file \(marker.lastComponent?.string ?? ""), and with \(shown)"
                    + (found.count > 5 ? " and others" : ""),
                nextStep: "set KBUILD_CACHE to a new or empty folder")
        }
    }

    /// Whether an entry of the root is what kbuild puts there, by name, kind and contents; an empty folder proves
    /// nothing, but is nobody's loss.
    private func isOwnEntry(_ name: String) -> Bool {
        let path = root.appending(name)
        if Self.isOwnFile(name) { return FileSignature.of(path)?.isRegularFile == true }
        if path == temporary { return Self.isRealFolder(path) && (try? namesInFolder(path))?.isEmpty == true }
        guard let folder = folders.first(where: { $0.path == path }), Self.isRealFolder(path),
            let names = try? namesInFolder(path)
        else { return false }
        return names.allSatisfy(folder.isOwn)
    }

    /// Removes what kbuild has put into a cache and, when nothing else is there, the marker and the folder. The caller
    /// keeps others away (`CacheGate`).
    ///
    /// - Returns: The names of what is left: other files, which are not kbuild's to remove.
    /// - Throws: `Failure` (`usage`) when the folder is not a cache; `infrastructure` when something cannot be removed.
    func removeContents() throws -> [String] {
        try checkIsOwn()
        guard isFolder(root) else { return [] }
        let isMarked = FileSignature.of(marker)?.isRegularFile == true
        for name in try namesInFolder(root) {
            let path = root.appending(name)
            // In a cache that kbuild made, entries of these names are kbuild's, whatever an interrupted run left in
            // them.
            let isNamed = folders.contains { $0.path == path } || path == temporary
            if isMarked ? isNamed && Self.isRealFolder(path) || isOwnEntry(name) : isOwnEntry(name) {
                try removeAll(path)
            }
        }
        // Beside other files the marker stays, or the next run would not know the folder for a cache.
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
