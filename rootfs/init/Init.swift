// SPDX-License-Identifier: Apache-2.0
import CInit

/// PID 1 of the guest: mounts the file systems, runs the programs one after another, reports to the host, and ends the
/// machine with a code that shows the host that the end was intended.
@main
struct Init {
    static func main() {
        mountFileSystems()
        let hasModules = BootModules.load(complain)
        // Some of these file systems may be in the modules.
        if hasModules { mountOffered() }
        sethostname("kbuild", 6)
        let options = kernelOptions()
        let fstab = System.read("/etc/fstab") ?? []
        let rootProblem = options["kbuild.root"] == "host" ? HostRoot.enter() : nil
        let looksForLeaks = options["kbuild.leaks"] == "on"
        let byHostfs = options["kbuild.shares"] == "hostfs"
        if options["kbuild.network"] == "user" { setUpNetwork() }
        let results = options["kbuild.results"] ?? "virtio"
        // The host names the port some time after the driver of its device was loaded.
        let opened = hasModules ? BootModules.wait { openChannel(results) } : openChannel(results)
        guard var channel = opened else { fail("no results channel") }
        if let rootProblem {
            channel.send("error", rootProblem)
            shutDown(options)
        }
        var log = KernelLog()
        if options["kbuild.coverage"] == "on" { log.coverage = CoverageCounters() }
        log.coverage?.findObjects()
        if let option = options["kbuild.calls"] {
            log.calls = CallTimes(option)
            if log.calls == nil { channel.send("note", "the calls are not timed: \(System.lastError)") }
        }
        var planName = options["kbuild.plan"] ?? "plan"
        var modules = Modules()
        var held: HeldProgram?
        var filters: [UInt8] = []
        var taintBefore: UInt64 = 0
        if let name = options["kbuild.hold"] {
            held = hold(name, fstab, modules: &modules, channel: &channel, log: &log, options)
            if looksForLeaks { Leaks.forgetBoot() }
            // The boot belongs to the saved machine; a restored guest reports only later events.
            log.sample(&channel)
            taintBefore = log.taint
            channel.send("ready", "")
            guard let request = Snapshot.waitForRequest(on: channel.descriptor), Snapshot.obey(request) else {
                channel.send("error", "the guest did not wake: \(System.lastError)")
                shutDown(options)
            }
            // This is a restored guest, whose records start at number 1.
            channel.restart()
            log.coverage?.restart()
            planName = request.plan
            filters = request.filters
        }
        // A held program is already in memory, and each mount takes as long as a small test.
        mountShares(fstab, byHostfs: byHostfs) { held == nil || $0 != programsFolder }
        if options["kbuild.programs"] == "disk", let problem = BootModules.mountPrograms(at: programsFolder) {
            channel.send("error", problem)
            shutDown(options)
        }
        offerConfiguration()
        offerModules()
        // The boot was quiet; the kernel's messages from here on belong to the tests.
        let rateLimits = Printing.currentRateLimits()
        Printing.reset(rateLimits: rateLimits)
        channel.send("hello", description(taintBefore: taintBefore))
        // The host matches the kernel's time stamps with the clock of the tests by this line.
        System.write("/dev/kmsg", "<6>kbuild: clock \(kbuild_monotonic())\n")
        log.sample(&channel)

        if let held {
            held.run(filters: filters, modules: &modules, channel: &channel, log: &log)
            if looksForLeaks {
                Leaks.report()
                log.sample(&channel)
            }
            channel.send("end", "1")
            channel.awaitFarewell()
            shutDown(options)
        }
        guard let plan = readPlan(planName) else {
            channel.send("error", "no readable plan \(planName) on the share of test programs")
            shutDown(options)
        }
        noteMissingNamespaces(for: plan, channel: &channel)
        // Only later programs need them.
        let settings = plan.programs.count > 1 ? Settings() : nil
        if looksForLeaks { Leaks.forgetBoot() }
        for (index, program) in plan.programs.enumerated() {
            channel.send("start", "\(index) \(kbuild_monotonic())")
            let ending: Ending
            if let problem = modules.load(program.modules, channel: &channel, log: &log) {
                ending = .notStarted(problem)
            } else {
                ending =
                    switch program.kind {
                    case .swift, .output: RunningProgram.run(program, index: index, channel: &channel, log: &log)
                    case .terminal, .streams: Shell.run(program, index: index, channel: &channel)
                    }
            }
            let isLast = index == plan.programs.count - 1
            modules.unload(
                keeping: isLast ? [] : plan.programs[index + 1].modules, channel: &channel, log: &log)
            if looksForLeaks, isLast { Leaks.report() }
            log.sample(&channel)
            if !isLast {
                settings?.restore { channel.send("note", $0) }
                Printing.reset(rateLimits: rateLimits)
            }
            channel.send("stop", "\(index) \(kbuild_monotonic()) \(ending.payload)")
        }
        channel.send("end", "\(plan.programs.count)")
        channel.awaitFarewell()
        shutDown(options)
    }

