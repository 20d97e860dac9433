// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import CrashReports

@Suite("A kernel's functions by address", .timeLimit(.minutes(30)))
struct KernelSymbolsTests {
    private let symbols = KernelSymbols(
        parsing: """
            0000000000000000 A __per_cpu_start
            0000000000001000 D irq_stack
            ffffffff81000000 T _text
            ffffffff81000100 t helper.cold
            ffffffff81000100 T alias
            ffffffff81000180 D some_data
            ffffffff81000200 W weak_one
            ffffffff81000300 T _etext
            nonsense
            """)

    @Test(
        "an address belongs to the last function that begins before it",
        arguments: [
            (UInt64(0xffff_ffff_8100_0000), "_text+0x0"), (0xffff_ffff_8100_00ff, "_text+0xff"),
            (0xffff_ffff_8100_01a0, "alias+0xa0"), (0xffff_ffff_8100_0201, "weak_one+0x1"),
        ])
    func inside(address: UInt64, name: String) {
        #expect(symbols.name(at: address) == name)
    }

    @Test("an address outside of the code has no function", arguments: [UInt64(0), 0x1000, 0x7fff_0000, .max])
    func outside(address: UInt64) {
        #expect(symbols.name(at: address) == nil)
        #expect(KernelSymbols(parsing: "").name(at: address) == nil)
    }
}
