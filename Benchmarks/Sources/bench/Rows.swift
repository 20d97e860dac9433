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
    var assess: @Sendable ([String: Series]) -> (measured: String, verdict: Verdict)?

    /// All rows in the order of the table.
    static let all = usual + Competitors.checks.map(ofCheck)

    /// The rows of a run without checkers.
    private static let usual: [Row] = [
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
            target: "0.8 s; whole command 12x ahead of virtme-ng --disable-kvm, 6x of --force-9p",
            competitors: ["boot", "boot-disk", "vng", "vng-9p", "bare"]
        ) { series in
            guard let guest = series["boot"]?.guest, let wall = series["boot"]?.wall else { return nil }
            let reached = Verdict.of(guest.median, atMost: 0.8)
            guard let peer = series["vng"]?.wall, let peerGuest = series["vng"]?.guest,
                let quicker = series["vng-9p"]?.wall
            else { return (guest.text("s"), reached.and(.missed)) }
            // Command against command: what a person waits for. Guest against guest is said too.
            let (ratio, ratio9p) = (peer.median / wall.median, quicker.median / wall.median)
            let text =
                "\(guest.text("s")); command \(figure(wall.median)) s, \(figure(ratio))x and \(figure(ratio9p))x ahead "
                + "(QEMU alone \(figure(peerGuest.median / guest.median))x)"
            return (text, reached.and(ratio >= 12 && ratio9p >= 6 ? .met : .missed))
        },
        Row(
            id: "shell", path: "`kbuild shell -q -- true`, whole command, against bare QEMU with the same kernel",
            target: "0.55 s, ratio 0.75", competitors: ["shell", "bare"]
        ) { series in
            guard let wall = series["shell"]?.wall, let peer = series["bare"]?.wall else { return nil }
            let ratio = wall.median / peer.median
            let text = "\(wall.text("s")), ratio \(figure(ratio))"
            return (text, Verdict.of(wall.median, atMost: 0.55).and(.of(ratio, atMost: 0.75)))
        },
        Row(
            id: "host", path: "a command with the host's root in the guest, whole command",
            target: "6 s, ahead of virtme-ng", competitors: ["host", "vng", "vng-9p"]
        ) { series in
            guard let wall = series["host"]?.wall, let peer = series["vng-9p"]?.wall, let other = series["vng"]?.wall
            else { return nil }
            let best = min(peer.median, other.median)
            let text = "\(wall.text("s")), \(figure(best / wall.median))x ahead of the quicker one"
            return (text, Verdict.of(wall.median, atMost: 6).and(.of(wall.median, atMost: best)))
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
            id: "edit", path: "edit one call's C file to the verdict of one Swift test in the guest", target: "1.6 s",
            competitors: ["edit-one", "edit", "edit-suite", "edit-by-hand"]
        ) { series in
            guard let wall = series["edit-one"]?.wall else { return nil }
            return (wall.text("s"), .of(wall.median, atMost: 1.6))
        },
        Row(
            id: "edit-uml", path: "the same on user-mode Linux", target: "1.0 s", competitors: ["edit-uml"]
        ) { series in
            guard let wall = series["edit-uml"]?.wall else { return nil }
            return (wall.text("s"), .of(wall.median, atMost: 1))
        },
        Row(
            id: "edit-6.12", path: "edit one call's C file to verdict, Linux 6.12", target: "as with 6.1 (row edit)",
            competitors: ["edit-6.12", "edit"], isLong: true
        ) { series in
            guard let wall = series["edit-6.12"]?.wall, let older = series["edit"]?.wall else { return nil }
            let ratio = wall.median / older.median
            // 6.12 has more symbols, so its link takes longer.
            return ("\(wall.text("s")), \(figure(ratio)) of 6.1's", .of(ratio, atMost: 1.25))
        },
        Row(
            id: "switch-edit", path: "the first edit after a switch of the profile, to verdict",
            target: "as any edit: at most 1.2 times", competitors: ["switch-edit", "edit"]
        ) { series in
            guard let wall = series["switch-edit"]?.wall, let edit = series["edit"]?.wall else { return nil }
            let ratio = wall.median / edit.median
            return ("\(wall.text("s")), \(figure(ratio)) times an edit", .of(ratio, atMost: 1.2))
        },
        Row(
            id: "second", path: "a second project beside a built one, `kbuild init` and an edit to its first verdict",
            target: "10 s", competitors: ["second"]
        ) { series in
            guard let wall = series["second"]?.wall else { return nil }
            return (wall.text("s"), .of(wall.median, atMost: 10))
        },
        Row(
            id: "add", path: "add a system call to the table, to a bootable kernel", target: "6 s",
            competitors: ["add"]
        ) { series in
            guard let wall = series["add"]?.wall else { return nil }
            let objects = series["add"]?.value("objects").map { ", \(Int($0.median)) objects" } ?? ""
            return (wall.text("s") + objects, .of(wall.median, atMost: 6))
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
            return (text, Verdict.of(objects.maximum, atMost: 0).and(.of(beyond.median, atMost: 1)))
        },
        Row(
            id: "cold", path: "a clone with empty caches to the first verdict: kbuild's own build and `kbuild run`",
            target: "360 s, of which kbuild's own build 90 s", competitors: ["cold", "make-by-hand"], isLong: true
        ) { series in
            guard let wall = series["cold"]?.wall, let own = series["cold"]?.value("seconds of building kbuild itself"),
                let make = series["make-by-hand"]?.wall
            else { return nil }
            let text =
                "\(wall.text("s")), kbuild's own build \(figure(own.median)) s, make alone \(figure(make.median)) s"
            return (text, Verdict.of(wall.median, atMost: 360).and(.of(own.median, atMost: 90)))
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
            id: "isolate", path: "one pristine guest a test", target: "a Swift test 0.3 s, a C program 0.15 s",
            competitors: ["isolate", "isolate-c"]
        ) { series in
            guard let test = series["isolate"]?.value("seconds a test"),
                let start = series["isolate"]?.value("seconds to a woken guest's first word"),
                let program = series["isolate-c"]?.value("seconds a test")
            else { return nil }
            let text =
                "Swift \(test.text("s")), C \(program.text("s")); to the guest's first word \(start.text("s"))"
            return (text, Verdict.of(test.median, atMost: 0.3).and(.of(program.median, atMost: 0.15)))
        },
        Row(
            id: "suite", path: "a suite of 100 one-line tests, each in a pristine guest", target: "15 s on 2 cores",
            competitors: ["suite"]
        ) { series in
            guard let wall = series["suite"]?.wall else { return nil }
            return (wall.text("s"), .of(wall.median, atMost: 15))
        },
        Row(
            id: "coverage", path: "the call's suite with `--coverage`, nothing changed, against without",
            target: "at most 10 % more", competitors: ["coverage", "suite-warm"], isLong: true
        ) { series in
            more(series, than: "suite-warm", of: "coverage", atMost: 1.1)
        },
    ]

    /// What a checker costs.
    private static func ofCheck(_ check: String) -> Row {
        Row(
            id: "check-\(check)", path: "the call's suite with `--check \(check)`, nothing changed, against without",
            target: "–", competitors: ["check-\(check)", "suite-warm"], isLong: true
        ) { series in
            more(series, than: "suite-warm", of: "check-\(check)", atMost: nil)
        }
    }

    /// What a flag costs: its wall time against that of the same run without it.
    private static func more(
        _ series: [String: Series], than plain: String, of id: String, atMost: Double?
    ) -> (measured: String, verdict: Verdict)? {
        guard let wall = series[id]?.wall, let base = series[plain]?.wall else { return nil }
        let ratio = wall.median / base.median
        let once =
            series[id]?.value("seconds of the kernel once").map { ", its kernel once \(figure($0.median)) s" } ?? ""
        let text = "\(wall.text("s")), \(figure(ratio)) times\(once)"
        return (text, atMost.map { .of(ratio, atMost: $0) } ?? .none)
    }

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
