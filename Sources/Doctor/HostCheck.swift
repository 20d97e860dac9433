// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Glibc
import KernelMake
import KernelSource
import Processes
import Project
import RootFilesystem
import SystemPackage
import VirtualMachine

/// Checks that the host has everything that `kbuild run` needs.
public struct HostCheck: Sendable {
    package static let qemu = "qemu-system-x86_64"

    private let project: Project?
    private let layout: CacheLayout
    private let statCache: StatCache
    private let runner: CommandRunner
    private let requirements: HostRequirements

    /// Prepares a check without running anything.
    ///
    /// - Parameters:
    ///   - project: The project to run; nil for a new project of `kbuild init`.
    ///   - isUML: Whether, without a project, user-mode Linux is meant.
    ///   - executable: kbuild's executable.
    ///   - compilesInit: Whether the guest's init is compiled on this host.
    /// - Throws: `Failure` (`usage`) when the cache's place is unknown or the kernel source is invalid.
    public init(
        project: Project?, isUML: Bool = false, environment: [String: String], executable: FilePath?,
        compilesInit: Bool = true
    ) throws {
        self.project = project
        layout = try CacheLayout(environment: environment)
        statCache = StatCache(file: layout.statCache)
        runner = CommandRunner(supervisor: executable)
        var isFromGit = false
        var isFromDebian = project == nil
        if let project {
            switch try KernelSource(parsing: project.kernel.source, relativeTo: project.folder) {
            case .git: isFromGit = true
            case .debianPackage: isFromDebian = true
            case .directory, .tarball, .prebuilt: break
            }
        }
        requirements = HostRequirements(
            isUML: project.map { $0.architecture == .um } ?? isUML, hasDisk: project?.rootfsType.isDisk ?? true,
            has32BitPrograms: project?.has32BitPrograms ?? false, isFromGit: isFromGit, isFromDebian: isFromDebian,
            isDebian: project?.rootfsType == .debian,
            hasSwiftSuites: project?.tests.contains { if case .swift = $0 { true } else { false } } ?? true,
            compilesInit: compilesInit)
    }

    /// Runs all checks.
    ///
    /// - Throws: `CancellationError`.
    public func examine() async throws -> HostReport {
        var findings: [HostFinding] = []
        for requirement in requirements.tools { findings.append(try await tool(requirement)) }
        for requirement in requirements.headers { findings.append(try await header(requirement)) }
        findings.append(try await staticLibrary())
        findings.append(source())
        if !requirements.isUML {
            findings.append(try await devices())
            findings.append(try await accelerator())
        }
        if let busybox = try await busybox() { findings.append(busybox) }
        if requirements.hasDisk { findings.append(applianceKernel()) }
        findings.append(cacheSpace())
        findings.append(memory())
        return HostReport(findings)
    }

    // MARK: Tools

    private func tool(_ requirement: ToolRequirement) async throws -> HostFinding {
        let status: HostFinding.Status = requirement.isNeeded ? .missing : .warning
        let package = CommandRunner.debianPackage(of: requirement.tool)
        let path = try? runner.locate(requirement.tool)
        func finding(_ status: HostFinding.Status, _ found: String) -> HostFinding {
            HostFinding(
                requirement.tool, status, found: found, path: path?.string, purpose: requirement.purpose,
                package: package,
                fix: requirement.fix)
        }
        guard let path else { return finding(status, "not on PATH") }
        guard let version = try await version(of: path, requirement.versionArguments) else {
            return finding(.ok, "there")
        }
        guard !Self.isOlder(version, than: requirement.minimum) else {
            let least = requirement.minimum.map(String.init).joined(separator: ".")
            return finding(status, "found \(version); \(least) or newer is required")
        }
        return finding(.ok, version)
    }

    private func version(of path: FilePath, _ arguments: [String]) async throws -> String? {
        guard let result = try await run(Command(path.string, arguments)), result.status.isSuccess else { return nil }
        return Self.version(in: result.output + "\n" + result.errors)
    }

    /// Runs a command; nil when it cannot be run.
    private func run(_ command: Command) async throws -> CommandResult? {
        do {
            return try await runner.capture(command)
        } catch is Failure {
            return nil
        }
    }

    /// The first number with a dot in a text: every tool prints its version before other such numbers.
    package static func version(in text: String) -> String? {
        text.firstMatch(of: /\d+(\.\d+)+/).map { String($0.output.0) }
    }

    /// Whether a version is less than `minimum`; missing parts count as 0.
    static func isOlder(_ version: String, than minimum: [Int]) -> Bool {
        let parts = version.split(separator: ".").map { Int($0) ?? 0 }
        for (index, least) in minimum.enumerated() {
            let part = index < parts.count ? parts[index] : 0
            if part != least { return part < least }
        }
        return false
    }

    // MARK: Libraries

