// SPDX-License-Identifier: Apache-2.0

/// Makes damaged inputs from good ones: the same ones for the same seed.
public struct Mutator: Sendable {
    private var generator: SeededGenerator
    private let seeds: [[UInt8]]
    /// The texts with a meaning in the format.
    private let words: [[UInt8]]

    /// The most bytes of an input.
    private static let largest = 16 << 10

    /// Prepares the mutation of texts.
    ///
    /// - Parameters:
    ///   - seed: Determines all results.
    ///   - seeds: Good inputs.
    ///   - words: Texts with a meaning in the format, which are inserted at random places.
    public init(seed: UInt64, of seeds: [String], words: [String] = []) {
        self.init(seed: seed, of: seeds.map { Array($0.utf8) }, words: words)
    }

    /// The same for inputs that are not text.
    public init(seed: UInt64, of seeds: [[UInt8]], words: [String] = []) {
        generator = SeededGenerator(seed: seed)
        self.seeds = seeds
        self.words =
            words.map { Array($0.utf8) } + ["\n", "\r\n", "\t", " ", "\0", "\u{FEFF}", "é"].map { Array($0.utf8) }
    }

    /// The next damaged input: a good one after up to eight changes.
    public mutating func next() -> [UInt8] {
        var bytes = seeds.randomElement(using: &generator) ?? []
        for _ in 0..<Int.random(in: 1...8, using: &generator) { change(&bytes) }
        return Array(bytes.prefix(Self.largest))
    }

    private mutating func change(_ bytes: inout [UInt8]) {
        let place = Int.random(in: 0...bytes.count, using: &generator)
        let end = min(bytes.count, place + Int.random(in: 1...40, using: &generator))
        switch Int.random(in: 0..<8, using: &generator) {
        case 0: bytes.replaceSubrange(place..<end, with: [])
        case 1: bytes.insert(contentsOf: bytes[place..<end], at: place)
        case 2: bytes.insert(.random(in: .min ... .max, using: &generator), at: place)
        case 3 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 4: bytes.removeLast(bytes.count - place)
        case 5: swapLines(&bytes)
        case 6:
            // A piece of another input.
            if let other = seeds.randomElement(using: &generator), !other.isEmpty {
                let from = Int.random(in: 0..<other.count, using: &generator)
                bytes.insert(contentsOf: other[from...].prefix(60), at: place)
            }
        default: bytes.insert(contentsOf: words.randomElement(using: &generator) ?? [], at: place)
        }
    }

    private mutating func swapLines(_ bytes: inout [UInt8]) {
        var lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).map(Array.init)
        let (first, second) = (
            Int.random(in: lines.indices, using: &generator), Int.random(in: lines.indices, using: &generator)
        )
        lines.swapAt(first, second)
        bytes = Array(lines.joined(separator: [0x0A]))
    }
}
