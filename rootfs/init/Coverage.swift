// SPDX-License-Identifier: Apache-2.0
import CInit

/// The coverage counters of the project's objects (CONFIG_GCOV_KERNEL; Documentation/dev-tools/gcov.rst): one file for
/// each instrumented object.
///
/// A `coverage` frame contains the path of an object's counters, a line feed, and the raw counters, which are not reset
/// between frames. Only changed counters are sent.
struct CoverageCounters {
    /// The kernel's folder of counters.
    private let folder: String
    private var files: [String] = []
    /// The counters last read, by file.
    private var captured: [[UInt8]] = []
    /// The counters last sent to the host.
    private var sent: [[UInt8]] = []

    init(folder: String = "/sys/kernel/debug/gcov") { self.folder = folder }

    /// Searches for objects: modules that are loaded later add theirs.
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

    /// Sends the counters that have changed since they were last sent.
    mutating func send(_ channel: inout Channel) {
        for index in files.indices where captured[index] != sent[index] {
            let name = Array(Array(files[index].utf8).dropFirst(folder.utf8.count))
            channel.send("coverage", name + [UInt8(ascii: "\n")] + captured[index])
            sent[index] = captured[index]
        }
    }

    /// Forces all counters to be sent again: in a restored guest, the host has received none.
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
