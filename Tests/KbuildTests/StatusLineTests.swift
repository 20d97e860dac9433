// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import kbuild

@Suite("Status line", .timeLimit(.minutes(30)))
struct StatusLineTests {
    private let start = ContinuousClock.now

    private func line(_ steps: [String] = ["compile"]) -> StatusLine {
        var line = StatusLine()
        for step in steps { line.begin(step, at: start) }
        return line
    }

    @Test("it shows the step, the time, the progress and the current item, if there is room")
    func room() {
        var line = line()
        line.advance("compile", done: 311, total: 1088, label: "drivers/virtio/virtio_mmio.o")
        let now = start + .seconds(42)
        #expect(
            line.text(width: 119, at: now) == "compile 42 s [####------------] 311/1088 drivers/virtio/virtio_mmio.o")
        #expect(line.text(width: 60, at: now) == "compile 42 s [##------] 311/1088 …ivers/virtio/virtio_mmio.o")
        #expect(line.text(width: 39, at: now) == "compile 42 s 311/1088 …io/virtio_mmio.o")
        #expect(line.text(width: 24, at: now) == "compile 42 s 311/1088")
    }

    @Test("it is never wider than the terminal", arguments: 0...130)
    func width(_ width: Int) {
        var line = line(["compile", "rootfs", "accelerator"])
        line.advance("compile", done: 9, total: 3, label: String(repeating: "x", count: 300))
        line.advance("rootfs", done: 1, total: nil, label: "/usr/lib")
        line.name("probing")
        #expect(line.text(width: width, at: start + .seconds(100_000)).count <= width)
    }

    @Test("concurrent steps share it, and are removed when they end")
    func steps() {
        var line = line(["compile", "rootfs"])
        line.advance("compile", done: 1, total: 4, label: "a.o")
        line.advance("rootfs", done: 20, total: nil, label: "")
        line.advance("nothing", done: 1, total: 2, label: "lost")
        #expect(line.text(width: 100, at: start) == "compile [##------] 1/4 a.o · rootfs 20")
        line.end("compile")
        line.name("M.S/test()")
        #expect(line.text(width: 100, at: start) == "rootfs 20 M.S/test()")
        line.end("rootfs")
        #expect(line.isEmpty)
        #expect(line.text(width: 100) == "")
    }
}