    /// Reports once which namespaces the kernel lacks.
    private static func noteMissingNamespaces(for plan: Plan, channel: inout Channel) {
        guard plan.programs.count > 1 else { return }
        var missing: [String] = []
        if kbuild_has_namespace("pid") == 0 { missing.append("CONFIG_PID_NS") }
        if kbuild_has_namespace("ipc") == 0 { missing.append("CONFIG_IPC_NS") }
        guard !missing.isEmpty else { return }
        var names = missing[0]
        if missing.count > 1 { names += " and " + missing[1] }
        channel.send("note", "the kernel has no \(names): test programs are kept apart only by their mounts")
    }

    private static func readPlan(_ name: String) -> Plan? {
        System.read("\(programsFolder)/\(name)").flatMap { Plan($0) }
    }

    /// Prepares for a snapshot: the program of the plan `name` is held, and no share is mounted.
    private static func hold(
        _ name: String, _ fstab: [UInt8], modules: inout Modules, channel: inout Channel, log: inout KernelLog,
        _ options: [String: String]
    ) -> HeldProgram? {
        Snapshot.warmUp()
        guard name != "none" else { return nil }
        mountShares(fstab, byHostfs: false) { $0 == programsFolder }
        var problem = "no readable plan \(name) on the share of test programs"
        var held: HeldProgram?
        if let program = readPlan(name)?.programs.first {
            if let problem = modules.load(program.modules, channel: &channel, log: &log) {
                channel.send("error", problem)
                shutDown(options)
            }
            held = HeldProgram(program, isStepped: log.isStepped, error: &problem)
        }
        // A machine with a mounted share cannot be saved.
        if umount2(programsFolder, 0) != 0 { problem = "cannot unmount the programs: \(System.lastError)" }
        guard let held else {
            channel.send("error", problem)
            shutDown(options)
        }
        return held
    }

    private static let programsFolder = "/kbuild/programs"

    private static func mountFileSystems() {
        _ = System.mount("proc", "/proc", type: "proc")
        _ = System.mount("sysfs", "/sys", type: "sysfs")
        _ = System.mount("devtmpfs", "/dev", type: "devtmpfs")
        for (name, target) in [
            ("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"),
        ] as [(String, String)] {
            symlink(target, "/dev/" + name)
        }
        mkdir("/dev/pts", 0o755)
        _ = System.mount("devpts", "/dev/pts", type: "devpts")
        mkdir("/dev/shm", 0o1777)
        _ = System.mount("tmpfs", "/dev/shm", type: "tmpfs")
        _ = System.mount("tmpfs", "/tmp", type: "tmpfs", options: "mode=1777")
        _ = System.mount("tmpfs", "/run", type: "tmpfs", options: "mode=755")
        mountOffered()
        // The kernel opens the console for an initramfs only when the initramfs contains the node.
        let console = kbuild_open("/dev/console", O_RDWR)
        if console >= 0 {
            for descriptor in 0...2 as ClosedRange<Int32> where descriptor != console { dup2(console, descriptor) }
            if console > 2 { close(console) }
        }
    }