    private func header(_ requirement: HeaderRequirement) async throws -> HostFinding {
        let arguments = requirement.options + ["-fsyntax-only", "-include", requirement.header, "-x", "c", "/dev/null"]
        let isThere = try await run(Command("gcc", arguments))?.status.isSuccess == true
        let status: HostFinding.Status = isThere ? .ok : requirement.isNeeded ? .missing : .warning
        let options = requirement.options.isEmpty ? "" : " with \(requirement.options.joined(separator: " "))"
        return HostFinding(
            requirement.name, status,
            found: isThere ? requirement.header : "gcc finds no \(requirement.header)\(options)",
            purpose: requirement.purpose, package: requirement.package)
    }

    /// The guest's init and its C programs are linked statically.
    private func staticLibrary() async throws -> HostFinding {
        // gcc prints the bare name when the file does not exist.
        let answer = try await run(Command("gcc", ["-print-file-name=libc.a"]))?.output ?? ""
        let path = answer.textLines().first.map(String.init) ?? ""
        let isThere = path.hasPrefix("/")
        return HostFinding(
            "static C library", isThere ? .ok : .missing, found: isThere ? "libc.a" : "gcc finds no libc.a",
            path: isThere ? path : nil, purpose: "links the guest's init and C programs", package: "libc6-dev")
    }

    // MARK: The guest's parts

    private func source() -> HostFinding {
        let name = project?.kernel.source ?? HostRequirements.defaultSource
        func finding(_ status: HostFinding.Status, _ found: String, package: String? = nil) -> HostFinding {
            HostFinding(
                "kernel source", status, found: found, purpose: "what is patched and built", package: package,
                fix: status == .ok || package != nil ? nil : "correct kernel.source of the project file")
        }
        do {
            switch try KernelSource(parsing: name, relativeTo: project?.folder ?? "/") {
            case .debianPackage(let package):
                let tarball = SourceCache.debianFolder.appending("\(package).tar.xz")
                return fileExists(tarball)
                    ? finding(.ok, name) : finding(.missing, "no \(tarball)", package: package)
            case .directory(let path): return finding(isFolder(path) ? .ok : .missing, path.string)
            case .tarball(let path, _): return finding(fileExists(path) ? .ok : .missing, path.string)
            case .git(let repository, let ref): return finding(.ok, "\(repository) \(ref), not checked")
            case .prebuilt(.installed(let image, _)), .prebuilt(.package(let image)):
                return finding(fileExists(image) ? .ok : .missing, image.string)
            case .prebuilt(.inTree(let tree)): return finding(isFolder(tree) ? .ok : .missing, tree.string)
            }
        } catch {
            return finding(.missing, error.message)
        }
    }

    private func devices() async throws -> HostFinding {
        let purpose = "the guest's board and devices"
        let package = CommandRunner.debianPackage(of: Self.qemu)
        let boards = try await run(Command(Self.qemu, ["-machine", "help"]))?.output ?? ""
        let devices = try await run(Command(Self.qemu, ["-device", "help"]))?.output ?? ""
        let offered = Set(boards.textLines().compactMap { $0.split(separator: " ").first.map(String.init) })
        // "pc" is listed as an alias of the newest board of its kind.
        let wanted: [MachineType] =
            switch project?.machine.type ?? .auto {
            case .pc: [.pc]
            case .q35: [.q35]
            case .microvm: [.microvm]
            case .auto, .uml: [.q35, .microvm]
            }
        var absent = wanted.map(\.rawValue).filter { !offered.contains($0) }
        absent += ["virtio-9p-pci", "virtserialport"].filter { !devices.contains("name \"\($0)\"") }
        // Without this a panic looks like a normal end.
        let help = try await run(Command(Self.qemu, ["-help"]))?.output ?? ""
        if !help.contains("exit-failure") { absent.append("-action panic=exit-failure") }
        guard absent.isEmpty else {
            return HostFinding(
                "QEMU's devices", .missing, found: "it has no \(absent.joined(separator: ", "))", purpose: purpose,
                package: package)
        }
        return HostFinding(
            "QEMU's devices", .ok, found: (wanted.map(\.rawValue) + ["9p", "virtio"]).joined(separator: ", "),
            purpose: purpose)
    }

    private func accelerator() async throws -> HostFinding {
        func finding(_ status: HostFinding.Status, _ found: String, fix: String? = nil) -> HostFinding {
            HostFinding(
                "accelerator", status, found: found, purpose: "KVM runs guests at the processor's own speed", fix: fix)
        }
        guard let executable = runner.supervisor else {
            return finding(.warning, "kbuild cannot find its own executable to probe KVM with")
        }
        let requested = project?.machine.accelerator ?? .auto
        guard requested != .tcg else { return finding(.ok, "TCG, as asked for") }
        try? createFolder(layout.root)
        let probe = AcceleratorProbe(
            layout: layout, statCache: statCache, runner: runner, executable: executable)
        let status = try await probe.status(qemu: try? runner.locate(Self.qemu))
        guard let reason = status.reason else { return finding(.ok, "KVM works: a guest ran") }
        let fix: String? =
            switch status {
            case .works: nil
            case .absent where fileExists("/dev/kvm"): "usermod -aG kvm $USER, and log in again"
            case .absent: "modprobe kvm_intel or kvm_amd; in a virtual machine have nested virtualisation switched on"
            case .broken: requested == .kvm ? "--accel tcg" : "none needed: kbuild uses TCG, which is slower"
            }
        return finding(
            requested == .kvm ? .missing : .warning, (requested == .kvm ? "" : "TCG, because KVM is ") + "\(status)",
            fix: reason.isEmpty ? nil : fix)
    }

