// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import PatchedTree
import Project
import SystemPackage

/// The compiler's notes on an instrumented object (`.gcno`), which gcov needs to read its counters. The store keeps
/// them with the kernel, because the output folder has only those of the last build.
enum CoverageNotes {
    /// The name under which the store has the notes of a C file of the kernel's tree.
    static func name(of file: String) -> String { "\(file.dropLast(2).replacing("/", with: ","))\(suffix)" }
    static let suffix = ".gcno"
    /// The file with an entry for each system call that may be missing, to which a new call adds a line. It contains no
    /// user code.
    static let stubs = "kernel/sys_ni.c"
}

extension KernelSteps {
    /// The C files whose coverage is collected, by their paths in the kernel's tree.
    func coverageFiles(_ overlay: TreeOverlay) -> [String] {
        guard let coverage = context.project.coverage else { return [] }
        guard coverage.files.isEmpty else { return coverage.files }
        return Self.sourceFiles(overlay).filter { $0 != CoverageNotes.stubs }
    }

    /// Instruments the objects of these files.
    func coverageVariables(_ overlay: TreeOverlay) -> [String] {
        Self.objects(of: coverageFiles(overlay)).map { "GCOV_PROFILE_\($0)=y" }
    }

    /// Checks that there is a file to collect coverage of.
    ///
    /// - Throws: `Failure` (`usage`) when there is none.
    func checkCoverage(_ overlay: TreeOverlay) throws(Failure) {
        guard context.project.coverage != nil, coverageFiles(overlay).isEmpty else { return }
        throw Failure(
            .usage, "there is no file to collect coverage of: the patches add or change no C file",
            nextStep: "name C files of the kernel's tree in coverage.files, such as [kernel/signal.c]")
    }

    /// Copies the notes of the objects that a build made to the folder of its kernel. A file that is not compiled into
    /// this kernel has no notes.
    func keepCoverageNotes(of patched: PatchedKernelArtifact, in folder: FilePath) throws {
        for file in coverageFiles(patched.overlay) {
            let notes = output(patched.pristine, patched.request).pushing(
                FilePath("\(file.dropLast(2))\(CoverageNotes.suffix)"))
            guard fileExists(notes) else { continue }
            try copyFile(notes, to: folder.appending(CoverageNotes.name(of: file)))
        }
    }
}
