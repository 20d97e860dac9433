// SPDX-License-Identifier: Apache-2.0
import Measurement

/// A line of the table: which competitors it needs, and what their figures say.
struct Row: Sendable {
    var id: String
    var path: String
    var target: String
    /// The competitors, kbuild's own first.
    var competitors: [String]
    /// Whether it is only measured when asked for.
    var isLong = false
    /// The figure in words and how it stands; nil when the figures are not there.
    var assess: @Sendable ([String: Series]) -> (measured: String, verdict: CommandFailure)?

    /// All rows in the order of the table.
    static let all: [Row] = [
        Row(
            id: "own", path: "`kbuild run`, nothing changed: kbuild's own wall beyond its QEMU process",
            target: "0.15 s",
            competitors: ["unchanged"]
        ) { series in
            guard let own = series["unchanged"]?.beyondGuest else { return nil }
            return (own.text("s"), .of(own.median, atMost: 0.15))
        },
        Row(
            id: "boot", path: "boot, mount 9p, run `true`, power off: QEMU's life",
            target: "0.8 s, 10x ahead of virtme-ng --disable-kvm",
            competitors: ["boot", "boot-disk", "vng", "vng-9p", "bare"]
        ) { series in
            guard let guest = series["boot"]?.guest, let wall = series["boot"]?.wall else { return nil }
            let reached = CommandFailure.of(guest.median, atMost: 0.8)
            guard let peer = series["vng"]?.wall, let peerGuest = series["vng"]?.guest else {
                return (guest.text("s"), reached.and(.missed))
            }
            // Command against command: what a person waits for. Guest against guest is said too.
            let ratio = peer.median / wall.median
            let text =
                "\(guest.text("s")); command \(figure(wall.median)) s, \(figure(ratio))x ahead "
                + "(QEMU alone \(figure(peerGuest.median / guest.median))x)"
            return (text, reached.and(ratio >= 10 ? .met : .missed))
        },
        Row(
            id: "swift", path: "the Swift runtime's start on top of that: QEMU's life with an empty Swift test",
            target: "0.8 s on top", competitors: ["swift", "boot-disk"]
        ) { series in
            guard let swift = series["swift"]?.samples, let plain = series["boot-disk"]?.samples,
                // Of the same round each, so that a busy minute counts on both sides.
                let more = Summary(
                    zip(swift, plain).compactMap { a, b in a.guest.flatMap { x in b.guest.map { x - $0 } } })
            else { return nil }
            return (more.text("s") + " on top", .of(more.median, atMost: 0.8))
        },
        Row(
            id: "uml", path: "the same on user-mode Linux: the kernel process's life", target: "0.2 s",
            competitors: ["uml"]
        ) { series in
            guard let guest = series["uml"]?.guest else { return nil }
            return (guest.text("s"), .of(guest.median, atMost: 0.2))
        },
        Row(
            id: "edit", path: "edit one call's C file to verdict", target: "2.5 s; stretch 1.2 s",
            competitors: ["edit", "edit-suite", "edit-by-hand"]
        ) { series in
            guard let wall = series["edit"]?.wall else { return nil }
            return (wall.text("s"), .of(wall.median, atMost: 2.5, stretch: 1.2))
        },
        Row(
            id: "add", path: "add a system call to the table, to a bootable kernel", target: "30 s; stretch 8 s",
            competitors: ["add"]
        ) { series in
            guard let wall = series["add"]?.wall else { return nil }
            let objects = series["add"]?.value("objects").map { ", \(Int($0.median)) objects" } ?? ""
            return (wall.text("s") + objects, .of(wall.median, atMost: 30, stretch: 8))
        },
        Row(
            id: "reapply", path: "patch revert + re-apply, same content", target: "no object rebuilt",
            competitors: ["reapply"]
        ) { series in
            guard let wall = series["reapply"]?.wall, let objects = series["reapply"]?.value("objects"),
                let next = series["reapply"]?.value("objects of an edit after it")
            else { return nil }
            let text =
                "\(Int(objects.maximum)) objects; \(Int(next.maximum)) with the next edit; \(wall.text("s")) with a run"
            return (text, .of(objects.maximum, atMost: 0).and(.of(next.maximum, atMost: 1)))
        },
        Row(
            id: "switch", path: "switch between two profiles built before", target: "no compile, under 1 s beyond boot",
            competitors: ["switch"]
        ) { series in
            guard let objects = series["switch"]?.value("objects"),
                let beyond = series["switch"]?.value("seconds beyond boot, the slower way")
            else { return nil }
            let text = "\(Int(objects.maximum)) objects, \(beyond.text("s")) beyond boot"
            return (text, CommandFailure.of(objects.maximum, atMost: 0).and(.of(beyond.median, atMost: 1)))
        },
        Row(
            id: "cold", path: "cold: clone to verdict, kbuild itself built apart",
            target: "the kernel's own make -j + 20 s", competitors: ["cold", "make-by-hand"], isLong: true
        ) { series in
            guard let wall = series["cold"]?.wall, let make = series["make-by-hand"]?.wall else { return nil }
            let more = wall.median - make.median
            return ("\(wall.text("s")), make + \(figure(more)) s", .of(more, atMost: 20))
        },
        Row(
            id: "add-by-hand", path: "add a system call by hand, for comparison", target: "–",
            competitors: ["add-by-hand"], isLong: true
        ) { series in
            (series["add-by-hand"]?.wall).map { ($0.text("s"), .none) }
        },
        Row(
            id: "memory", path: "peak memory of a run beside QEMU's guest RAM", target: "150 MB",
            competitors: ["memory"]
        ) { series in
            guard let peak = series["memory"]?.value("peak MiB") else { return nil }
            // The target is in megabytes of a million bytes.
            let megabytes = peak.median * 1.048_576
            return ("\(figure(megabytes)) MB (\(peak.text("MiB")))", .of(megabytes, atMost: 150))
        },
        Row(
            id: "isolate", path: "one pristine guest a test", target: "0.2 s a test, restore itself 0.06 s",
            competitors: ["isolate"]
        ) { series in
            guard let test = series["isolate"]?.value("seconds a test"),
                let start = series["isolate"]?.value("seconds to a woken guest's first word")
            else { return nil }
            let text = "\(test.text("s")) a test, to the guest's first word \(start.text("s"))"
            return (text, CommandFailure.of(test.median, atMost: 0.2).and(.of(start.median, atMost: 0.06)))
        },
        Row(
            id: "suite", path: "a suite of 100 one-line tests, each in a pristine guest", target: "15 s on 2 cores",
            competitors: ["suite"]
        ) { series in
            guard let wall = series["suite"]?.wall else { return nil }
            return (wall.text("s"), .of(wall.median, atMost: 15))
        },
    ]

    /// The line of the results.
    func result(_ series: [String: Series], date: String) -> RowResult {
        let own = competitors.first.flatMap { series[$0] }
        var row = RowResult(id: id, path: path, target: target, verdict: .failed, date: date)
        if let (measured, verdict) = assess(series) {
            row.measured = measured
            row.verdict = verdict
        } else {
            row.measured = own?.trouble.map { String($0.split(separator: "\n")[0]) } ?? ""
        }
        row.cpu = own?.cpu.map { figure($0.median) } ?? ""
        // kbuild in other situations is in the notes.
        let peers = competitors.dropFirst().compactMap { series[$0] }.filter { !$0.title.hasPrefix("kbuild") }
        row.peer = peers.compactMap { peer in
            peer.wall.map { "\(peer.title) \(figure($0.median)) s, CPU \(figure(peer.cpu?.median ?? 0)) s" }
        }.joined(separator: "; ")
        row.commands = competitors.compactMap { series[$0]?.samples.last?.commands }.flatMap { $0 }
        row.notes = competitors.compactMap { series[$0]?.line }
        if row.verdict == .missed || row.verdict == .metNotStretch, let profile = own?.profile {
            row.notes.append(profile)
        }
        return row
    }
}
