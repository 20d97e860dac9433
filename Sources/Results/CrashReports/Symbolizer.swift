// SPDX-License-Identifier: Apache-2.0
import ResultsModel

/// Finds the places in the sources for the frames of crash reports, from the output of binutils' nm and addr2line for
/// the vmlinux that ran. Pure: it returns the requests and parses the answers.
///
/// A frame is `symbol+0xoffset/0xsize`, which does not depend on the kernel's load address (KASLR). Of two functions
/// with the same name it is the one with that size; if no function has the size, the vmlinux is of another build and
/// the frame gets no place.
public struct Symbolizer: Sendable {
    /// The result of a look-up of a frame's symbol.
    public enum Resolution: Sendable, Equatable {
        /// Its address in the file, to be looked up.
        case address(UInt64)
        /// The file does not have the function, which may be a module's.
        case unknown
        /// The function has another size, so the file is of another build.
        case otherBuild
        /// Several functions have that name and size.
        case ambiguous
    }

    /// The module whose functions are looked up; nil for the kernel itself.
    private let module: String?
    private var wanted: Set<String>
    /// For each crash the frames in its lines: other stacks than the most useful one, such as where memory was
    /// allocated and freed, and the other side of a race.
    private let lineFrames: [[StackFrame?]]
    /// The functions of a name: their addresses, and the distances to the next symbols.
    private var functions: [String: [(address: UInt64, size: UInt64)]] = [:]

    /// Creates a symbolizer for the frames of some crashes.
    ///
    /// - Parameter module: The module whose functions are looked up; nil for the kernel itself.
    public init(_ crashes: [Crash], module: String? = nil) {
        self.module = module
        lineFrames = crashes.map { $0.lines.map(Self.frame(in:)) }
        let frames = crashes.flatMap(\.frames) + lineFrames.flatMap { $0.compactMap(\.self) }
        wanted = Set(frames.filter { $0.module == module && $0.size > 0 }.map(\.symbol))
    }

    /// The modules that frames of some crashes are in.
    public static func modules(of crashes: [Crash]) -> Set<String> {
        Set(crashes.flatMap { $0.frames + $0.lines.compactMap(frame(in:)) }.compactMap(\.module))
    }

    /// The function that a line of a report names with its offset; nil when there is none, or a script has added a
    /// place.
    private static func frame(in line: String) -> StackFrame? {
        var message = ConsoleLine(Array(line.utf8)).message[...]
        if let pointer = StackFrame(instructionPointer: String(message)) { return pointer }
        // kmemleak prints its name before every line.
        if message.hasPrefix("kmemleak: ") { message = message.dropFirst("kmemleak: ".count) }
        if let frame = StackFrame(line: message) { return frame.locations.isEmpty ? frame : nil }
        // "... at: function+0x1/0x2", "BUG: KASAN: use-after-free in function+0x1/0x2"
        let words = words(of: message)
        guard let place = words.firstIndex(where: { parseSymbol($0) != nil }), let symbol = parseSymbol(words[place])
        else { return nil }
        let next = place + 1 < words.count ? words[place + 1] : ""
        let module = next.hasPrefix("[") && next.hasSuffix("]") ? String(next.dropFirst().dropLast()) : nil
        return StackFrame(symbol: symbol.name, offset: symbol.offset, size: symbol.size, module: module)
    }

    /// Whether there is any frame to look up.
    public var isNeeded: Bool { !wanted.isEmpty }

