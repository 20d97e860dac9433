// SPDX-License-Identifier: Apache-2.0
import CSupervisor
import Diagnostics
import Glibc
import SystemPackage

/// Implements `kbuild __supervise [--descriptor PATH]... [--system-call-filter NAME] COMMAND...`: runs the command
/// until it ends, or until standard input closes. The sockets and files are its descriptors 3, 4 and so on, and the
/// filter is the next one.
///
/// - Returns: The exit code to end with.
public func supervise(_ arguments: [String]) -> Int32 {
    var command = arguments[...]
    var descriptors: [String] = []
    while command.first == CommandRunner.descriptorArgument, let path = command.dropFirst().first {
        descriptors.append(path)
        command = command.dropFirst(2)
    }
    if command.first == CommandRunner.filterArgument {
        // Without the filter the command is not started.
        guard let name = command.dropFirst().first, let filter = SystemCallFilter(rawValue: name) else { return 127 }
        do throws(Failure) {
            // It stays open, close-on-exec, until this process ends; the child opens it again, at its beginning.
            descriptors.append("/proc/self/fd/\(try filter.makeFile().rawValue)")
        } catch {
            _ = try? FileDescriptor.standardError.writeAll("kbuild: \(error.message)\n".utf8)
            return 127
        }
        command = command.dropFirst(2)
    }
    guard !command.isEmpty else { return 127 }
    takeParentsPriority()
    func strings(_ words: [String]) -> [UnsafeMutablePointer<CChar>?] { words.map { strdup($0) } + [nil] }
    return kbuild_supervise(strings(Array(command)), strings(descriptors))
}

/// Restores the priority that the user gave kbuild (`nice kbuild run`), so that its children inherit it.
///
/// On Linux each thread has a priority. libdispatch sets that of its threads, which root may raise, so a child of such
/// a thread starts with another priority than that of kbuild's main thread.
private func takeParentsPriority() {
    errno = 0
    let priority = getpriority(__priority_which_t(PRIO_PROCESS.rawValue), UInt32(getppid()))
    if errno == 0 { _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, priority) }
}
