// SPDX-License-Identifier: Apache-2.0

/// One function of a call trace.
public struct StackFrame: Codable, Sendable, Equatable {
    /// A place in the sources.
    public struct Location: Codable, Sendable, Equatable {
        /// The function's name in the source.
        public var function: String
        /// The file, relative to the kernel's tree if that is known.
        public var file: String
        /// The line, counted from 1.
        public var line: Int
        /// The text of the line, from the project's own file, without the blanks around it; nil if it could not be
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
    /// The symbol's size in bytes according to kallsyms: up to the next symbol. It distinguishes two functions with the
    /// same name, and shows that a vmlinux is of another build.
    public var size: UInt64
    /// The module that it is in; nil for the kernel itself.
    public var module: String?
    /// Whether the unwinder is certain of it: it marks other frames with `?`.
    public var isReliable: Bool
    /// Whether this is the processor's instruction pointer, and not a return address. A report does not keep it.
    public var isInstructionPointer = false
    /// Its place in the sources, and the places of the functions into which it was inlined; the innermost first. Empty
    /// until it is symbolized, and if vmlinux has no debug information.
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
