// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import FileSystem
import KernelBuild
import KernelConfig
import KernelMake
import KernelSource
import PatchedTree
import Processes
import Project
import SystemPackage

import struct Foundation.Data
import class Foundation.JSONDecoder
import class Foundation.JSONEncoder

/// The inputs of a finished output that matter for another one to start from it. The record is beside the output.
struct OutputDescription: Codable, Equatable {
    var format = 1
    /// The pristine source's identity.
    var source: String
    /// The digest of all tools.
    var tools: String
    var architecture: String
    var hasDebugInfo: Bool
    var base: String
    /// The requested configuration, as sorted lines.
    var options: [String]

    /// Nil when there is no readable record.
    static func load(_ path: FilePath) -> OutputDescription? {
        guard let bytes = try? readBytes(path) else { return nil }
        let description = try? JSONDecoder().decode(OutputDescription.self, from: Data(bytes))
        return description.flatMap { $0.format == 1 ? $0 : nil }
    }

    /// How much the configurations differ; nil when an output of one cannot be used for the other: with another source,
    /// other tools, another machine, or objects that name their tree.
    func distance(to other: OutputDescription) -> Int? {
        guard source == other.source, tools == other.tools, architecture == other.architecture, !hasDebugInfo,
            !other.hasDebugInfo
        else { return nil }
        // A base sets hundreds of options.
        return Set(options).symmetricDifference(other.options).count + (base == other.base ? 0 : 200)
    }
}

/// A finished output that another one starts from.
struct OutputOrigin: Sendable {
    /// How the finished output was built.
    var make: KernelMake
    /// The folder of its tree and outputs.
    var folder: FilePath
    /// The number of options in which the configurations differ.
    var distance: Int
    /// When it was last used, in nanoseconds since 1970.
    var used: Int64

    var output: FilePath { make.output }

    /// The nearest first: by configuration, then those of the same tree, then the most recently used.
    static func sorted(_ origins: [OutputOrigin], for folder: FilePath) -> [OutputOrigin] {
        func isBefore(_ left: OutputOrigin, _ right: OutputOrigin) -> Bool {
            if left.distance != right.distance { return left.distance < right.distance }
            let (isLeftOwn, isRightOwn) = (left.folder == folder, right.folder == folder)
            if isLeftOwn != isRightOwn { return isLeftOwn }
            if left.used != right.used { return left.used > right.used }
            return left.output.string < right.output.string
        }
        return origins.sorted(by: isBefore)
    }
}

/// New outputs start from finished ones.
extension KernelSteps {
    private var tools: ToolContext { context.tools }

    private func description(of patched: PatchedKernelArtifact) throws -> OutputDescription {
        OutputDescription(
            source: patched.pristine.identity.hex, tools: try toolsDigest().hex,
            architecture: context.project.architecture.rawValue, hasDebugInfo: context.project.kernel.hasDebugInfo,
            base: patched.request.base.name, options: patched.request.text.textLines().map(String.init).sorted())
    }

