import Diagnostics

/// Gives numbers to the calls of specs: the pinned ones first, then the lowest that are left above the kernel's own.
struct SyscallNumbering {
    /// Since 5.1 a new call has the same number on all architectures, from 424 on.
    static let unifiedFrom = 424

    /// Who has each number: a row of the table, or a spec that pins it.
    private var owners: [Int: String] = [:]
    private let pins: [String: Int]
    private let lastOfKernel: Int
    private var ia32Owners: [Int: String] = [:]
    private let lastOfIA32: Int

    /// - Parameter editor: The tree with all series applied.
    /// - Throws: `Failure` (`patch`) when a pinned number is taken.
    init(editor: TreeEditor, version: KernelVersion, specs: [SyscallSpec]) throws {
        let calls = specs.flatMap { spec in spec.syscalls.map { (spec, $0) } }
        guard !calls.isEmpty else {
            (pins, lastOfKernel, lastOfIA32) = ([:], 0, 0)
            return
        }
        let before = TreeEditor(pristine: editor.pristine)
        let pristine = SyscallTable(try before.readLines(SyscallTable.x8664))
        lastOfKernel = pristine.ordinaryRows.map(\.number).max() ?? -1
        let table = SyscallTable(try editor.readLines(SyscallTable.x8664))
        for row in table.rows where row.isCommon {
            let whose = pristine.row(name: row.name) == nil ? "a patch of this project" : "Linux \(version)"
            owners[row.number] = "\(row.name), which \(whose) has at that number"
        }
        // A new call's number is the same everywhere, so one that another architecture uses is taken too.
        if let lines = try? editor.readLines(SyscallTable.generic) {
            for row in SyscallTable(lines).rows where row.number >= Self.unifiedFrom && owners[row.number] == nil {
                owners[row.number] = "\(row.name), which the generic table has at that number"
            }
        }
        var pins: [String: Int] = [:]
        for (spec, call) in calls {
            let place = "\(spec.path):\(call.line)"
            if let row = table.row(name: call.name) {
                throw Failure(
                    .patch, "\(place): a call named \(call.name) is in the table already, with number \(row.number)",
                    nextStep: "choose another name, or leave out the patch that adds it")
            }
            guard let pin = call.number.pin(on: version) else { continue }
            if let owner = owners[pin] {
                throw Failure(
                    .patch, "\(place): number \(pin) of \(call.name) is taken by \(owner)",
                    nextStep: "pin another number for \(version.series), or leave `number` out for the next free one")
            }
            if SyscallTable.x32Numbers.contains(pin) {
                throw Failure(
                    .patch, "\(place): number \(pin) of \(call.name) lies in x32's block, 512 to 547",
                    nextStep: "choose a number above \(lastOfKernel)")
            }
            owners[pin] = "\(call.name), which \(spec.path):\(call.line) pins"
            pins[call.name] = pin
        }
        self.pins = pins

        var last = -1
        if calls.contains(where: { $0.1.ia32 != nil }) {
            for row in SyscallTable(try editor.readLines(SyscallTable.i386)).rows {
                ia32Owners[row.number] = row.name
            }
            last = SyscallTable(try before.readLines(SyscallTable.i386)).rows.map(\.number).max() ?? -1
        }
        lastOfIA32 = last
    }

    /// The number of a call in the x86-64 table.
    mutating func number(for call: SyscallSpec.Syscall, spec: SyscallSpec) throws -> Int {
        if let pin = pins[call.name] { return pin }
        var number = lastOfKernel + 1
        while owners[number] != nil { number += 1 }
        guard number < SyscallTable.x32Numbers.lowerBound else {
            throw Failure(.patch, "\(spec.path):\(call.line): no number below x32's block is free for \(call.name)")
        }
        owners[number] = call.name
        return number
    }

    /// The number of a call in the i386 table: the same as in the x86-64 one where that is free.
    mutating func ia32Number(
        for call: SyscallSpec.Syscall, spec: SyscallSpec, common: Int, version: KernelVersion
    ) throws -> Int {
        if let pin = call.ia32?.number.pin(on: version) {
            if let owner = ia32Owners[pin] {
                throw Failure(
                    .patch,
                    "\(spec.path):\(call.line): number \(pin) of \(call.name) is taken by \(owner) in the i386 table",
                    nextStep: "pin another, or leave it out for the next free one")
            }
            ia32Owners[pin] = call.name
            return pin
        }
        var number = common >= Self.unifiedFrom ? common : lastOfIA32 + 1
        while ia32Owners[number] != nil { number += 1 }
        ia32Owners[number] = call.name
        return number
    }
}
