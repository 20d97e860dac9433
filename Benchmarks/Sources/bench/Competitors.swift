// SPDX-License-Identifier: Apache-2.0
import Foundation
import Measurement

/// Everything that is timed.
struct Competitors {
    let workspace: Workspace
    let projects: Projects
    let peers: Peers

    init(_ workspace: Workspace) {
        self.workspace = workspace
        projects = Projects(workspace: workspace)
        peers = Peers(workspace: workspace)
    }

    /// The checkers that are measured one by one.
    static let checks = ["memory", "races", "locks", "leaks", "stack", "undefined"]

    /// Whether the measured kbuild can run each test in a separate guest.
    func canIsolate() throws -> Bool {
        try workspace.run(Invocation([workspace.kbuild, "run", "--help"], in: workspace.root)).output
            .contains("--isolate")
    }

    /// All of them, by their IDs.
    func all() -> [Competitor] {
        [
            unchanged, memory, boot, bootFromDisk, shell, host, swift, uml, virtme("vng", []),
            virtme("vng-9p", ["--force-9p"]), bare,
            edit("edit-one", "kbuild", ["--profile", "one"]),
            edit("edit", "kbuild, verdict of a C program", []),
            edit("edit-suite", "kbuild, verdict of the call's Swift suite", ["--profile", "suite"]), editByHand,
            edit("edit-uml", "kbuild, user-mode Linux", ["--machine", "uml"]),
            edit("edit-6.12", "kbuild, Linux 6.12", ["--kernel", "linux-source-6.12"]), editAfterSwitch, second, add,
            reapply, switching, isolated("isolate", guests: 1, profile: "hundred"),
            isolated("isolate-c", guests: 1, profile: "hundred-programs"),
            isolated("suite", guests: 2, profile: "hundred"), cold, makeByHand, addByHand,
            suite("suite-warm", "kbuild", []), suite("coverage", "kbuild --coverage", ["--coverage"]),
        ] + Self.checks.map { suite("check-\($0)", "kbuild --check \($0)", ["--check", $0]) }
    }

    // MARK: kbuild

    /// Runs kbuild with its report.
    private func report(
        _ arguments: [String], in project: String, watch: Invocation.Watch = .guest, limit: Double = 120
    ) throws -> (Sample, Report) {
        let invocation = workspace.invocation(
            arguments + ["--format", "json"], in: project, watch: watch, limit: limit)
        let measured = try workspace.run(invocation)
        let report = try Report(measured.output)
        var sample = Sample(
            wall: measured.wall, cpu: measured.cpu, guest: measured.guestWall, steps: report.steps,
            commands: ["(cd $BENCH/\(project) && \(workspace.text(invocation)))"])
        sample.values["peak MiB"] = measured.peakMemory
        sample.values["kbuild's own peak MiB"] = measured.ownPeakMemory
        return (sample, report)
    }

    /// Brings everything up to date, which may compile a kernel.
    @discardableResult
    private func warm(_ arguments: [String] = [], in project: String) throws -> Report {
        let limit = 3600.0
        return try report(["run"] + arguments, in: project, watch: .nothing, limit: limit).1
    }

    /// Builds the project to edit in its own tree, not only its kernel in the store, so that make has to build only the
    /// next edit.
    @discardableResult
    private func warmTree(_ arguments: [String] = []) throws -> Report {
        try projects.edit()
        let report = try warm(arguments, in: Projects.loop)
        guard report.compiledObjects > 0 else { throw RunError("the kernel was not built in the project's own tree") }
        return report
    }

    /// kbuild run, when all is there.
    private func plain(
        _ id: String, _ title: String, _ arguments: [String], in project: String, make: @escaping () throws -> Void,
        watch: Invocation.Watch = .guest
    ) -> Competitor {
        Competitor(
            id: id, title: title,
            setUp: {
                try make()
                try warm(arguments, in: project)
            },
            run: {
                let (sample, report) = try report(["run"] + arguments, in: project, watch: watch)
                guard report.compiledObjects == 0 else { throw RunError("\(title): the kernel was compiled again") }
                if watch == .guest, sample.guest == nil { throw RunError("\(title): no guest was seen") }
                return sample
            })
    }

    private var unchanged: Competitor {
        plain("unchanged", "kbuild, this repository", [], in: Projects.whole, make: projects.makeWhole)
    }
    private var memory: Competitor {
        plain(
            "memory", "kbuild, this repository, watched", [], in: Projects.whole, make: projects.makeWhole,
            watch: .memory)
    }
    private var boot: Competitor {
        plain("boot", "kbuild", [], in: Projects.boot, make: projects.makeBoot)
    }
    private var bootFromDisk: Competitor {
        plain(
            "boot-disk", "kbuild, root on a disk", ["--profile", "disk"], in: Projects.boot, make: projects.makeBoot)
    }
    private var swift: Competitor {
        plain(
            "swift", "kbuild, an empty Swift test", ["--profile", "swift"], in: Projects.boot, make: projects.makeBoot)
    }
    private var uml: Competitor {
        plain(
            "uml", "kbuild, user-mode Linux", ["--machine", "uml"], in: Projects.boot, make: projects.makeBoot)
    }

