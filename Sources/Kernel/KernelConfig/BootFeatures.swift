// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import SystemPackage

/// What a kernel's configuration says about the machines on which it can boot.
public struct BootFeatures: Sendable, Hashable {
    /// Whether QEMU can start its ELF file without firmware or decompression: with CONFIG_PVH, and without
    /// CONFIG_KASAN, which instruments that entry (arch/x86/platform/pvh) before its shadow memory exists: a triple
    /// fault.
    public var isDirectlyBootable: Bool
    /// Whether it finds virtio devices that are not on a PCI bus (CONFIG_VIRTIO_MMIO).
    public var hasVirtioMMIO: Bool
    /// Whether its addresses differ from boot to boot (CONFIG_RANDOMIZE_BASE).
    public var movesItself: Bool
    /// Its timer interrupts a second (CONFIG_HZ).
    public var timerHertz: Int

    /// Reads a `.config`.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it cannot be read.
    public init(config: FilePath) throws {
        self.init(parsing: try readText(config))
    }

    init(parsing text: String) {
        let lines = text.textLines()
        isDirectlyBootable = lines.contains("CONFIG_PVH=y") && !lines.contains("CONFIG_KASAN=y")
        hasVirtioMMIO = lines.contains("CONFIG_VIRTIO_MMIO=y")
        movesItself = lines.contains("CONFIG_RANDOMIZE_BASE=y")
        let hertz = lines.first { $0.hasPrefix("CONFIG_HZ=") }.flatMap { Int($0.dropFirst("CONFIG_HZ=".count)) }
        // The default of kernel/Kconfig.hz.
        timerHertz = hertz ?? 250
    }
}
