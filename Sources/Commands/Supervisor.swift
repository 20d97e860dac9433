import CSupervisor
import Glibc

/// What `kbuild __supervise [--descriptor PATH]... COMMAND...` does: runs the command until it ends, or until standard input
/// closes, with the sockets and files open as its descriptors 3, 4 and so on.
///
/// - Returns: The exit code to end with.
public func supervise(_ arguments: [String]) -> Int32 {
    var command = arguments[...]
    var descriptors: [String] = []
    while command.first == CommandRunner.descriptorArgument, let path = command.dropFirst().first {
        descriptors.append(path)
        command = command.dropFirst(2)
    }
    guard !command.isEmpty else { return 127 }
    func strings(_ words: [String]) -> [UnsafeMutablePointer<CChar>?] { words.map { strdup($0) } + [nil] }
    return kbuild_supervise(strings(Array(command)), strings(descriptors))
}
