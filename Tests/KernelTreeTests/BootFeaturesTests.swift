// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import KernelConfig

@Suite("Boot features", .timeLimit(.minutes(30)))
struct BootFeaturesTests {
    @Test("only options that are set count")
    func parsing() {
        let some = BootFeatures(
            parsing: "CONFIG_PVH=y\n# CONFIG_VIRTIO_MMIO is not set\nCONFIG_HZ_100=y\nCONFIG_HZ=100\n")
        #expect(some.isDirectlyBootable)
        #expect(!some.hasVirtioMMIO)
        #expect(some.timerHertz == 100)
        #expect(!BootFeatures(parsing: "CONFIG_PVH=y\nCONFIG_KASAN=y\n").isDirectlyBootable)
        let other = BootFeatures(parsing: "# CONFIG_PVH is not set\nCONFIG_VIRTIO_MMIO=y\n")
        #expect(!other.isDirectlyBootable)
        #expect(other.hasVirtioMMIO)
        #expect(other.timerHertz == 250)
    }
}
