// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Patching

/// Gives numbers to the calls of specs: first the pinned numbers, then the lowest free ones above the kernel's own.
package struct SyscallNumbering {
    /// Since 5.1 a new call has the same number on all architectures, from 424 on.
    static let unifiedFrom = 424

    /// The owner of each number: a row of the table, or a spec that pins it.
    private var owners: [Int: String] = [:]
    private var pins: [CIdentifier: Int] = [:]
    /// The calls that cannot get a number.
    private var refused: Set<SyscallFinding.Place> = []
    private let lastOfKernel: Int
    private var ia32Owners: [Int: String] = [:]
    private let lastOfIA32: Int

    /// The mistakes in the numbers.
    package private(set) var findings: [SyscallFinding] = []

    /// - Parameter editor: The tree with all series applied.
    package init(editor: TreeEditor, version: KernelVersion, specs: [SyscallSpec]) throws {
        let calls = specs.flatMap { spec in spec.syscalls.map { (spec, $0) } }
        guard !calls.isEmpty else {
            (lastOfKernel, lastOfIA32) = (0, 0)
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
        // A new call's number is the same everywhere, so a number of another architecture is taken too.
        if let lines = try? editor.readLines(SyscallTable.generic) {
            for row in SyscallTable(lines).rows where row.number >= Self.unifiedFrom && owners[row.number] == nil {
                owners[row.number] = "\(row.name), which the generic table has at that number"
            }
        }
        var last = -1
        if calls.contains(where: { $0.1.ia32 != nil }) {
            for row in SyscallTable(try editor.readLines(SyscallTable.i386)).rows {
                ia32Owners[row.number] = row.name.text
            }
            last = SyscallTable(try before.readLines(SyscallTable.i386)).rows.map(\.number).max() ?? -1
        }
        lastOfIA32 = last

        var places: [CIdentifier: SyscallFinding.Place] = [:]
        for (spec, call) in calls {
            let place = spec.place(of: call)
            if let row = table.row(name: call.name) {
                refuse(
                    call, place, "a call named \(call.name) is in the table already, with number \(row.number)",
                    fix: "choose another name, or leave out the patch that adds it")
                continue
            }
            if let other = places.updateValue(place, forKey: call.name) {
                refuse(
                    call, place, "a call named \(call.name) is declared twice, also at \(other)",
                    fix: "choose another name, or leave out one of the two folders")
                continue
            }
            guard let pin = call.number.pin(on: version) else { continue }
            if let owner = owners[pin] {
                refuse(
                    call, place, "number \(pin) of \(call.name) is taken by \(owner)",
                    fix: "pin another number for \(version.series), or leave `number` out for the next free one")
            } else if SyscallTable.x32Numbers.contains(pin) {
                refuse(
                    call, place, "number \(pin) of \(call.name) lies in x32's block, 512 to 547",
                    fix: "choose a number above \(lastOfKernel), or leave `number` out for the next free one")
            } else {
                owners[pin] = "\(call.name), which \(place) pins"
                pins[call.name] = pin
            }
        }
    }

    private mutating func refuse(
        _ call: SyscallSpec.Syscall, _ place: SyscallFinding.Place, _ message: String, fix: String
    ) {
        findings.append(SyscallFinding(.error, place, message, fix: fix))
        refused.insert(place)
    }

    /// The number of a call in the x86-64 table; nil when it cannot get one, as the findings say.
    mutating func number(for call: SyscallSpec.Syscall, spec: SyscallSpec) -> Int? {
        if refused.contains(spec.place(of: call)) { return nil }
        if let pin = pins[call.name] { return pin }
        var number = lastOfKernel + 1
        while owners[number] != nil { number += 1 }
        guard number < SyscallTable.x32Numbers.lowerBound else {
            refuse(
                call, spec.place(of: call), "no number below x32's block is free for \(call.name)",
                fix: "pin one from 548 on")
            return nil
        }
        owners[number] = call.name.text
        return number
    }

    /// The number of a call in the i386 table: the same as in the x86-64 table if that is free; nil when it cannot get
    /// one, as the findings say.
    mutating func ia32Number(
        for call: SyscallSpec.Syscall, spec: SyscallSpec, common: Int, version: KernelVersion
    ) -> Int? {
        if let pin = call.ia32?.number.pin(on: version) {
            if let owner = ia32Owners[pin] {
                refuse(
                    call, spec.place(of: call),
                    "number \(pin) of \(call.name) is taken by \(owner) in the i386 table",
                    fix: "pin another, or leave it out for the next free one")
                return nil
            }
            ia32Owners[pin] = call.name.text
            return pin
        }
        var number = common >= Self.unifiedFrom ? common : lastOfIA32 + 1
        while ia32Owners[number] != nil { number += 1 }
        ia32Owners[number] = call.name.text
        return number
    }

    /// Warns of pinned numbers with a gap below them.
    ///
    /// - Parameter table: The x86-64 table with all calls.
    package func gaps(in table: SyscallTable, specs: [SyscallSpec]) -> [SyscallFinding] {
        specs.flatMap { spec in
            spec.syscalls.compactMap { call in
                guard let pin = pins[call.name], pin > lastOfKernel + 1, pin < SyscallTable.x32Numbers.lowerBound,
                    table.row(number: pin - 1) == nil
                else { return nil }
                return SyscallFinding(
                    .warning, spec.place(of: call), "number \(pin) of \(call.name) leaves a gap below it",
                    fix: "leave `number` out for the next free one")
            }
        }
    }
}