    /// Parses the output of `nm -n`: `ffffffff81000000 T name`, by address.
    public mutating func readSymbols(_ output: String) {
        // Several symbols may have the same address; a higher symbol gives their size.
        var address: UInt64 = 0
        var names: [String] = []
        func complete(at next: UInt64, _ functions: inout [String: [(address: UInt64, size: UInt64)]]) {
            for name in names { functions[name, default: []].append((address, next - address)) }
        }
        for line in output.utf8.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 2)
            guard fields.count == 3, let start = UInt64(Substring(fields[0]), radix: 16) else { continue }
            // Only symbols in kallsyms count: no absolute symbols, and no debugging symbols (scripts/mksysmap).
            guard let type = fields[1].first, !"aAnNU".utf8.contains(type), fields[2].first != UInt8(ascii: "$") else {
                continue
            }
            if start > address {
                complete(at: start, &functions)
                names = []
                address = start
            }
            let isText = "tTwW".utf8.contains(type)
            let name = Substring(fields[2])
            if isText, wanted.contains(String(name)) { names.append(String(name)) }
        }
        // The last symbol's size is unknown.
    }

    /// The bit from which the number of a section is part of an address in a module's file, where each section begins
    /// at 0.
    private static let sectionShift: UInt64 = 40

    /// A place in a module's file.
    public struct SectionPlace: Sendable, Equatable {
        /// The number of the section.
        public var section: Int
        /// The offset in it.
        public var offset: UInt64
    }

    /// The place of an address in a module's file.
    public static func place(of address: UInt64) -> SectionPlace {
        SectionPlace(section: Int(address >> sectionShift), offset: address & (1 << sectionShift - 1))
    }

    /// The address of an offset in a section of a module's file.
    public static func address(section: Int, offset: UInt64) -> UInt64 { UInt64(section) << sectionShift | offset }

    /// Parses the output of `readelf -sW` for a module's file: `NUMBER: VALUE SIZE FUNC BINDING VISIBILITY SECTION
    /// NAME`.
    public mutating func readModuleSymbols(_ output: String) {
        for line in output.utf8.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: " ")).map { Substring($0) }
            guard fields.count >= 8, fields[3] == "FUNC", wanted.contains(String(fields[7])),
                let value = UInt64(fields[1], radix: 16), value < 1 << Self.sectionShift,
                let section = Int(fields[6]), section > 0, section < 1 << 16
            else { continue }
            // Large sizes are hexadecimal.
            let size = fields[2].hasPrefix("0x") ? UInt64(fields[2].dropFirst(2), radix: 16) : UInt64(fields[2])
            functions[String(fields[7]), default: []].append(
                (Self.address(section: section, offset: value), size ?? 0))
        }
    }

    /// The place of a frame in the file.
    public func resolve(_ frame: StackFrame) -> Resolution {
        guard frame.module == module, frame.size > 0, let all = functions[frame.symbol] else { return .unknown }
        let fitting = Set(
            all.filter { function in
                // The kernel prints the distance to a module's next symbol; the file has the function's own size.
                module == nil ? function.size == frame.size : function.size <= frame.size && frame.offset <= frame.size
            }.map(\.address))
        guard let start = fitting.first else { return .otherBuild }
        guard fitting.count == 1 else { return .ambiguous }
        // A call's return address may be on another line, or in another function, than the call.
        let isReturn = !frame.isInstructionPointer && frame.offset > 0
        return .address(start &+ frame.offset &- (isReturn ? 1 : 0))
    }

    /// The addresses for `addr2line -a -f -i`, in rising order.
    public func addresses(of crashes: [Crash]) -> [UInt64] {
        let frames = crashes.flatMap(\.frames) + lineFrames.flatMap { $0.compactMap(\.self) }
        let all = frames.compactMap { frame -> UInt64? in
            guard case .address(let address) = resolve(frame) else { return nil }
            return address
        }
        return Set(all).sorted()
    }

    /// Parses the output of `addr2line -a -f -i`: for each address a line `0xffffffff81000000`, then alternately a
    /// function and a `file:line`, the innermost first.
    ///
    /// - Parameter root: The folder that file names are relative to.
    public static func locations(in output: String, root: String?) -> [UInt64: [StackFrame.Location]] {
        var result: [UInt64: [StackFrame.Location]] = [:]
        var address: UInt64?
        var function: Substring?
        for bytes in output.utf8.split(separator: UInt8(ascii: "\n")) {
            let line = Substring(bytes)
            if line.hasPrefix("0x"), let value = UInt64(line.dropFirst(2), radix: 16) {
                address = value
                function = nil
            } else if let name = function {
                function = nil
                guard let address, let location = location(line, function: name, root: root) else { continue }
                result[address, default: []].append(location)
            } else {
                function = line
            }
        }
        return result
    }

    /// Parses `file:line`, or `file:line (discriminator N)`; nil for `??:0`.
    private static func location(_ text: Substring, function: Substring, root: String?) -> StackFrame.Location? {
        guard let colon = text.lastIndex(of: ":"), function != "??" else { return nil }
        let digits = text[text.index(after: colon)...].prefix { $0.isASCII && $0.isNumber }
        guard let line = Int(digits), line > 0 else { return nil }
        var file = normalized(text[..<colon])
        guard file != "??" else { return nil }
        if let root, let rest = path(of: file, below: root) { file = rest }
        return StackFrame.Location(function: String(function), file: file, line: line)
    }

    /// A file's path relative to the tree. ccache may return an object of another project's build, whose tree is
    /// elsewhere and ends in the same two names; nil if the file is not in such a tree.
    private static func path(of file: String, below root: String) -> String? {
        if file.hasPrefix(root + "/") { return String(file.dropFirst(root.count + 1)) }
        let names = root.split(separator: "/").suffix(2)
        guard names.count == 2, let place = file.position(of: "/" + names.joined(separator: "/") + "/") else {
            return nil
        }
        return String(file[place.upperBound...])
    }

    /// A path without `.` and `..`.
    private static func normalized(_ path: Substring) -> String {
        var parts: [Substring] = []
        for part in path.split(separator: "/") {
            if part == "." { continue }
            if part == "..", let last = parts.last, last != ".." { parts.removeLast() } else { parts.append(part) }
        }
        return (path.hasPrefix("/") ? "/" : "") + parts.joined(separator: "/")
    }

    /// Adds its places to each frame, and to each line of a report that names a function.
    ///
    /// - Parameters:
    ///   - crashes: The crashes that this was created with.
    ///   - ownFiles: The user's files: maps a path in the kernel's tree to the path that the user knows.
    public func apply(
        _ locations: [UInt64: [StackFrame.Location]], to crashes: inout [Crash], ownFiles: [String: String] = [:]
    ) {
        func places(of frame: StackFrame) -> [StackFrame.Location] {
            guard case .address(let address) = resolve(frame) else { return [] }
            return locations[address] ?? []
        }
        for (crash, lineFrames) in zip(crashes.indices, lineFrames) {
            for frame in crashes[crash].frames.indices where crashes[crash].frames[frame].module == module {
                crashes[crash].frames[frame].locations = places(of: crashes[crash].frames[frame])
            }
            for (line, frame) in zip(crashes[crash].lines.indices, lineFrames) {
                guard let frame else { continue }
                let places = places(of: frame)
                // Of several functions at one place through inlining, the user's own is the most useful.
                guard let place = places.first(where: { ownFiles[$0.file] != nil }) ?? places.first else { continue }
                crashes[crash].lines[line] += " (\(ownFiles[place.file] ?? place.file):\(place.line))"
            }
        }
    }

    /// The number of frames of another build than the symbols.
    public func strangers(in crashes: [Crash]) -> Int {
        crashes.flatMap(\.frames).count { resolve($0) == .otherBuild }
    }
}
