// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import SyscallNumbers
import SyscallTesting

/// What processes that put messages into the box and processes that get them at the same time made of it.
public struct MsgboxExchange {
    /// How the putting processes ended, then the getting ones: 0 when every call did as documented.
    public var endings: [ChildProcess.Ending] = []
    /// How many messages came other than exactly once, or are none that was put.
    public var wrong = 0

    /// Lets `putters` processes put `messagesEach` messages of eight bytes each, while `getters` processes get them
    /// until all is put and the box is empty. All begin together, or with `isFullFirst` the getting ones once all is
    /// put, so that they meet on a full box.
    public init(putters: Int, getters: Int, messagesEach: Int, isFullFirst: Bool = false) throws {
        // How many are ready, how many still put, how many messages nobody put; then each message's arrivals.
        let (ready, putting, unknown, first) = (0, 1, 2, 3)
        let total = putters * messagesEach
        let counters = try SharedCounters(count: first + total)
        let shared = counters.pointer
        shared[putting].store(putters, ordering: .sequentiallyConsistent)
        let everybody = putters + getters

        /// Waits for the others; otherwise the first is through before the last is there.
        func begin() {
            shared[ready].add(1, ordering: .sequentiallyConsistent)
            while shared[ready].load(ordering: .sequentiallyConsistent) < everybody { sched_yield() }
        }
        var children: [ChildProcess] = []
        for putter in 0..<putters {
            children.append(
                try ChildProcess {
                    if !isFullFirst { begin() }
                    var status: Int32 = 0
                    for index in 0..<messagesEach {
                        var message = putter * messagesEach + index
                        let result = withUnsafeMutablePointer(to: &message) {
                            rawSyscall(__NR_dm510_msgbox_put, Int(bitPattern: $0), MemoryLayout<Int>.size)
                        }
                        if result != 0 { status = 1 }
                    }
                    shared[putting].subtract(1, ordering: .sequentiallyConsistent)
                    if isFullFirst { begin() }
                    return status
                })
        }
        for _ in 0..<getters {
            children.append(
                try ChildProcess {
                    begin()
                    while true {
                        // Empty after the last put: whatever is missing now is lost.
                        let isLast = shared[putting].load(ordering: .sequentiallyConsistent) == 0
                        var message = -1
                        let result = withUnsafeMutablePointer(to: &message) {
                            rawSyscall(__NR_dm510_msgbox_get, Int(bitPattern: $0), MemoryLayout<Int>.size)
                        }
                        if result == -Int(ENODATA) {
                            if isLast { return 0 }
                            sched_yield()
                        } else if result != MemoryLayout<Int>.size {
                            return 1
                        } else if message >= 0, message < total {
                            shared[first + message].add(1, ordering: .sequentiallyConsistent)
                        } else {
                            shared[unknown].add(1, ordering: .sequentiallyConsistent)
                        }
                    }
                })
        }
        for child in children { endings.append(try child.wait()) }
        wrong = counters[unknown] + (first..<counters.count).count { counters[$0] != 1 }
    }
}
