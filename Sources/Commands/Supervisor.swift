import CSupervisor
import Glibc

/// What `kbuild __supervise COMMAND...` does: runs the command until it ends, or until standard input closes.
///
/// - Returns: The exit code to end with.
public func supervise(_ arguments: [String]) -> Int32 {
    var strings: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    strings.append(nil)
    return kbuild_supervise(strings)
}
