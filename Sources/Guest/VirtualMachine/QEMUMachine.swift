// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Processes
import Synchronization
import SystemPackage

/// A guest in QEMU.
public struct QEMUMachine: BootingMachine {
    /// QEMU's configuration.
    public let configuration: MachineConfiguration
    let runner: CommandRunner

    /// Creates a machine; nothing runs yet.
    public init(_ configuration: MachineConfiguration, runner: CommandRunner) {
        self.configuration = configuration
        self.runner = runner
    }

    /// The same machine with a word added to the kernel's command line, before the user's.
    public func adding(kernelArgument word: String) -> QEMUMachine {
        var configuration = configuration
        // The user's words may end with `--` and words for another init.
        configuration.kernelArguments.insert(word, at: 0)
        return QEMUMachine(configuration, runner: runner)
    }

    /// QEMU with all its options.
    public func command(in folder: FilePath) -> Command {
        configuration.command(sockets: MachineSockets(folder: folder))
    }

    /// Whether test results are framed on the serial console.
    public var hasResultsOnConsole: Bool { configuration.results == .serial }

    /// Boots the guest and returns when QEMU has ended.
    public func run(_ handlers: MachineHandlers) async throws -> MachineExit {
        let crash = Mutex<MachineExit?>(nil)
        let keeping = try configuration.memoryDump.map { try runner.writing(to: $0.removingLastComponent()) } ?? runner
        let result = try await runMachine(handlers, runner: keeping) { links in
            var monitor = try await links.monitor()
            if configuration.waitsForDebugger { handlers.waitsForDebugger?(links.sockets.debugger) }
            let exit = try await monitor.watch(handlers.inspector, links, dump: configuration.memoryDump)
            crash.withLock { $0 = exit }
        } command: {
            try $1.createScratchDisks(configuration.disks.map(\.scratchMegabytes))
            return configuration.command(sockets: $1)
        }
        return crash.withLock { $0 } ?? Self.interpret(result)
    }

    static func interpret(_ result: CommandResult) -> MachineExit {
        switch result.status {
        case .exited(MachineConfiguration.exitCodeOfInit): return .finished
        case .exited(0): return .reset
        case .exited(MachineConfiguration.exitCodeOfPanic) where !result.errors.contains("qemu-system"):
            return .panicked
        default:
            return .failed(result.status, message: result.errors)
        }
    }
}
