/// A report of the kernel's that something is badly wrong.
public struct Crash: Sendable, Equatable {
    /// A title that is the same for the same fault.
    public var title: String
    /// Whether the kernel cannot have gone on.
    public var isFatal: Bool
    /// The report, line by line.
    public var lines: [String]
    /// The test that was running.
    public var test: String?
}

/// Finds crash reports in the lines of a console, as they come.
public struct CrashDetector: Sendable {
    /// Reports found so far.
    public private(set) var crashes: [Crash] = []
    private var linesLeft = 0

    /// The most lines kept of one report.
    static let longestReport = 120

    /// What opens a report: the text after which its title comes, and whether it is fatal.
    private static let openings: [(text: String, isFatal: Bool)] = [
        ("Kernel panic - not syncing", true),
        ("BUG: ", false),
        ("KASAN: ", false),
        ("UBSAN: ", false),
        ("WARNING: ", false),
        ("Oops: ", false),
        ("general protection fault", false),
        ("INFO: rcu", false),
        ("rcu: INFO: ", false),
        ("INFO: task ", false),
        ("watchdog: BUG: soft lockup", false),
        ("stack-protector: Kernel stack is corrupted", true),
        ("divide error: ", false),
        ("refcount_t: ", false),
        ("kmemleak: ", false),
        ("Out of memory: ", false),
    ]

    /// Creates a detector that has seen nothing.
    public init() {}

    /// Takes in a line; returns the crash that it opens, if it does.
    public mutating func consume(_ line: ConsoleLine, runningTest: String?) -> Crash? {
        let message = line.message
        // A console without time stamps is not the kernel speaking: programs may print what they like.
        if line.kernelSeconds != nil,
            let opening = Self.openings.first(where: { message.hasPrefix($0.text) }),
            !Self.isHarmless(message)
        {
            // The lines of one report may themselves look like openings ("Oops:" within "BUG:").
            if linesLeft > 0, !opening.isFatal {
                append(line)
                return nil
            }
            let crash = Crash(
                title: Self.title(of: message), isFatal: opening.isFatal, lines: [line.raw], test: runningTest)
            crashes.append(crash)
            linesLeft = Self.longestReport - 1
            return crash
        }
        append(line)
        return nil
    }

    private mutating func append(_ line: ConsoleLine) {
        guard linesLeft > 0, line.kernelSeconds != nil else { return }
        crashes[crashes.count - 1].lines.append(line.raw)
        linesLeft -= 1
        if line.message.hasPrefix("---[ end") { linesLeft = 0 }
    }

    private static func isHarmless(_ message: String) -> Bool {
        message.hasPrefix("WARNING: ") && message.contains("unable to")
            || message.hasPrefix("kmemleak: ") && !message.contains("new suspected memory leaks")
    }

    /// The message without addresses, process numbers and the like, which differ from run to run.
    static func title(of message: String) -> String {
        let words = message.split(separator: " ").map { word -> String in
            var word = String(word)
            if let offset = word.firstIndex(of: "+"), word[offset...].hasPrefix("+0x") {
                word = String(word[..<offset])
            }
            if word.hasPrefix("0x") || word.count == 16 && word.allSatisfy(\.isHexDigit) { return "ADDR" }
            return word
        }
        return words.joined(separator: " ")
    }
}
