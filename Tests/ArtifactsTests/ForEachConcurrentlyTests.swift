// SPDX-License-Identifier: Apache-2.0
import Synchronization
import Testing

@testable import Artifacts

@Suite("work on all processors", .timeLimit(.minutes(30)))
struct ForEachConcurrentlyTests {
    private struct Broken: Error {}

    @Test("each element is worked on once, whatever the sizes", arguments: [0, 1, 2, 5, 1000], [1, 3, 4096])
    func all(count: Int, batch: Int) throws {
        let seen = Mutex<[Int]>([])
        try forEachConcurrently(Array(0..<count), batch: batch) { number in seen.withLock { $0.append(number) } }
        #expect(seen.withLock { $0.sorted() } == Array(0..<count))
    }

    @Test("an error ends the work after its batch, and is thrown")
    func failing() {
        let seen = Mutex(0)
        #expect(throws: Broken.self) {
            try forEachConcurrently(Array(0..<1000), batch: 10) { number in
                seen.withLock { $0 += 1 }
                if number == 25 { throw Broken() }
            }
        }
        #expect(seen.withLock { $0 } <= 30)
    }

    @Test("a cancelled task stops before the next batch")
    func cancelled() async {
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try forEachConcurrently([1, 2, 3]) { _ in Issue.record("there was work") }
        }
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}
