// SPDX-License-Identifier: Apache-2.0
import CInit

/// How a program ended, in the form for the host.
enum Ending {
    case exited(Int32)
    case signaled(Int32)
    case timedOut
    case notStarted(String)

    var payload: String {
        switch self {
        case .exited(let code): "exit \(code)"
        case .signaled(let signal): "signal \(signal)"
        case .timedOut: "timeout"
        case .notStarted(let reason): "failed \(reason)"
        }
    }

    /// The ending by a status of waitpid.
    init(status: Int32) {
        self = kbuild_exited(status) != 0 ? .exited(kbuild_exit_status(status)) : .signaled(kbuild_term_signal(status))
    }
}