    private func edit(_ id: String, _ title: String, _ profile: [String]) -> Competitor {
        Competitor(
            id: id, title: title,
            setUp: {
                try projects.makeLoop()
                try warmTree(profile)
            },
            run: {
                // What ran before may have left another kernel in the tree.
                try warmTree(profile)
                try projects.edit()
                var (sample, report) = try report(["run"] + profile, in: Projects.loop, limit: 600)
                guard report.compiledObjects > 0 else { throw RunError("\(title): nothing was compiled") }
                sample.values["objects"] = Double(report.compiledObjects)
                return sample
            })
    }

    /// Where the time of an edit goes: that of the run with the median time.
    func timelineOfEdit(rounds: Int) throws -> Timeline {
        let profile = ["--profile", "one"]
        var timelines: [Timeline] = []
        for _ in 1...rounds {
            try warmTree(profile)
            try projects.edit()
            let invocation = workspace.invocation(["run"] + profile + ["--format", "jsonl"], in: Projects.loop)
            timelines.append(try Timeline(events: try workspace.run(invocation).output))
        }
        return timelines.sorted { $0.total < $1.total }[rounds / 2]
    }

    private var editAfterSwitch: Competitor {
        let other = ["--profile", "other"]
        return Competitor(
            id: "switch-edit", title: "kbuild, after a switch of the profile",
            setUp: {
                try projects.makeLoop()
                try warmTree(other)
                try warmTree()
            },
            run: {
                // The last build is of the usual profile.
                try warmTree()
                try projects.edit()
                var (sample, report) = try report(["run"] + other, in: Projects.loop, limit: 600)
                guard report.compiledObjects > 0 else { throw RunError("nothing was compiled after the switch") }
                sample.values["objects"] = Double(report.compiledObjects)
                return sample
            })
    }

    /// A new project each time, of which kbuild has nothing; a first one was built before.
    private var second: Competitor {
        func create(_ name: String) throws -> [Measured] {
            try? FileManager.default.removeItem(atPath: "\(workspace.root)/\(name)")
            return [try workspace.run(workspace.invocation(["init", name], in: "."))]
        }
        return Competitor(
            id: "second", title: "kbuild, a new project",
            setUp: {
                _ = try create("first")
                try warm(in: "first")
            },
            run: {
                let name = Projects.freshCallName()
                _ = try create(name)
                defer { try? FileManager.default.removeItem(atPath: "\(workspace.root)/\(name)") }
                try projects.editOnlyCall(of: name)
                var (sample, report) = try report(["run"], in: name, limit: 1800)
                guard report.compiledObjects > 0 else { throw RunError("nothing was compiled in the new project") }
                sample.values["objects"] = Double(report.compiledObjects)
                sample.commands = [
                    "(cd $BENCH && kbuild init NAME)", "(cd $BENCH/NAME && kbuild run --format json)",
                ]
                try workspace.run(workspace.invocation(["clean"], in: name))
                return sample
            })
    }

    /// The suite of a call, when all is there.
    private func suite(_ id: String, _ title: String, _ flags: [String]) -> Competitor {
        let arguments = ["--profile", "suite"] + flags
        var once: Double?
        return Competitor(
            id: id, title: title,
            setUp: {
                try projects.makeLoop()
                let first = try warm(arguments, in: Projects.loop)
                // The time of a kernel that was in the store already is not known.
                if first.compiledObjects > 0 {
                    once = first.steps.last { $0.name == "compile" }?.seconds
                }
            },
            run: {
                var (sample, report) = try report(["run"] + arguments, in: Projects.loop, limit: 600)
                guard report.compiledObjects == 0 else { throw RunError("\(title): the kernel was compiled again") }
                sample.values["seconds of the kernel once"] = once
                return sample
            })
    }

    /// A command in an interactive guest.
    private func command(_ id: String, _ title: String, _ arguments: [String]) -> Competitor {
        Competitor(
            id: id, title: title,
            setUp: {
                try projects.makeBoot()
                try warm(in: Projects.boot)
            },
            run: {
                let invocation = workspace.invocation(
                    ["shell", "-q"] + arguments + ["--", "true"], in: Projects.boot, watch: .guest)
                let measured = try workspace.run(invocation)
                return Sample(
                    wall: measured.wall, cpu: measured.cpu, guest: measured.guestWall,
                    commands: ["(cd $BENCH/\(Projects.boot) && \(workspace.text(invocation)))"])
            })
    }
    private var shell: Competitor { command("shell", "kbuild shell", []) }
    private var host: Competitor { command("host", "kbuild shell, the host's root", ["--rootfs", "host"]) }

