// SPDX-License-Identifier: Apache-2.0
import Application
import Diagnostics
import Foundation
import RootFilesystem
import SystemPackage
import VirtualMachine

/// Work in a separate process, so that a crash or hang does not affect kbuild; nil when `name` is not the name of such
/// work.
func helperProcess(_ name: String, _ arguments: [String]) -> Int32? {
    switch name {
    case AcceleratorProbe.argument: kvmProbeMain()
    case imageBuilderArgument: imageBuilderMain(arguments: arguments)
    default: nil
    }
}

/// Compiles the guest's init for an installation, and returns the exit code.
func compileInit(_ sources: FilePath, to target: FilePath) async -> Int32 {
    let here = FilePath(FileManager.default.currentDirectoryPath)
    do {
        try await CompiledInit.compile(
            here.pushing(sources), to: here.pushing(target), environment: ProcessInfo.processInfo.environment,
            supervisor: ownExecutable())
        return ExitStatus.success.rawValue
    } catch {
        let failure = error as? Failure ?? Failure(.infrastructure, "\(error)")
        StandardStream.errors.write(failure.terminalText)
        return failure.code.rawValue
    }
}
