// SPDX-License-Identifier: Apache-2.0
import Glibc
import GuestSession
import Synchronization

/// The terminal that kbuild was started on.
enum Terminal {
    /// Its settings before they were changed; nil while they are as they were.
    private static let original = Mutex<termios?>(nil)

    /// Whether somebody sits at both ends: what is typed comes on standard input, and what is printed is seen.
    static var isThere: Bool { isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 }

    /// Whether each key goes to the guest as it is.
    static var isRaw: Bool { original.withLock { $0 != nil } }

    /// The size; nil when it is not known.
    static var size: TerminalSize? {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0, size.ws_col > 0 else { return nil }
        return TerminalSize(rows: Int(size.ws_row), columns: Int(size.ws_col))
    }

    /// The width in columns of the terminal that a descriptor is; nil when it is none, or does not tell.
    static func width(of descriptor: Int32) -> Int? {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return Int(size.ws_col)
    }

    /// Hands each key over as it is, the interrupt key included.
    static func makeRaw() {
        original.withLock { original in
            var settings = termios()
            guard original == nil, tcgetattr(STDIN_FILENO, &settings) == 0 else { return }
            original = settings
            cfmakeraw(&settings)
            // At once: to wait for a terminal that was stopped (TCSADRAIN) could last for ever.
            tcsetattr(STDIN_FILENO, TCSANOW, &settings)
        }
    }

    /// Puts the settings back. Whatever ends kbuild calls this first.
    static func restore() {
        original.withLock { original in
            guard var settings = original else { return }
            // A process in the background is stopped when it changes the settings, unless it does not care.
            let before = signal(SIGTTOU, SIG_IGN)
            tcsetattr(STDIN_FILENO, TCSANOW, &settings)
            signal(SIGTTOU, before)
            original = nil
        }
    }

    /// Stops kbuild as Ctrl-Z does, until the user's shell continues it.
    static func suspend() {
        restore()
        kill(getpid(), SIGTSTP)
        makeRaw()
    }
}
