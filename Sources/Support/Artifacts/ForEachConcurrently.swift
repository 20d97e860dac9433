// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Synchronization

import class Foundation.ProcessInfo

/// Does work on each element of a list, on all processors at once. Neighbours in the list are worked on by one
/// processor, because files in one folder wait for each other.
///
/// - Parameters:
///   - elements: The list.
///   - batch: After how many elements a cancellation is noticed.
///   - body: The work, which is called on several threads.
/// - Throws: The first error of `body`, after which the rest of a batch may still be worked on; `CancellationError`.
package func forEachConcurrently<Element: Sendable>(
    _ elements: [Element], batch: Int = 4096, _ body: @Sendable (Element) throws -> Void
) throws {
    let processors = max(1, ProcessInfo.processInfo.activeProcessorCount)
    let failure = Mutex<(any Error)?>(nil)
    for start in stride(from: 0, to: elements.count, by: max(1, batch)) {
        try Task.checkCancellation()
        let end = min(elements.count, start + max(1, batch))
        let size = (end - start + processors - 1) / processors
        DispatchQueue.concurrentPerform(iterations: processors) { part in
            do {
                for index in min(end, start + part * size)..<min(end, start + (part + 1) * size) {
                    try body(elements[index])
                }
            } catch {
                failure.withLock { $0 = $0 ?? error }
            }
        }
        if let error = failure.withLock({ $0 }) { throw error }
    }
}