    private func busybox() async throws -> HostFinding? {
        var path = FilePath("/bin/busybox")
        if let project {
            guard let definition = try? RootFilesystemDefinition.load(project.rootfsDefinition) else {
                return HostFinding(
                    "root file system", .missing, found: "\(project.rootfsDefinition) cannot be read",
                    purpose: "the contents of the guest's root file system", fix: "kbuild rootfs says why")
            }
            guard let busybox = definition.busybox else { return nil }
            path = busybox
        }
        let isThere = access(path.string, X_OK) == 0
        let version = isThere ? try await run(Command(path.string)) : nil
        let number = version.flatMap { Self.version(in: $0.output + $0.errors) } ?? "there"
        return HostFinding(
            "busybox", isThere ? .ok : .missing, found: isThere ? number : "no \(path)", path: path.string,
            purpose: "the guest's shell and tools", package: HostRequirements.busyboxPackage)
    }

    private func applianceKernel() -> HostFinding {
        let name = "appliance kernel"
        let purpose = "libguestfs makes the disk image with it; `rootfs: {type: initramfs}` needs none"
        do {
            let release = try DiskImageBuilder.applianceKernel()
            return HostFinding(name, .ok, found: release, purpose: purpose)
        } catch {
            return HostFinding(
                name, .missing, found: error.message, purpose: purpose, package: HostRequirements.appliancePackage,
                fix: error.nextStep)
        }
    }

    // MARK: Disk and memory

    /// The approximate size of a kernel's source, build and results.
    private static let wantedSpace = 5 << 30
    /// The least free space for a run that builds nothing.
    private static let leastSpace = 1 << 30
    /// The memory for kbuild, QEMU and make besides the guest's.
    private static let leastMemory = 512 << 20

    private func cacheSpace() -> HostFinding {
        let root = layout.root
        let purpose = "kernel sources, builds and results"
        var status = statvfs()
        do {
            try layout.prepare()
        } catch {
            guard error.code == .usage else {
                return HostFinding(
                    "cache", .missing, found: "cannot write to \(root)", purpose: purpose,
                    fix: "set KBUILD_CACHE to a folder of yours")
            }
            return HostFinding("cache", .missing, found: error.message, purpose: purpose, fix: error.nextStep)
        }
        guard access(root.string, W_OK) == 0, statvfs(root.string, &status) == 0
        else {
            return HostFinding(
                "cache", .missing, found: "cannot write to \(root)", purpose: purpose,
                fix: "set KBUILD_CACHE to a folder of yours")
        }
        let free = Int(clamping: UInt64(status.f_bavail) * UInt64(status.f_frsize))
        let level: HostFinding.Status = free < Self.leastSpace ? .missing : free < Self.wantedSpace ? .warning : .ok
        return HostFinding(
            "cache", level, found: "\(Self.size(free)) free", path: root.string, purpose: purpose,
            fix: "make room for \(Self.size(Self.wantedSpace)), or set KBUILD_CACHE to another place")
    }

    private func memory() -> HostFinding {
        let guest = (project?.machine.memoryMegabytes ?? 512) << 20
        let text = (try? readText("/proc/meminfo")) ?? ""
        let line = text.textLines().first { $0.hasPrefix("MemAvailable:") }
        let free = (line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) << 10
        let level: HostFinding.Status =
            free < guest ? .missing : free < guest + Self.leastMemory ? .warning : .ok
        return HostFinding(
            "memory", level, found: "\(Self.size(free)) available",
            purpose: "the guest's \(Self.size(guest)), and the kernel's build",
            fix: "end other programs, or give --memory a smaller value")
    }

    /// A size for display.
    package static func size(_ bytes: Int) -> String {
        bytes >= 10 << 30
            ? "\(bytes >> 30) GiB"
            : bytes >= 1 << 30 ? "\(bytes >> 30).\(((bytes & ((1 << 30) - 1)) * 10) >> 30) GiB" : "\(bytes >> 20) MiB"
    }
}

extension Project {
    /// Whether a program is compiled for i386.
    var has32BitPrograms: Bool {
        tests.contains { test in if case .program(let program) = test { program.is32Bit } else { false } }
    }
}