    /// Mounts the file systems that test suites expect, if the kernel has them: the kernel made the folders under /sys,
    /// and refuses an unknown type.
    private static func mountOffered() {
        mkdir("/dev/mqueue", 0o1777)
        mkdir("/dev/hugepages", 0o755)
        for (type, target) in [
            ("mqueue", "/dev/mqueue"), ("hugetlbfs", "/dev/hugepages"), ("cgroup2", "/sys/fs/cgroup"),
            ("debugfs", "/sys/kernel/debug"), ("tracefs", "/sys/kernel/tracing"), ("configfs", "/sys/kernel/config"),
            ("securityfs", "/sys/kernel/security"), ("bpf", "/sys/fs/bpf"),
        ] as [(String, String)] {
            _ = System.mount(type, target, type: type)
        }
        _ = kbuild_bring_up_loopback()
    }

    /// Sets the guest's address in QEMU's user network. QEMU's manual fixes the addresses, so init needs no DHCP
    /// server. The name server is written beside the devices, because programs have a /run of their own, and mounted
    /// over the root file system's, which cannot be changed.
    private static func setUpNetwork() {
        guard kbuild_set_up_interface("eth0", "10.0.2.15", "255.255.255.0", "10.0.2.2") == 0 else {
            return complain("cannot set up the network on eth0: \(System.lastError)")
        }
        let (file, target) = ("/dev/kbuild-resolv.conf", "/etc/resolv.conf")
        // The host's file may be a link whose target exists only on the host.
        unlink(target)
        let isChangeable = access(target, F_OK) != 0
        let descriptor = kbuild_open(isChangeable ? target : file, O_WRONLY | O_CREAT | O_CLOEXEC)
        defer { close(descriptor) }
        guard descriptor >= 0, System.write(descriptor, Array("nameserver 10.0.2.3\n".utf8)),
            isChangeable || System.mount(file, target, type: "", flags: UInt(MS_BIND))
        else { return complain("cannot name the network's server in \(target): \(System.lastError)") }
    }

    /// Provides the kernel's configuration at the path where programs such as LTP's tst_kconfig search for it, unless
    /// the root file system has it there.
    private static func offerConfiguration() {
        let place = "/boot/config-\(release())"
        let configuration = "\(programsFolder)/kernel.config"
        guard access(place, F_OK) != 0, access(configuration, F_OK) == 0, symlink(configuration, place) != 0,
            System.mount("tmpfs", "/boot", type: "tmpfs", options: "mode=755")
        else { return }
        symlink(configuration, place)
    }

    /// Provides the kernel's own modules where modprobe and the kernel itself search for them, if it has any.
    private static func offerModules() {
        let modules = "\(programsFolder)/kernel-modules"
        guard access(modules, F_OK) == 0 else { return }
        let folder = "/lib/modules"
        let place = "\(folder)/\(release())"
        if access(place, F_OK) == 0 {
            if System.mount(modules, place, type: "", flags: UInt(MS_BIND)) { return }
        } else if symlink(modules, place) == 0 {
            return
        } else if System.mount("tmpfs", folder, type: "tmpfs", options: "mode=755"), symlink(modules, place) == 0 {
            return
        }
        complain("cannot provide the kernel's modules at \(place): \(System.lastError)")
    }

    /// Mounts the 9p shares of a file system table. User-mode Linux has no 9p device: there the tag is the name of a
    /// folder in the only folder of the host that the kernel lets hostfs see.
    ///
    /// - Parameters:
    ///   - fstab: The table's text.
    ///   - isWanted: Whether to mount at a mount point.
    private static func mountShares(_ fstab: [UInt8], byHostfs: Bool, where isWanted: (String) -> Bool) {
        for line in fstab.lines() {
            let fields = words(line)
            guard fields.count >= 4, fields[2] == "9p", isWanted(fields[1]) else { continue }
            // A root other than the one that fstab is for does not have the folder.
            System.makeFolders(fields[1])
            let isReadOnly = words(Array(fields[3].utf8), separator: UInt8(ascii: ",")).contains("ro")
            if !System.mount(
                fields[0], fields[1], type: byHostfs ? "hostfs" : fields[2],
                options: byHostfs ? "/\(fields[0])" : fields[3], flags: isReadOnly ? UInt(MS_RDONLY) : 0)
            {
                complain("cannot mount \(fields[0]) on \(fields[1]): \(System.lastError)")
            }
        }
    }

