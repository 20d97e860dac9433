// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import GuestSession
import PatchedTree
import ResultsModel
import SystemPackage
import TestSession
import VirtualMachine

/// Everything that a guest needs, made and in place.
struct RunInputs: Sendable {
    /// The run's own folder, for logs and the files that the guest reads.
    var folder: FilePath
    var accelerator: ChosenAccelerator
    var patched: PatchedKernelArtifact
    var kernel: BuiltKernel
    var modules: ModuleSet
    var root: RootFilesystemArtifact
    var programs: ProgramSet
    var symbolizer: CrashSymbolizer

    /// The user's own files: by their paths in the kernel's tree, or the paths of the copies that were compiled.
    var userFiles: [String: FilePath] { patched.overlay.userFiles.merging(modules.userFiles) { first, _ in first } }

    /// The console's log.
    var consoleLog: FilePath { folder.appending("console.log") }

    /// Adds files and lines to an outcome's crash reports, if the kernel has debug information. A report without them
    /// is still correct, so no error here fails a run.
    func symbolized(_ outcome: SessionOutcome, _ progress: ProgressSink) async -> SessionOutcome {
        guard !outcome.crashes.isEmpty else { return outcome }
        var outcome = outcome
        do {
            let symbolized = try await symbolizer.symbolize(outcome.crashes)
            outcome.crashes = symbolized.crashes
            if let note = symbolized.note { progress(.detail("crash reports have no files and lines: \(note)")) }
        } catch {
            progress(.note("crash reports have no files and lines: \(error)"))
        }
        return outcome
    }
}

/// The guests of a run: their machines, programs and folders.
struct RunGuests: Sendable {
    var programs: ProgramSet
    /// The machines to try, in order.
    var machines: [MachineCandidate]
    /// The folder of the test programs, which guests mount.
    var share: FilePath
    /// The run's folder.
    var folder: FilePath
    /// The number of the repetition, whose guests' plans have names of their own; nil when the tests run once.
    var repetition: Int?
}
