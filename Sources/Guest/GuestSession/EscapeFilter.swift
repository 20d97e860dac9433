// SPDX-License-Identifier: Apache-2.0

/// Finds a user's commands to kbuild in the input for a guest: a tilde at the beginning of a line, and a key.
public struct EscapeFilter: Sendable {
    /// An action for the input.
    public enum Action: Sendable, Equatable {
        /// Send these bytes to the guest.
        case send([UInt8])
        /// End the guest.
        case end
        /// Show the escapes.
        case help
        /// Stop kbuild, as Ctrl-Z stops other programs.
        case suspend
        /// Show or hide the kernel's messages.
        case toggleKernelMessages
    }

    /// The text of `~?`.
    public static let help = """
        At the beginning of a line:
          ~.   end the guest
          ~k   show the kernel's messages as they come, or no longer
          ~^Z  suspend kbuild; fg comes back
          ~?   this
          ~~   a tilde
        """

    private var isAtLineStart = true
    private var hasTilde = false
    private var report = Report.none

    /// How much of a cursor position report has arrived: ECMA-48 CPR, `ESC [ row ; column R`. Shells request it at each
    /// prompt, so it arrives at the beginning of a line without being typed.
    private enum Report {
        case none
        case escape(wasAtLineStart: Bool)
        case numbers(wasAtLineStart: Bool)
    }

    /// Creates a filter for a terminal on which nothing has been typed.
    public init() {}

    /// Consumes typed bytes and returns the actions, in order.
    public mutating func consume(_ bytes: some Sequence<UInt8>) -> [Action] {
        var actions: [Action] = []
        var plain: [UInt8] = []
        func flush() {
            if !plain.isEmpty { actions.append(.send(plain)) }
            plain = []
        }
        for byte in bytes {
            if hasTilde {
                hasTilde = false
                let action: Action? =
                    switch byte {
                    case UInt8(ascii: "."): .end
                    case UInt8(ascii: "?"): .help
                    case UInt8(ascii: "k"): .toggleKernelMessages
                    case 0x1A: .suspend
                    default: nil
                    }
                if let action {
                    flush()
                    actions.append(action)
                    // The escape sends nothing, so the line has not begun.
                    continue
                }
                plain.append(UInt8(ascii: "~"))
                isAtLineStart = false
                if byte == UInt8(ascii: "~") { continue }
            } else if byte == UInt8(ascii: "~"), isAtLineStart {
                hasTilde = true
                continue
            }
            plain.append(byte)
            follow(byte)
        }
        flush()
        return actions
    }

    /// Records whether a line begins after this byte.
    private mutating func follow(_ byte: UInt8) {
        switch (report, byte) {
        case (_, 0x1B): report = .escape(wasAtLineStart: isAtLineStart)
        case (.escape(let before), UInt8(ascii: "[")): report = .numbers(wasAtLineStart: before)
        case (.numbers, UInt8(ascii: "0")...UInt8(ascii: "9")), (.numbers, UInt8(ascii: ";")): break
        case (.numbers(let before), UInt8(ascii: "R")):
            report = .none
            isAtLineStart = before
            return
        default: report = .none
        }
        // The return key sends a carriage return.
        isAtLineStart = byte == 0x0D || byte == 0x0A
    }
}