    private var add: Competitor {
        // Calls stay: what is timed is one more each time.
        var added: [String] = []
        return Competitor(
            id: "add", title: "kbuild",
            setUp: {
                try projects.makeLoop()
                try warmTree()
            },
            run: {
                try warmTree()
                let name = Projects.freshCallName()
                added.append(try projects.addCall(name))
                try projects.writeLoop(added: added)
                let invocation = workspace.invocation(["build"], in: Projects.loop, limit: 1800)
                let measured = try workspace.run(invocation)
                let steps = [Report.Step](log: measured.errors)
                let image = measured.output.trimmingCharacters(in: .whitespacesAndNewlines)
                let folder = (image as NSString).deletingLastPathComponent
                let symbols = (try? String(contentsOfFile: folder + "/System.map", encoding: .utf8)) ?? ""
                guard symbols.contains("sys_" + name) else { throw RunError("the kernel lacks the call \(name)") }
                return Sample(
                    wall: measured.wall, cpu: measured.cpu, values: ["objects": Double(steps.compileObjects)],
                    steps: steps,
                    commands: ["(cd $BENCH/\(Projects.loop) && \(workspace.text(invocation)))"])
            })
    }

    private var reapply: Competitor {
        Competitor(
            id: "reapply", title: "kbuild",
            setUp: {
                try projects.makeLoop()
                try warmTree()
            },
            run: {
                // The last build is of what is reverted and applied again.
                try warmTree()
                var total = Sample(wall: 0, cpu: 0)
                for verb in ["revert", "apply"] {
                    let invocation = workspace.invocation(["patch", verb], in: Projects.loop)
                    let measured = try workspace.run(invocation)
                    total.wall += measured.wall
                    total.cpu += measured.cpu
                    total.values["seconds of patch \(verb)"] = measured.wall
                    total.commands.append("(cd $BENCH/\(Projects.loop) && \(workspace.text(invocation)))")
                }
                let (again, report) = try report(["run"], in: Projects.loop)
                total.wall += again.wall
                total.cpu += again.cpu
                total.guest = again.guest
                total.steps = again.steps
                total.commands += again.commands
                total.values["objects"] = Double(report.compiledObjects)
                // The store had that kernel. Whether make's own folder is as it was shows with the next edit.
                try projects.edit()
                let next = try self.report(["run"], in: Projects.loop)
                total.values["objects of an edit after it"] = Double(next.1.compiledObjects)
                return total
            })
    }

    private var switching: Competitor {
        Competitor(
            id: "switch", title: "kbuild",
            setUp: {
                try projects.makeBoot()
                try warm(in: Projects.boot)
                try warm(["--profile", "base"], in: Projects.boot)
            },
            run: {
                let (first, there) = try report(["run", "--profile", "base"], in: Projects.boot)
                var (second, back) = try report(["run"], in: Projects.boot)
                second.values["objects"] = Double(there.compiledObjects + back.compiledObjects)
                guard let one = first.beyondGuest, let other = second.beyondGuest else {
                    throw RunError("no guest was seen")
                }
                second.values["seconds beyond boot, the slower way"] = max(one, other)
                second.commands = first.commands + second.commands
                return second
            })
    }

    private func isolated(_ id: String, guests: Int, profile: String) -> Competitor {
        let arguments = ["--profile", profile, "--isolate", "test", "--guests", "\(guests)"]
        return Competitor(
            id: id,
            title: "kbuild, \(guests == 1 ? "one guest" : "\(guests) guests") at a time, profile \(profile)",
            setUp: {
                try projects.makeBoot()
                try warm(arguments, in: Projects.boot)
            },
            run: {
                var (sample, report) = try report(["run"] + arguments, in: Projects.boot, watch: .nothing)
                guard let guests = report.guests, guests.isFromSnapshot, guests.count >= 100 else {
                    throw RunError("not every test had a guest woken from a snapshot")
                }
                sample.values["seconds to a woken guest's first word"] = guests.medianStartSeconds
                sample.values["seconds of a guest"] = guests.medianSeconds
                if let test = report.steps.last(where: { $0.name == "test" }) {
                    sample.values["seconds a test"] = test.seconds / 100
                }
                return sample
            })
    }

    // MARK: From nothing

