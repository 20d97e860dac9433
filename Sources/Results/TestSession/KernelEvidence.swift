// SPDX-License-Identifier: Apache-2.0
/// The state of the guest's kernel from other sources than its log: its taint, and its log's position.
///
/// The guest's init samples it with `hello`, at the end of each test and each program, and at the end of the session. A
/// program can silence, tear or imitate text on the console; it cannot lower these numbers.
public struct KernelEvidence: Sendable, Equatable, Codable {
    /// The kernel's taint, from /proc/sys/kernel/tainted and the variable `tainted_mask`. Bits are only ever added.
    public var taint: KernelTaint
    /// The sequence number of the last record of the kernel's log that was read; nil before the first. The kernel
    /// counts records from 0 without gaps.
    public var lastSequence: UInt64?
    /// Records that were overwritten in the ring buffer before they were read. Their contents are not known.
    public var lostRecords: UInt64
    /// Records that were read and not sent, because the session's limit on their size was reached.
    public var withheldRecords: UInt64
    /// The guest's monotonic clock when the sample was taken, in nanoseconds.
    public var clock: Int64

    /// Creates a sample.
    public init(
        taint: KernelTaint, lastSequence: UInt64?, lostRecords: UInt64 = 0, withheldRecords: UInt64 = 0,
        clock: Int64 = 0
    ) {
        self.taint = taint
        self.lastSequence = lastSequence
        self.lostRecords = lostRecords
        self.withheldRecords = withheldRecords
        self.clock = clock
    }

    /// Reads the payload of a `kernel` frame: `CLOCK TAINT SEQUENCE LOST WITHHELD` in decimal digits, with `-` for the
    /// sequence of an empty log; nil when it is malformed.
    init?(payload: String) {
        let fields = payload.split(separator: " ", omittingEmptySubsequences: false)
        guard fields.count == 5, let clock = Int64(fields[0]), let taint = UInt64(fields[1]),
            let lost = UInt64(fields[3]), let withheld = UInt64(fields[4])
        else { return nil }
        let sequence = UInt64(fields[2])
        guard sequence != nil || fields[2] == "-" else { return nil }
        self.init(
            taint: KernelTaint(rawValue: taint), lastSequence: sequence, lostRecords: lost, withheldRecords: withheld,
            clock: clock)
    }
}

/// The kernel's taint: a bit for each event that makes its results less reliable. Source:
/// Documentation/admin-guide/tainted-kernels.rst and include/linux/panic.h of Linux 6.1 and 6.12.
public struct KernelTaint: OptionSet, Sendable, Hashable, Codable {
    /// The kernel's mask.
    public var rawValue: UInt64

    /// Creates a taint from the kernel's mask.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// M: the processor reported a machine check.
    public static let machineCheck = KernelTaint(rawValue: 1 << 4)
    /// B: a damaged page or slab object was found; KASAN and KFENCE set it too.
    public static let badPage = KernelTaint(rawValue: 1 << 5)
    /// D: the kernel died: an oops or `BUG()`.
    public static let died = KernelTaint(rawValue: 1 << 7)
    /// W: `WARN()`, or a report that counts as one.
    public static let warning = KernelTaint(rawValue: 1 << 9)
    /// L: a processor did not schedule.
    public static let softLockup = KernelTaint(rawValue: 1 << 14)

    /// Bits that describe the kernel's set-up by a module, a table, a parameter or a user, and not an error: P
    /// (proprietary module), F (forced module), S (processor out of its specification), R (forced unloading), U
    /// (requested by a user), A (ACPI table replaced), C (staging driver), I (firmware workaround), O (module from
    /// outside the tree), E (unsigned module), K (live patch), X (for distributions), T (randomised structures), N
    /// (in-kernel test). Any other bit, including one that this table does not have, counts as an error.
    public static let benign: KernelTaint = {
        let bits: [UInt64] = [0, 1, 2, 3, 6, 8, 10, 11, 12, 13, 15, 16, 17, 18]
        return KernelTaint(rawValue: bits.reduce(0) { $0 | 1 << $1 })
    }()

    /// The bits that indicate an error.
    public var errors: KernelTaint { subtracting(.benign) }

    /// Its single bits, from the lowest.
    public var bits: [KernelTaint] {
        (0..<64).map { KernelTaint(rawValue: 1 << UInt64($0)) }.filter { contains($0) }
    }

    /// The letters that the kernel prints for the bits, in the order of the bits; `?` for one that has none.
    public var letters: String { bits.map { Self.known[$0.number]?.letter ?? "?" }.joined() }

    /// "W (the kernel issued a warning)", each bit after the other.
    public var description: String {
        bits.map { bit in
            guard let known = Self.known[bit.number] else { return "bit \(bit.number)" }
            return "\(known.letter) (\(known.meaning))"
        }.joined(separator: ", ")
    }

    /// The position of the lowest bit, counted from 0.
    private var number: Int { rawValue.trailingZeroBitCount }

    /// The letters and meanings, by the bit's position.
    private static let known: [Int: (letter: String, meaning: String)] = [
        0: ("P", "a proprietary module was loaded"), 1: ("F", "a module was loaded by force"),
        2: ("S", "the processor is out of its specification"), 3: ("R", "a module was unloaded by force"),
        4: ("M", "the processor reported a machine check"), 5: ("B", "memory was found damaged"),
        6: ("U", "a user asked for it"), 7: ("D", "the kernel died: an oops or BUG"),
        8: ("A", "an ACPI table was replaced"), 9: ("W", "the kernel issued a warning"),
        10: ("C", "a staging driver was loaded"), 11: ("I", "a fault of the firmware was worked around"),
        12: ("O", "a module from outside of the tree was loaded"), 13: ("E", "an unsigned module was loaded"),
        14: ("L", "a processor did not schedule: a soft lockup"), 15: ("K", "the kernel was live patched"),
        16: ("X", "a distribution's own taint"), 17: ("T", "structures are laid out at random"),
        18: ("N", "an in-kernel test was run"),
    ]
}
