// SPDX-License-Identifier: Apache-2.0
import ResultsModel

/// What became of a kernel module, as init reports it.
///
///     loaded NAME [SECTION=ADDRESS ...]     it is in the kernel, its sections at these hexadecimal addresses
///     unloaded NAME                         it is no longer in the kernel
///     failed NAME SENTENCE                  it could not be loaded or unloaded
enum ModuleRecord: Equatable {
    case loaded(String, sections: [String: UInt64])
    case unloaded(String)
    case failed(String, reason: String)

    /// Reads a frame's payload; nil for another form.
    init?(payload: String) {
        let fields = payload.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard fields.count >= 2, !fields[1].isEmpty else { return nil }
        let name = String(fields[1])
        switch fields[0] {
        case "loaded":
            var sections: [String: UInt64] = [:]
            for word in fields.count > 2 ? fields[2].split(separator: " ") : [] {
                guard let equals = word.lastIndex(of: "="),
                    let address = UInt64(word[word.index(after: equals)...], radix: 16)
                else { return nil }
                sections[String(word[..<equals])] = address
            }
            self = .loaded(name, sections: sections)
        case "unloaded":
            guard fields.count == 2 else { return nil }
            self = .unloaded(name)
        case "failed":
            guard fields.count == 3 else { return nil }
            self = .failed(name, reason: String(fields[2]))
        default: return nil
        }
    }
}

/// The modules that a guest has loaded, by init's records.
struct ModuleAccount {
    /// The modules in the kernel.
    private(set) var loaded: [String] = []
    /// Where each module's sections were last loaded.
    private(set) var sections: [String: [String: UInt64]] = [:]
    /// The modules that could not be loaded or unloaded.
    private var failed: Set<String> = []
    /// The modules that were in the kernel at some time since the running program began.
    private var available: Set<String> = []

    /// A program begins, with the modules that the one before it left loaded.
    mutating func beginProgram() { available = Set(loaded) }

    /// Takes in a record.
    ///
    /// - Returns: A problem of the program that runs, if there is one.
    mutating func consume(_ record: ModuleRecord) -> String? {
        switch record {
        case .loaded(let name, let sections):
            if !loaded.contains(name) { loaded.append(name) }
            available.insert(name)
            self.sections[name] = sections
            return nil
        case .unloaded(let name):
            guard loaded.contains(name) else { return "the module \(name) was unloaded without having been loaded" }
            loaded.removeAll { $0 == name }
            return nil
        case .failed(let name, let reason):
            failed.insert(name)
            loaded.removeAll { $0 == name }
            return reason
        }
    }

    /// Text of the kernel with the addresses in modules replaced by functions: `0xffffffffc0000010` becomes
    /// `ring_open+0x10/0x40 [ring]`. When a module was unloaded, the kernel no longer knows its functions, and kmemleak
    /// prints the addresses of those that allocated memory.
    func naming(_ bytes: [UInt8], plan: SessionPlan) -> [UInt8] {
        guard !sections.isEmpty else { return bytes }
        // Modules are in the topmost 2 GB (Documentation/x86/x86_64/mm.rst).
        let mark = Array("0xffffffff".utf8)
        var result: [UInt8] = []
        var index = 0
        while index < bytes.count {
            let digits = bytes[index...].prefix(18)
            guard digits.count == 18, digits.starts(with: mark), index == 0 || bytes[index - 1] == 0x20,
                let address = UInt64(String(decoding: digits.dropFirst(2), as: UTF8.self), radix: 16),
                let name = function(at: address, plan: plan)
            else {
                result.append(bytes[index])
                index += 1
                continue
            }
            result += Array(name.utf8)
            index += 18
        }
        return result
    }

    /// `NAME+OFFSET/SIZE [MODULE]`; nil for an address in none of the modules that were loaded.
    private func function(at address: UInt64, plan: SessionPlan) -> String? {
        let modules = plan.programs.flatMap(\.modules)
        for (name, sections) in sections {
            guard let functions = modules.first(where: { $0.name == name })?.functions else { continue }
            for function in functions {
                guard let start = sections[function.section] else { continue }
                let first = start &+ function.offset
                // A return address may be the end of a function that does not return.
                guard address >= first, address &- first <= function.size else { continue }
                let words = [address &- first, function.size].map { "0x" + String($0, radix: 16) }
                return "\(function.name)+\(words[0])/\(words[1]) [\(name)]"
            }
        }
        return nil
    }

    /// The problem of a program that ran without a module of its plan; nil for none.
    func obstacle(for program: ProgramPlan) -> String? {
        let missing = program.modules.map(\.name).filter { !available.contains($0) && !failed.contains($0) }
        guard let first = missing.first else { return nil }
        return "the module \(first) was not loaded"
    }

    /// The problem of a guest that ended with loaded modules; nil for none.
    var leftover: String? { loaded.first.map { "the module \($0) was not unloaded" } }
}
