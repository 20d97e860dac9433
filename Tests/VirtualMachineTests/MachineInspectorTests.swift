// SPDX-License-Identifier: Apache-2.0
import Synchronization
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

    @Test("an answer of sysrq counts once, however its line is cut, and only when it is awaited")
    func marks() {
        let text = Array("[1.0] sysrq: Show State\nsyssysrq: HELP : loglevel(0-9)\nsysrq:no\nsysrq".utf8)
        for size in 1...text.count {
            var answers = SysrqAnswers()
            answers.hear(text, at: .now)
            #expect(answers.count == 0)
            answers.begin(at: .now)
            for start in stride(from: 0, to: text.count, by: size) {
                answers.hear(Array(text[start..<min(start + size, text.count)]), at: .now)
            }
            #expect(answers.count == 2, "\(size)")
            answers.hear(Array(": x".utf8), at: .now)
            #expect(answers.count == 3)
        }
    }

    @Test("each letter is sent when the kernel has begun to answer the one before, and the last answer is awaited")
    func letters() async throws {
        let inspector = MachineInspector()
        let sent = Mutex<[UInt8]>([])
        let isComplete = try await inspector.ask("lwd".utf8, silence: .seconds(600)) { letter in
            sent.withLock { $0.append(letter) }
            inspector.hear(Array("sysrq: Show \(letter)\n".utf8))
            return true
        }
        #expect(isComplete)
        #expect(sent.withLock { $0 } == Array("lwdh".utf8))
    }

    @Test("a kernel that does not answer is asked once, and one that cannot be asked is not waited for")
    func silentKernel() async throws {
        let inspector = MachineInspector()
        let sent = Mutex(0)
        #expect(
            try await !inspector.ask("lwd".utf8, silence: .milliseconds(20)) { _ in
                sent.withLock { $0 += 1 }
                return true
            })
        #expect(sent.withLock { $0 } == 1)
        #expect(try await !inspector.ask("l".utf8, silence: .seconds(3600)) { _ in false })
    }
}
