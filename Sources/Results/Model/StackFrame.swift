// SPDX-License-Identifier: Apache-2.0

/// One function of a call trace.
public struct StackFrame: Codable, Sendable, Equatable {
    /// A place in the sources.
    public struct Location: Codable, Sendable, Equatable {
        /// The function as the source names it.
        public var function: String
        /// The file, relative to the kernel's tree where that is known.
        public var file: String
        /// The line, counted from 1.
        public var line: Int
        /// The text of the line, from the project's own file, without the blanks around it; nil where it could not be
        /// read.
        public var sourceText: String?

        /// Creates a place.
        public init(function: String, file: String, line: Int) {
            self.function = function
            self.file = file
            self.line = line
        }
    }

    /// The symbol, with the compiler's suffixes such as `.isra.0`.
    public var symbol: String
    /// The distance from the symbol's start in bytes.
    public var offset: UInt64
    /// The symbol's size in bytes as kallsyms knows it: up to the next symbol. With it two functions of one name can be
    /// told apart, and a vmlinux of another build is found out.
    public var size: UInt64
    /// The module that it is in; nil for the kernel itself.
    public var module: String?
    /// Whether the unwinder is sure of it: it marks the others with `?`.
    public var isReliable: Bool
    /// Whether this is where the processor was, and not where it was to return to. A report does not keep it.
    public var isInstructionPointer = false
    /// Its place in the sources, and those of the functions into which it was inlined; the innermost first. Empty until
    /// it is symbolised, and where vmlinux has no debug information.
    public var locations: [Location] = []

    private enum CodingKeys: String, CodingKey {
        case symbol, offset, size, module, isReliable, locations
    }

    /// Creates a frame.
    public init(
        symbol: String, offset: UInt64, size: UInt64, module: String? = nil, isReliable: Bool = true,
        isInstructionPointer: Bool = false, locations: [Location] = []
    ) {
        self.symbol = symbol
        self.offset = offset
        self.size = size
        self.module = module
        self.isReliable = isReliable
        self.isInstructionPointer = isInstructionPointer
        self.locations = locations
    }
}
