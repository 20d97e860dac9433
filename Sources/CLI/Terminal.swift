// SPDX-License-Identifier: Apache-2.0
import Glibc
import GuestSession
import Synchronization

/// The terminal of kbuild's process.
enum Terminal {
    /// The original settings; nil while they are unchanged.
    private static let original = Mutex<termios?>(nil)

    /// Whether standard input and standard output are both terminals.
    static var isThere: Bool { isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 }

    /// Whether each key is passed to the guest unchanged.
    static var isRaw: Bool { original.withLock { $0 != nil } }

    /// The size; nil when it is unknown.
    static var size: TerminalSize? {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0, size.ws_col > 0 else { return nil }
        return TerminalSize(rows: Int(size.ws_row), columns: Int(size.ws_col))
    }

    /// The width in columns of a descriptor's terminal; nil when it is not a terminal, or its width is unknown.
    static func width(of descriptor: Int32) -> Int? {
        var size = winsize()
        guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
        return Int(size.ws_col)
    }

    /// Passes each key on unchanged, including the interrupt key.
    static func makeRaw() {
        original.withLock { original in
            var settings = termios()
            guard original == nil, tcgetattr(STDIN_FILENO, &settings) == 0 else { return }
            original = settings
            cfmakeraw(&settings)
            // Without a wait for output: TCSADRAIN could block forever on a stopped terminal.
            tcsetattr(STDIN_FILENO, TCSANOW, &settings)
        }
    }

    /// Restores the settings. Every path that ends kbuild calls this first.
    static func restore() {
        original.withLock { original in
            guard var settings = original else { return }
            // A background process is stopped when it changes the settings, unless it ignores SIGTTOU.
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
