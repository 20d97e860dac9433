// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import VirtualMachine

@Suite("State of a guest's processors", .timeLimit(.minutes(30)))
struct MachineInspectorTests {
    @Test("each processor's address, mode and flags are read, and other text is ignored")
    func registers() {
        let text = """

            CPU#0
            RAX=0000000000000000 RBX=0000000000000001 RCX=0000000000000000 RDX=0000000000000000
            RIP=ffffffff81a0e4ab RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1
            ES =0000 0000000000000000 ffffffff 00c00000
            CPU#1\r
            RIP=ffffffff8105b1c2 RFL=00000046 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=0\r
            CPU#2
            RIP=00007f1200001000 RFL=00000202 [-------] CPL=3 II=0 A20=1 SMM=0 HLT=0
            CPU#3
            RIP=nonsense RFL=00000202 CPL=3
            """
        #expect(
            ProcessorState.parse(text) == [
                ProcessorState(
                    index: 0, address: 0xffff_ffff_81a0_e4ab, isInProgram: false, takesInterrupts: true, isHalted: true),
                ProcessorState(
                    index: 1, address: 0xffff_ffff_8105_b1c2, isInProgram: false, takesInterrupts: false,
                    isHalted: false),
                ProcessorState(
                    index: 2, address: 0x7f12_0000_1000, isInProgram: true, takesInterrupts: true, isHalted: false),
            ])
        #expect(ProcessorState.parse("").isEmpty)
        #expect(ProcessorState.parse("RIP=1 RFL=2 CPL=0").isEmpty)
    }

    @Test("there is no wait for a machine that cannot answer")
    func noAnswer() async {
        #expect(await MachineInspector().inspect(within: .seconds(3600)).isEmpty)
    }

    @Test("the wait for a machine's answer is limited")
    func lateAnswer() async {
        let inspector = MachineInspector()
        inspector.serve()
        #expect(await inspector.inspect(within: .milliseconds(10)).isEmpty)
    }
}
