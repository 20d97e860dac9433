// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import Glibc
import KernelMake
import SystemPackage

/// Objects that make would compile again because of header changes that do not affect them.
///
/// A new line in the calls' table changes headers that nearly every file includes, for a number that hardly one of them
/// uses. make only compares time stamps. `UnaffectedObjects` finds the objects that the change cannot reach: no file
/// that they were compiled from has the new names in any form, or uses a macro that follows from them. Those objects
/// get a new time stamp, and make finds them up to date; it compiles the rest.
package struct UnaffectedObjects {
    /// The changes of the headers since the last whole build.
    private let changes: [FilePath: HeaderChange]
    /// Headers that were made again with the same contents: only make regards them as changed.
    private let unchanged: Set<FilePath>
    private let make: KernelMake

    // MARK: Copies

    private static let copiesFolder = ".kbuild-headers"

    /// The headers to compare, by the names of their copies.
    private static func headers(_ make: KernelMake) throws -> [String: FilePath] {
        var headers: [String: FilePath] = [:]
        for path in HeaderChange.prototypeHeaders {
            headers["tree-" + path.split(separator: "/").joined(separator: "-")] = make.tree.pushing(FilePath(path))
        }
        for folder in ["arch/x86/include/generated/asm", "arch/x86/include/generated/uapi/asm"] {
            let path = make.output.pushing(FilePath(folder))
            guard isFolder(path) else { continue }
            for name in try namesInFolder(path) where HeaderChange.isGeneratedHeader(name) {
                headers["\(folder.split(separator: "/").joined(separator: "-"))-\(name)"] = path.appending(name)
            }
        }
        return headers.filter { fileExists($0.value) }
    }

    /// Keeps copies of the headers after a whole build.
    ///
    /// - Throws: `Failure` (`infrastructure`).
    package static func keepHeaders(of make: KernelMake) throws {
        let folder = make.output.appending(copiesFolder)
        try createFolder(folder)
        let headers = try headers(make)
        for name in try namesInFolder(folder) where headers[name] == nil { try removeAll(folder.appending(name)) }
        for (name, header) in headers {
            let bytes = try readBytes(header)
            let copy = folder.appending(name)
            if (try? readBytes(copy)) != bytes { try writeAtomically(bytes, to: copy) }
        }
    }

    /// Compares the headers with their copies.
    ///
    /// - Returns: Nil when none changed, or one changed in a way that needs a plain make.
    /// - Throws: `Failure` (`infrastructure`) when a header cannot be read.
    package init?(_ make: KernelMake, from buildSnapshot: BuildSnapshot?, to current: BuildSnapshot?) throws {
        guard let buildSnapshot, let current, buildSnapshot.command == current.command,
            buildSnapshot.fixtures == current.fixtures
        else { return nil }
        self.make = make
        let folder = make.output.appending(Self.copiesFolder)
        let headers = try Self.headers(make)
        guard isFolder(folder), Set(try namesInFolder(folder)) == Set(headers.keys) else { return nil }
        var changes: [FilePath: HeaderChange] = [:]
        var unchanged: Set<FilePath> = []
        for (name, header) in headers {
            let old = try readText(folder.appending(name))
            let new = try readText(header)
            if old == new {
                unchanged.insert(header.lexicallyNormalized())
                continue
            }
            guard let change = HeaderChange(path: header.string, from: old, to: new) else { return nil }
            changes[header.lexicallyNormalized()] = change
        }
        guard !changes.isEmpty else { return nil }
        self.changes = changes
        self.unchanged = unchanged
    }

    // MARK: Objects

    /// An object and the files that it was compiled from.
    private struct Compilation {
        var object: String
        /// The time when it was made, in nanoseconds.
        var time: Int64
        var files: [Int]
        /// Whether the object names lines of headers.
        var hasDebugInfo: Bool
    }

    /// Objects whose links and images have their own rules are left to make.
    private static let special: Set<Substring> = ["boot", "vdso", "realmode", "purgatory", "tools", "scripts"]

    /// Gives a new time stamp to the objects that the change cannot reach.
    ///
    /// - Returns: The objects, relative to the output folder.
    /// - Throws: `Failure` (`infrastructure`) when a file cannot be read; `CancellationError`.
    package func touch() throws -> [String] {
        let built = modified(BuildSnapshot.path(make.output)) ?? 0
        var files = FileNumbers(output: make.output)
        var compilations: [Compilation] = []
        for target in try CommandRecords(output: make.output).targets where target.hasSuffix(".o") {
            try Task.checkCancellation()
            guard !target.split(separator: "/").contains(where: Self.special.contains) else { continue }
            // An object that was compiled since may have been compiled from an intermediate state.
            guard let time = modified(make.output.pushing(FilePath(target))), time <= built else { continue }
            let record = try readText(make.output.pushing(FilePath(CommandRecords.record(of: target))))
            let own = dependencies(record, &files)
            guard !own.isEmpty else { continue }
            compilations.append(
                Compilation(
                    object: target, time: time, files: own, hasDebugInfo: Self.asksForDebugInfo(record)))
        }
        let paths = files.paths
        let times = paths.map(modified)
        let headers = Dictionary(
            uniqueKeysWithValues: changes.compactMap { path, change in
                files.number(of: path).map { ($0, change) }
            })
        let harmless = Set(unchanged.compactMap { files.number(of: $0) })
        let others = paths.indices.filter { headers[$0] == nil && times[$0] != nil }.map { paths[$0] }
        let reached = try filesInReach(of: Array(headers.values), others, paths)
        guard let reached else { return [] }
        var touched: [String] = []
        for compilation in compilations {
            var isConcerned = false
            var includesHeader = false
            for file in compilation.files {
                if let change = headers[file] {
                    includesHeader = true
                    if change.isList { isConcerned = true }
                    // Declarations after the change have other lines, and debug information names some of them.
                    if compilation.hasDebugInfo, !change.shifted.isEmpty { isConcerned = true }
                } else if reached.contains(file) {
                    isConcerned = true
                } else if !harmless.contains(file), times[file].map({ $0 > compilation.time }) ?? true {
                    // make has another reason to compile it.
                    isConcerned = true
                }
            }
            guard includesHeader, !isConcerned else { continue }
            try Self.setTime(of: compilation.object, in: make)
            touched.append(compilation.object)
        }
        return touched
    }

    /// Makes objects older than everything, so that make compiles them.
    ///
    /// - Throws: `Failure` (`infrastructure`) when one does not exist.
    package static func age(_ objects: [String], in make: KernelMake) throws {
        for object in objects { try setTime(of: object, in: make, to: timespec(tv_sec: 0, tv_nsec: 0)) }
    }

    /// Sets an object's time stamp; nil is now.
    private static func setTime(of object: String, in make: KernelMake, to time: timespec? = nil) throws {
        let path = make.output.pushing(FilePath(object))
        let result = time.map { time in utimensat(AT_FDCWD, path.string, [time, time], 0) }
        guard result ?? utimensat(AT_FDCWD, path.string, nil, 0) == 0 else {
            throw Failure(.infrastructure, "cannot touch \(path)", details: errnoText())
        }
    }

    /// The indexes of the files that the change affects; nil when this is not known.
    private func filesInReach(
        of changes: [HeaderChange], _ files: [FilePath], _ paths: [FilePath]
    ) throws -> Set<Int>? {
        let macros = changes.reduce(into: Set<String>()) { $0.formUnion($1.macros) }
        let scan = try TokenScan(for: macros, in: files)
        var reached = scan.users
        // The text after a change in a header has other line numbers, which some macros put into the code.
        let shifted = changes.map(\.shifted).filter { !$0.isEmpty }
        if !shifted.isEmpty {
            var definitions = try MacroDefinitions(of: files)
            // Only a kernel that profiles every branch has a macro of this name (include/linux/compiler.h).
            let configuration = (try? readText(make.output.appending("include/config/auto.conf"))) ?? ""
            if !configuration.contains("CONFIG_PROFILE_ALL_BRANCHES=y") { definitions.remove("if") }
            for text in shifted where definitions.reach("__LINE__", from: text) { return nil }
        }
        // A name as a word, in a longer word, or as a part that a macro puts together with others.
        var needles = changes.reduce(into: Set<String>()) { $0.formUnion($1.names) }.sorted().map { Needle($0) }
        // Numbers put together from other parts than the call's name: no file does that; if one did, nothing would be
        // known.
        let pasted = [Needle("__NR_##"), Needle("__NR_ ##")]
        needles += pasted
        var buffer = ReadBuffer()
        for file in files {
            try Task.checkCancellation()
            try buffer.read(file)
            let found = buffer.withBytes { bytes in
                needles.contains { $0.first(in: bytes, from: 0, to: bytes.count) != nil }
            }
            if found { reached.insert(file) }
        }
        return Set(paths.indices.filter { reached.contains(paths[$0]) })
    }

    /// Whether a record's command has an option for debug information, such as -g, -g1, -gdwarf-5 or -Wa,-gdwarf-5.
    static func asksForDebugInfo(_ record: String) -> Bool {
        // "cmd_kernel/fork.o := gcc ...", in newer kernels "savedcmd_...".
        let command = record.textLines().first { $0.hasPrefix("cmd_") || $0.hasPrefix("savedcmd_") } ?? ""
        return command.split(separator: " ").contains { word in
            word != "-g0" && (word.hasPrefix("-g") || word.hasPrefix("-Wa,-g"))
        }
    }

    /// The files in an object's record, as indexes in `paths`.
    private func dependencies(_ record: String, _ numbers: inout FileNumbers) -> [Int] {
        var files: [Int] = []
        var isList = false
        for line in record.textLines() {
            if line.hasPrefix("source_") || line.hasPrefix("deps_") {
                isList = true
                // "source_kernel/fork.o := PATH"
                guard line.hasPrefix("source_"), let sign = line.firstRange(of: " := ") else { continue }
                files.append(numbers.add(line[sign.upperBound...]))
                continue
            }
            guard isList else { continue }
            let word = line.drop { $0 == " " }.prefix { $0 != " " && $0 != "\\" }
            if word.isEmpty || word.hasPrefix("$(") || word.hasSuffix(":") { continue }
            if line.contains(":") { break }
            files.append(numbers.add(word))
        }
        return files
    }

    /// A file's time stamp in nanoseconds; nil when it does not exist.
    private func modified(_ path: FilePath) -> Int64? {
        FileStatus(path, followsLink: true)?.modified
    }
}

/// Numbers for the files that records name, each under one or more names.
private struct FileNumbers {
    private(set) var paths: [FilePath] = []
    private var byWord: [Substring: Int] = [:]
    private var byPath: [FilePath: Int] = [:]
    private let output: FilePath

    init(output: FilePath) { self.output = output }

    /// The number of the file with this name in a record: relative to the output folder, in which make's recipes run.
    mutating func add(_ word: Substring) -> Int {
        if let number = byWord[word] { return number }
        let path = output.pushing(FilePath(String(word))).lexicallyNormalized()
        let number = byPath[path] ?? paths.count
        if number == paths.count {
            paths.append(path)
            byPath[path] = number
        }
        byWord[word] = number
        return number
    }

    func number(of path: FilePath) -> Int? { byPath[path] }
}
