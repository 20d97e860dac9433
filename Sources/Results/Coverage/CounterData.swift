// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// The counters of one object, in the form of gcc's instrumentation and of the kernel (kernel/gcov/gcc_4_7.c;
/// gcc/gcov-io.h has the format): a header and records of a tag, a length and data. Only counters change while code
/// runs.
///
/// Numbers are little-endian, as on x86-64.
public struct CounterData: Sendable, Equatable {
    /// The complete data, in gcov's form.
    public private(set) var bytes: [UInt8]
    /// The positions of the counters, of 8 bytes each.
    private let counters: [Int]

    /// GCOV_DATA_MAGIC: "gcda".
    private static let magic: UInt32 = 0x6763_6461
    /// GCOV_TAG_FOR_COUNTER(GCOV_COUNTER_ARCS): the number of times that the arcs between blocks were taken.
    private static let arcsTag: UInt32 = 0x01A1_0000
    /// The first version of gcc in which lengths count bytes instead of words of 4, and the header has a checksum.
    private static let firstWithBytes = 12

    /// Reads counters.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the data is not of this form.
    public init(_ bytes: [UInt8]) throws(Failure) {
        func word(_ offset: Int) -> UInt32? {
            guard offset >= 0, offset + 4 <= bytes.count else { return nil }
            return (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * UInt32($1)) }
        }
        func damaged(_ what: String) -> Failure {
            Failure(.infrastructure, "the kernel's coverage counters cannot be read: \(what)")
        }
        guard word(0) == Self.magic, let version = word(4) else { throw damaged("they do not begin with gcda") }
        // 'B' '2' '2' '*' is 12.2: the first letter counts tens from 'A'.
        let letters = (0..<4).map { Int(version >> (24 - 8 * UInt32($0)) & 0xFF) }
        let major = (letters[0] - 0x41) * 10 + letters[1] - 0x30
        guard (4...99).contains(major) else { throw damaged("their version \(version) is unknown") }
        let isInBytes = major >= Self.firstWithBytes
        var offset = isInBytes ? 16 : 12
        var counters: [Int] = []
        // A tag of 0 ends the data.
        while let tag = word(offset), tag != 0 {
            guard let length = word(offset + 4) else { throw damaged("they end within a record") }
            offset += 8
            // A negative length means that all counters are 0 and are omitted.
            guard Int32(bitPattern: length) >= 0 else { continue }
            let end = offset + Int(length) * (isInBytes ? 1 : 4)
            guard end <= bytes.count else { throw damaged("they end within a record") }
            if tag == Self.arcsTag { counters += stride(from: offset, to: end - 7, by: 8) }
            offset = end
        }
        self.bytes = bytes
        self.counters = counters
    }

    /// Whether all counters are 0.
    public var isZero: Bool { counters.allSatisfy { self[$0] == 0 } }

    /// Whether these are counters of the same object from the same build.
    public func isLike(_ other: CounterData) -> Bool {
        bytes.count == other.bytes.count && counters == other.counters
    }

    private subscript(offset: Int) -> UInt64 {
        get { (0..<8).reduce(0) { $0 | UInt64(bytes[offset + $1]) << (8 * UInt64($1)) } }
        set {
            for index in 0..<8 { bytes[offset + index] = UInt8(truncatingIfNeeded: newValue >> (8 * UInt64(index))) }
        }
    }

    /// The sum of both.
    ///
    /// - Throws: `Failure` (`infrastructure`) when they are not of the same object.
    public func adding(_ other: CounterData) throws(Failure) -> CounterData {
        try combined(with: other) { $0 &+ $1 }
    }

    /// The counts since `earlier`. A counter that was reset meanwhile, as by a write to debugfs, counts from its new
    /// value.
    ///
    /// - Throws: `Failure` (`infrastructure`) when they are not of the same object.
    public func since(_ earlier: CounterData) throws(Failure) -> CounterData {
        try combined(with: earlier) { $0 >= $1 ? $0 - $1 : $0 }
    }

    private func combined(
        with other: CounterData, _ combine: (UInt64, UInt64) -> UInt64
    ) throws(Failure) -> CounterData {
        guard isLike(other) else {
            throw Failure(.infrastructure, "coverage counters of one object differ in form")
        }
        var result = self
        for offset in counters { result[offset] = combine(self[offset], other[offset]) }
        return result
    }
}
