// SPDX-License-Identifier: Apache-2.0
import CInit

/// How often the code of the project's objects ran, as the kernel counts it (CONFIG_GCOV_KERNEL;
/// Documentation/dev-tools/gcov.rst): one file for each object that was compiled to count.
///
/// A `coverage` frame carries the path of an object's counters, a line feed, and the counters as they are: they go on
/// counting from one frame to the next. Only what has changed is sent.
struct CoverageCounters {
    /// Where the kernel shows them.
    private let folder: String
    private var files: [String] = []
    /// What was read last, by file.
    private var captured: [[UInt8]] = []
    /// What the host knows.
    private var sent: [[UInt8]] = []

    init(folder: String = "/sys/kernel/debug/gcov") { self.folder = folder }

    /// Looks for objects: modules that are loaded later bring theirs then.
    mutating func findObjects() { find(in: folder) }

    private mutating func find(in parent: String) {
        for name in System.names(in: parent) {
            let path = "\(parent)/\(name)"
            let bytes = Array(name.utf8)
            if bytes.hasSuffix(".gcda") {
                guard !files.contains(path) else { continue }
                files.append(path)
                captured.append([])
                sent.append([])
            } else if !bytes.hasSuffix(".gcno"), path != "\(folder)/reset" {
                find(in: path)
            }
        }
    }

    /// Reads all counters.
    mutating func capture() {
        for index in files.indices {
            if let bytes = System.read(files[index]), !bytes.isEmpty { captured[index] = bytes }
        }
    }

    /// Sends what was read and has changed since it was last sent.
    mutating func send(_ channel: inout Channel) {
        for index in files.indices where captured[index] != sent[index] {
            let name = Array(Array(files[index].utf8).dropFirst(folder.utf8.count))
            channel.send("coverage", name + [UInt8(ascii: "\n")] + captured[index])
            sent[index] = captured[index]
        }
    }

    /// Has everything sent again: another guest wakes, and its host knows nothing.
    mutating func restart() {
        for index in sent.indices { sent[index] = [] }
    }
}

extension Array where Element == UInt8 {
    fileprivate func hasSuffix(_ text: String) -> Bool {
        let suffix = Array(text.utf8)
        return count >= suffix.count && Array(self[(count - suffix.count)...]) == suffix
    }
}