    private var cold: Competitor {
        Competitor(
            id: "cold", title: "kbuild, a clone with empty caches",
            run: {
                let folder = workspace.root + "/cold"
                try? FileManager.default.removeItem(atPath: folder)
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
                defer { try? FileManager.default.removeItem(atPath: folder) }
                let clone = Invocation(["git", "clone", "--quiet", workspace.repository, "clone"], in: folder)
                let build = Invocation(
                    ["swift", "build", "-c", "release", "--product", "kbuild"], in: folder + "/clone", limit: 1800)
                let run = Invocation(
                    [folder + "/clone/.build/release/kbuild", "run", "--format", "json"], in: folder + "/clone",
                    environment: ["KBUILD_CACHE": folder + "/cache", "CCACHE_DIR": folder + "/ccache"], limit: 3600,
                    watch: .guest)
                let cloned = try workspace.run(clone)
                let built = try workspace.run(build)
                let ran = try workspace.run(run)
                let report = try Report(ran.output)
                return Sample(
                    wall: cloned.wall + ran.wall, cpu: cloned.cpu + ran.cpu, guest: ran.guestWall,
                    values: ["seconds of building kbuild itself": built.wall], steps: report.steps,
                    commands: [clone, build, run].map { workspace.text($0) })
            })
    }

    private var makeByHand: Competitor {
        Competitor(
            id: "make-by-hand", title: "make alone, no compiler cache", setUp: setUpByHand,
            run: {
                let output = workspace.root + "/by-hand/build/cold"
                try? FileManager.default.removeItem(atPath: output)
                defer { try? FileManager.default.removeItem(atPath: output) }
                try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
                try FileManager.default.copyItem(
                    atPath: workspace.root + "/by-hand/config", toPath: output + "/.config")
                _ = try peers.make(["olddefconfig"], output: "build/cold")
                return try peers.make(["bzImage"], output: "build/cold")
            })
    }

    // MARK: Peers

    private var kernel: String {
        get throws {
            let build = workspace.invocation(["build"], in: Projects.boot)
            return try workspace.run(build).output.trimmingCharacters(in: .whitespacesAndNewlines)
        }
    }

    private func setUpBootPeers() throws {
        try projects.makeBoot()
        try warm(in: Projects.boot)
        try peers.makeBare()
    }

    private func virtme(_ id: String, _ options: [String]) -> Competitor {
        Competitor(
            id: id, title: (["virtme-ng --disable-kvm"] + options).joined(separator: " "),
            setUp: {
                try peers.installVirtme()
                try setUpBootPeers()
            },
            run: { try peers.virtme(options, kernel: try kernel, program: peers.program) })
    }

    private var bare: Competitor {
        Competitor(
            id: "bare", title: "bare QEMU, -M pc", setUp: setUpBootPeers, run: { try peers.bare(kernel: try kernel) })
    }

    private func setUpByHand() throws {
        try projects.makeLoop()
        try peers.makeBare()
        // The tree as kbuild has it now, and the configuration that it was built with.
        let report = try warmTree()
        let build = workspace.invocation(["build"], in: Projects.loop)
        let image = try workspace.run(build).output.trimmingCharacters(in: .whitespacesAndNewlines)
        try peers.makeTree(from: report, config: (image as NSString).deletingLastPathComponent + "/config")
    }

    private var editByHand: Competitor {
        Competitor(
            id: "edit-by-hand", title: "make, then bare QEMU", setUp: setUpByHand,
            run: {
                let file = "kernel/caesar.c"
                try peers.writeTree(file, Projects.edit(try peers.readTree(file)))
                let make = try peers.make(["bzImage"])
                let boot = try peers.bare(kernel: peers.image)
                return Sample(
                    wall: make.wall + boot.wall, cpu: make.cpu + boot.cpu, guest: boot.guest,
                    values: ["seconds of make": make.wall], commands: make.commands + boot.commands)
            })
    }

    private var addByHand: Competitor {
        Competitor(
            id: "add-by-hand", title: "make, no compiler cache", setUp: setUpByHand,
            run: {
                let name = Projects.freshCallName()
                let table = "arch/x86/entry/syscalls/syscall_64.tbl"
                let lines = try peers.readTree(table)
                // The x32 numbers above 511 are not available for new calls.
                let numbers = lines.split(separator: "\n").compactMap { line in
                    line.split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) }
                }
                let number = (numbers.filter { $0 < 512 }.max() ?? 450) + 1
                try peers.writeTree("kernel/\(name).c", Projects.callSource(name))
                try peers.writeTree("kernel/Makefile", try peers.readTree("kernel/Makefile") + "obj-y += \(name).o\n")
                try peers.writeTree(
                    "include/linux/syscalls.h",
                    try peers.readTree("include/linux/syscalls.h").replacingOccurrences(
                        of: "asmlinkage long sys_ni_syscall(void);",
                        with: "asmlinkage long sys_ni_syscall(void);\nasmlinkage long sys_\(name)(int number);"))
                try peers.writeTree(table, lines + "\(number)\tcommon\t\(name)\tsys_\(name)\n")
                return try peers.make(["bzImage"])
            })
    }
}
