// SPDX-License-Identifier: Apache-2.0
import Artifacts
import CHostProbe
import Diagnostics
import FileSystem
import Foundation
import Processes
import SystemPackage

/// Finds out whether KVM can run guests here.
///
/// `/dev/kvm` can exist, open, and create machines, and yet run no kernel, as under incomplete nested virtualisation.
/// So a small guest does the same as the start of a kernel, in its own process, with a time limit. The answer is kept
/// until the CPU, the kernel, QEMU or the probe changes; whether `/dev/kvm` can be opened is checked each time, because
/// a group or a module can change that at any moment.
public struct AcceleratorProbe: Sendable {
    /// The first argument that makes the kbuild executable the probe.
    public static let argument = "__probe-kvm"

    /// Raise this when the probe's guest or its judgement changes.
    static let version = 1
    /// The beginning of a reason when the device exists but this user may not open it.
    static let permissionReason = "no permission to open "
    /// The guest's own time limit in seconds. The guest needs 5 ms.
    static let guestLimit: UInt32 = 2

    private let layout: CacheLayout
    private let statCache: StatCache
    private let device: FilePath
    private let hostIdentity: @Sendable () -> String
    private let runGuest: @Sendable () async throws -> KVMStatus

    /// Creates a probe that runs `executable __probe-kvm`.
    ///
    /// - Parameters:
    ///   - layout: The cache with the answer.
    ///   - executable: The kbuild executable, whose `main` passes `__probe-kvm` to `kvmProbeMain()`.
    public init(layout: CacheLayout, statCache: StatCache, runner: CommandRunner, executable: FilePath) {
        self.init(
            layout: layout, statCache: statCache, device: "/dev/kvm", hostIdentity: Self.identifyHost,
            runGuest: { try await Self.run(executable, with: runner) })
    }

    init(
        layout: CacheLayout, statCache: StatCache, device: FilePath,
        hostIdentity: @escaping @Sendable () -> String,
        runGuest: @escaping @Sendable () async throws -> KVMStatus
    ) {
        self.layout = layout
        self.statCache = statCache
        self.device = device
        self.hostIdentity = hostIdentity
        self.runGuest = runGuest
    }

    /// Whether KVM works, from the cache if its answer is still valid.
    ///
    /// - Parameter qemu: QEMU's executable, which an answer depends on; nil when it is not known.
    /// - Throws: `CancellationError`. A probe that dies or prints nothing means `broken`, not an error.
    public func status(qemu: FilePath?) async throws -> KVMStatus {
        if access(device.string, R_OK | W_OK) != 0 {
            return switch errno {
            case ENOENT, ENOTDIR: .absent(reason: "there is no \(device)")
            case EACCES, EPERM: .absent(reason: Self.permissionReason + device.string)
            default: .absent(reason: "cannot open \(device): \(errnoText())")
            }
        }
        var builder = ContentDigest(of: "kvm-probe", version: Self.version)
        builder.add("host", hostIdentity())
        if let qemu, let real = resolvedPath(qemu), let digest = try? statCache.digest(of: real) {
            builder.add("qemu", digest)
        }
        let key = builder.digest
        if let known = cached(key) { return known }
        let status = try await runGuest()
        // An absent device is checked again each time.
        if case .absent = status { return status }
        try? createFolder(cacheFile.removingLastComponent())
        try? writeAtomically("\(key)\n\(status)\n", to: cacheFile)
        return status
    }

    /// Probes if necessary, and chooses. A request for TCG needs no probe.
    ///
    /// - Throws: `Failure` (`infrastructure`) when KVM is requested and does not work; `CancellationError`.
    public func decide(requested: AcceleratorRequest, qemu: FilePath?) async throws -> AcceleratorDecision {
        if requested == .tcg { return AcceleratorDecision(accelerator: .tcg) }
        return try AcceleratorDecision.decide(requested: requested, status: try await status(qemu: qemu))
    }

    var cacheFile: FilePath { layout.root.appending("kvm-probe") }

    private func cached(_ key: Digest) -> KVMStatus? {
        guard let text = try? readText(cacheFile) else { return nil }
        let lines = text.textLines().map(String.init)
        guard lines.count == 2, lines[0] == key.hex else { return nil }
        return KVMStatus(line: lines[1])
    }

    private static func run(_ executable: FilePath, with runner: CommandRunner) async throws -> KVMStatus {
        // The guest has its own limit; this limit is for a KVM that does not return from the kernel at all.
        let limit = Duration.seconds(Int(guestLimit) + 3)
        let answer = try await withThrowingTaskGroup(of: CommandResult?.self) { group in
            group.addTask { try await runner.capture(Command(executable.string, [argument])) }
            group.addTask {
                try await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        guard let answer else { return .broken(reason: "the probe did not end within \(limit.components.seconds) s") }
        return interpret(answer)
    }

    static func interpret(_ result: CommandResult) -> KVMStatus {
        let line = result.output.textLines().first.map(String.init) ?? ""
        if result.status.isSuccess, let status = KVMStatus(line: line) { return status }
        return .broken(reason: "the probe ended with \(result.status)")
    }

    /// The CPU and the kernel, on which KVM's behaviour depends.
    private static func identifyHost() -> String {
        var system = utsname()
        uname(&system)
        let release = withUnsafeBytes(of: &system.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let version = withUnsafeBytes(of: &system.version) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let wanted = ["vendor_id", "cpu family", "model", "model name", "stepping", "microcode", "flags"]
        let processor = (try? readText("/proc/cpuinfo")) ?? ""
        // The first CPU's lines; it ends at an empty one.
        let lines = processor.textLines(keepsEmpty: true).prefix { !$0.isEmpty }
            .filter { line in wanted.contains(line.prefix { $0 != "\t" && $0 != ":" }.description) }
        return ([release, version] + lines.map(String.init)).joined(separator: "\n")
    }
}

/// The probe's own process: runs the guest and prints one line that `KVMStatus(line:)` reads.
///
/// - Returns: The process's exit code.
public func kvmProbeMain() -> Int32 {
    var reason = [CChar](repeating: 0, count: 256)
    let outcome = kbuild_kvm_probe(AcceleratorProbe.guestLimit, &reason, UInt(reason.count))
    let text = String(decoding: reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let status: KVMStatus =
        switch outcome {
        case KBUILD_KVM_WORKS: .works
        case KBUILD_KVM_ABSENT: .absent(reason: text)
        default: .broken(reason: text)
        }
    print(status)
    return 0
}
