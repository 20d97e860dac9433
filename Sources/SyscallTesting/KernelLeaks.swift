// SPDX-License-Identifier: Apache-2.0
import Glibc

/// kmemleak's file, in debugfs: Documentation/dev-tools/kmemleak.rst.
private let kmemleak = "/sys/kernel/debug/kmemleak"

/// Whether the kernel has kmemleak (CONFIG_DEBUG_KMEMLEAK), which `kernelLeaks` asks. Mounts debugfs if necessary.
public let isKmemleakAvailable: Bool = {
    if access(kmemleak, F_OK) != 0 { _ = mount("debugfs", "/sys/kernel/debug", "debugfs", 0, nil) }
    return access(kmemleak, R_OK | W_OK) == 0
}()

/// Runs `body` and returns the kernel's memory leaks: kmemleak's reports of memory that was allocated meanwhile and is
/// no longer referenced, one for each stack of an allocation.
///
///     #expect(try kernelLeaks { _ = try? syscall(__NR_memcpy, bad, buffer, 16) } == [])
///
/// This takes about six seconds, because kmemleak does not report younger memory. An unrelated word that happens to
/// hold the address hides a leak, so let `body` repeat the calls several times.
///
/// - Throws: `Errno` when kmemleak cannot be asked; what `body` throws.
public func kernelLeaks(during body: () throws -> Void) throws -> [String] {
    // The first scan of an object only computes its checksum; the second may report it.
    try command("scan")
    try command("scan")
    try command("clear")
    try body()
    // MSECS_MIN_AGE in mm/kmemleak.c is 5000.
    sleep(6)
    try command("scan")
    try command("scan")
    var reports: [String] = []
    for line in try readReports().split(separator: "\n") {
        if line.hasPrefix("unreferenced object") || reports.isEmpty {
            reports.append(String(line))
        } else {
            reports[reports.count - 1] += "\n" + line
        }
    }
    var stacks: Set<Substring> = []
    return reports.filter { report in
        // Newer kernels add a checksum of the object to this line.
        let title = report.firstRange(of: "backtrace")?.lowerBound ?? report.startIndex
        let stack = report[title...].drop { $0 != "\n" }
        return stacks.insert(stack).inserted
    }
}

/// Each command is one write.
private func command(_ word: String) throws(Errno) {
    let descriptor = open(kmemleak, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Errno(errno) }
    defer { close(descriptor) }
    let bytes = Array(word.utf8)
    guard write(descriptor, bytes, bytes.count) == bytes.count else { throw Errno(errno) }
}

private func readReports() throws(Errno) -> String {
    let descriptor = open(kmemleak, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Errno(errno) }
    defer { close(descriptor) }
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        guard count >= 0 else { throw Errno(errno) }
        if count == 0 { return String(decoding: text, as: UTF8.self) }
        text += buffer[..<count]
    }
}