    /// The `NAME=VALUE` words of the kernel's command line.
    private static func kernelOptions() -> [String: String] {
        var options: [String: String] = [:]
        for line in (System.read("/proc/cmdline") ?? []).lines() {
            for word in words(line) {
                let bytes = Array(word.utf8)
                guard let equals = bytes.firstIndex(of: UInt8(ascii: "=")) else { continue }
                options[Array(bytes[..<equals]).text()] = Array(bytes[(equals + 1)...]).text()
            }
        }
        return options
    }

    /// Opens what `kbuild.results` names: `virtio`, `serial` (the console, shared with the kernel's messages), or
    /// `ttyS0` (a separate line, as in user-mode Linux).
    private static func openChannel(_ kind: String) -> Channel? {
        if kind == "serial" || kind == "ttyS0" {
            let descriptor = kbuild_open("/dev/ttyS0", O_RDWR | O_NOCTTY | O_CLOEXEC)
            guard descriptor >= 0 else { return nil }
            var settings = termios()
            tcgetattr(descriptor, &settings)
            cfmakeraw(&settings)
            tcsetattr(descriptor, TCSANOW, &settings)
            return Channel(descriptor: descriptor, isAcknowledged: kind == "serial")
        }
        // The node's name depends on the order of the devices; the port's own name does not.
        let ports = "/sys/class/virtio-ports"
        for port in System.names(in: ports) {
            guard let name = System.read("\(ports)/\(port)/name"), name.lines().first?.text() == "kbuild.results"
            else { continue }
            let descriptor = kbuild_open("/dev/\(port)", O_RDWR | O_CLOEXEC)
            return descriptor >= 0 ? Channel(descriptor: descriptor, isAcknowledged: false) : nil
        }
        return nil
    }

    /// - Parameter taintBefore: The kernel's taint when the snapshot was taken; 0 for a guest that booted.
    private static func description(taintBefore: UInt64) -> String {
        "version=1 release=\(release()) cpus=\(get_nprocs()) monotonic=\(kbuild_monotonic()) tainted=\(taintBefore)"
    }

    /// The kernel's release, as uname -r prints it.
    private static func release() -> String {
        var name = utsname()
        uname(&name)
        return withUnsafeBytes(of: &name.release) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    private static func complain(_ message: String) {
        System.write(2, Array("kbuild: \(message)\n".utf8))
    }

    private static func fail(_ message: String) -> Never {
        complain(message)
        reboot(Int32(bitPattern: UInt32(RB_POWER_OFF)))
        exit(1)
    }

    /// Ends the machine. `kbuild.exit=PORT` names the I/O port of QEMU's isa-debug-exit device; the byte 0x2A written
    /// there makes QEMU exit with (0x2A << 1) | 1 = 85. `kbuild.exit=proc` stands for user-mode Linux's /proc/exitcode.
    /// Without either the machine powers off.
    private static func shutDown(_ options: [String: String]) -> Never {
        sync()
        for line in (System.read("/proc/mounts") ?? []).lines() {
            let fields = words(line)
            if fields.count > 2, fields[2] == "9p" || fields[2] == "hostfs" { umount2(fields[1], Int32(MNT_DETACH)) }
        }
        if let text = options["kbuild.exit"], let port = Int(text) {
            let descriptor = kbuild_open("/dev/port", O_WRONLY | O_CLOEXEC)
            if descriptor >= 0 {
                lseek(descriptor, port, SEEK_SET)
                System.write(descriptor, [0x2A])
            }
            // A distribution's kernel may lack that device (CONFIG_DEVPORT).
            kbuild_write_port(UInt16(truncatingIfNeeded: port), 0x2A)
        }
        if options["kbuild.exit"] == "proc" { System.write("/proc/exitcode", "85\n") }
        reboot(Int32(bitPattern: UInt32(RB_POWER_OFF)))
        while true { pause() }
    }
}
