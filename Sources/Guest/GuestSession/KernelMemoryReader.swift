// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Project
import RootFilesystem
import SystemPackage
import TestSession
import VirtualMachine

/// Reads the taint and the log of a guest's kernel from its memory, where no program of the guest can change them.
package struct KernelMemoryReader: Sendable {
    /// Their addresses, or why these are not known.
    private let layout: Result<KernelLogLayout, KernelLogLayout.Obstacle>

    /// The most time for a machine to return its guest's memory: a thousand times the time on an idle host.
    private static let limit: Duration = .seconds(5)

    /// Finds the addresses in a kernel's symbols, once for all of a run's guests. The file may come from a patch's
    /// author, and no tool is started on it.
    package init(vmlinux: FilePath) {
        do {
            let symbols = try ELFSymbols(KernelLogLayout.symbols, in: vmlinux).symbols
            layout = Result { () throws(KernelLogLayout.Obstacle) in
                try KernelLogLayout(symbols.mapValues { .init(address: $0.address, size: $0.size) })
            }
        } catch {
            layout = .failure(.init([error.message, error.details].compactMap { $0 }.joined(separator: ": ")))
        }
    }

    /// Reads them from a running machine.
    package func read(_ inspector: MachineInspector) async -> KernelMemoryReading {
        do {
            let layout = try layout.get()
            return .read(
                try await layout.read { ranges in
                    let ranges = ranges.map { GuestMemoryRange($0.address, $0.count) }
                    switch await inspector.read(ranges, within: Self.limit) {
                    case .bytes(let parts): return parts
                    case .unread(let reason): throw KernelLogLayout.Obstacle(reason)
                    }
                })
        } catch let obstacle as KernelLogLayout.Obstacle {
            return .unread(obstacle.reason)
        } catch {
            return .unread("\(error)")
        }
    }
}