    /// Records the inputs of an output, for later builds that start from it.
    func describeOutput(of patched: PatchedKernelArtifact) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        try writeAtomically(
            try encoder.encode(try description(of: patched)),
            to: mark(.description, patched.pristine, patched.request))
    }

    /// The finished outputs that a new one may start from, the nearest first. Outputs of confined builds are never
    /// among them: output of a stranger's makefiles is used only for these patches.
    func possibleOrigins(of patched: PatchedKernelArtifact) throws -> [OutputOrigin] {
        let own = folder(for: patched.pristine)
        guard let name = own.lastComponent else { return [] }
        let wanted = try description(of: patched)
        let make = make(patched)
        var found: [OutputOrigin] = []
        for project in (try? namesInFolder(tools.layout.projects)) ?? [] {
            let folder = tools.layout.projects.appending(project).appending(name)
            let tree = folder.appending("tree")
            let outputs = folder.appending(CacheLayout.outputs)
            for file in (try? namesInFolder(outputs)) ?? [] {
                guard let output = OutputMark.description.output(ofMark: outputs.appending(file)),
                    output != make.output, KernelBuilder.isFinished(output),
                    let distance = OutputDescription.load(outputs.appending(file))?.distance(to: wanted),
                    sourceCache(.silent).planWorkTree(of: patched.pristine, at: tree) == .unchanged
                else { continue }
                var origin = make
                (origin.tree, origin.output) = (tree, output)
                found.append(
                    OutputOrigin(
                        make: origin, folder: folder, distance: distance,
                        used: FileStatus(output)?.modified ?? 0))
            }
        }
        return OutputOrigin.sorted(found, for: own)
    }

    /// Starts an output in which make never ran from the nearest finished one. The caller holds the own tree's lock.
    ///
    /// - Returns: The origin; nil when there is none, or when the output exists already.
    /// - Throws: `CancellationError`. After any other error the output is empty, which only takes longer.
    func startOutput(of patched: PatchedKernelArtifact, _ progress: ProgressSink) async throws -> OutputOrigin? {
        let make = make(patched)
        guard !KernelBuilder.hasBegun(make.output) else { return nil }
        try removeSurplusOutputs(patched.pristine)
        // Objects with debug information name their tree.
        guard !context.project.kernel.hasDebugInfo else { return nil }
        let environment = try await tooling(make).environment
        let builder = KernelBuilder(runner: tools.runner, environment: environment)
        for origin in try possibleOrigins(of: patched).prefix(Self.mostOrigins) {
            do {
                var lock: FileLock?
                if origin.folder != folder(for: patched.pristine) {
                    lock = try FileLock.attempt(Self.lockName(origin.folder), in: tools.layout)
                    let tree = WorkTree(tree: origin.make.tree, pristine: patched.pristine.folder)
                    guard lock != nil, tree.isAsRecorded(), KernelBuilder.isFinished(origin.output) else { continue }
                }
                defer { withExtendedLifetime(lock) {} }
                let leftOut = try builder.startOutput(of: make, from: origin.make)
                progress(
                    .detail(
                        "the output starts from \(origin.output): \(origin.distance) options differ, "
                            + "\(pluralized(leftOut, "object")) left out"))
                return origin
            } catch let failure as Failure {
                progress(.detail("the output cannot start from \(origin.output): \(failure.message)"))
            }
        }
        return nil
    }

    /// The most finished outputs to try.
    private static let mostOrigins = 3

    /// The name of the lock of a folder of a tree and its outputs.
    static func lockName(_ folder: FilePath) -> String { "kernel-" + Digest.of(folder.string).short }

    /// The bytes that the outputs of one tree may take before another one is added: some twenty kernels, or four with
    /// debug information.
    private static let mostOutputBytes = 4 << 30

    /// Removes the outputs that were used least recently, so that a configuration that changes each day does not fill
    /// the disk.
    private func removeSurplusOutputs(_ pristine: KernelSourceArtifact) throws {
        struct Output {
            var path: FilePath
            var used: Int64
        }
        var outputs: [Output] = []
        for folder in CacheLayout.outputFolders(of: folder(for: pristine)) {
            outputs += ((try? namesInFolder(folder)) ?? []).map { folder.appending($0) }
                .compactMap { path in
                    FileStatus(path).map { $0.isFolder ? Output(path: path, used: $0.modified) : nil } ?? nil
                }
        }
        var counter = TreeUsageCounter()
        var bytes = 0
        for output in outputs.sorted(by: { ($0.used, $0.path.string) > ($1.used, $1.path.string) }) {
            bytes += counter.usage(of: output.path).bytes
            guard bytes > Self.mostOutputBytes else { continue }
            try removeAll(output.path)
            for mark in OutputMark.allCases { try removeAll(mark.path(of: output.path)) }
        }
    }

    /// Removes all outputs of a tree.
    func removeOutputs(_ pristine: KernelSourceArtifact) throws {
        for folder in CacheLayout.outputFolders(of: folder(for: pristine)) { try removeAll(folder) }
    }
}
