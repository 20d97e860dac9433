// SPDX-License-Identifier: Apache-2.0
import CInit

/// A guest that is saved before it runs anything for the host, so that many guests can be restored from one snapshot.
///
/// `kbuild.hold=PLAN` on the kernel's command line requests it. The program of that plan is started and held at the
/// point where it asks for its tests, because starting it takes longer than most tests; `kbuild.hold=none` holds none.
/// Then init sends `ready`, and the host may save the machine. A restored guest, in the same machine or in another,
/// reads a `ResumeRequest` from the results port.
enum Snapshot {
    /// Reads the host's request, which may arrive at any time from now on; nil when the port is gone.
    static func waitForRequest(on descriptor: Int32) -> ResumeRequest? {
        var request = ResumeRequest()
        var pending: [UInt8] = []
        while let chunk = System.readChunk(descriptor) {
            if chunk.isEmpty {
                // The other end is closed until the machine is restored.
                usleep(1000)
                continue
            }
            pending += chunk
            while let newline = pending.firstIndex(of: UInt8(ascii: "\n")) {
                let line = Array(pending[..<newline])
                pending.removeSubrange(...newline)
                switch request.take(line) {
                case .more: break
                case .complete: return request
                case .unreadable: return nil
                }
            }
        }
        return nil
    }

    /// Sets the clock, which was stopped, and makes the random numbers differ from those of other guests restored from
    /// the same snapshot.
    ///
    /// - Returns: Whether the kernel accepted the seed; a guest with repeated random numbers must not run tests.
    static func obey(_ request: ResumeRequest) -> Bool {
        if request.seconds > 0 { kbuild_set_clock(request.seconds, request.nanoseconds) }
        return request.seed.withUnsafeBytes { kbuild_reseed($0.baseAddress, UInt32($0.count)) } == 0
    }

    /// Reads every library of the root file system, so that restored guests have them in memory, if there is ample
    /// room.
    static func warmUp() {
        // A part of the free memory: programs and tests need the rest.
        var budget = kbuild_free_memory() / 3
        for folder in ["/usr/lib", "/usr/lib64"] {
            for name in System.names(in: folder) {
                let descriptor = kbuild_open("\(folder)/\(name)", O_RDONLY | O_CLOEXEC | O_NONBLOCK)
                guard descriptor >= 0 else { continue }
                while budget > 0, let chunk = System.readChunk(descriptor), !chunk.isEmpty {
                    budget -= Int64(chunk.count)
                }
                close(descriptor)
            }
        }
    }
}

/// A Swift Testing bundle that has been started and waits for the patterns of the tests to run.
///
/// The library beside it on the share, built from rootfs/snapshot-harness, replaces its main function and reads the
/// patterns from a named pipe, which blocks until they are written.
struct HeldProgram {
    var program: Plan.Program
    var running: RunningProgram
    private var request: Int32

    private static let folder = "/run/kbuild"
    private static let pipe = "/run/kbuild/requests"
    private static let library = "/run/kbuild/snapshot-harness.so"

    /// The time limit from a program's start to its read of the patterns, in seconds.
    private static let patience = 120

    /// Copies the program off the share, which cannot stay mounted while the machine is saved, and starts it.
    ///
    /// - Parameter isStepped: Whether the counters of coverage are read at each of its events.
    /// - Returns: Nil when it could not be started or ended before it read the patterns; `error` has the reason.
    init?(_ original: Plan.Program, isStepped: Bool, error: inout String) {
        program = original
        mkdir(Self.folder, 0o755)
        let name = program.arguments[0].split(separator: "/").last.map { String($0) } ?? "program"
        let copy = "\(Self.folder)/\(name)"
        let beside = program.arguments[0].split(separator: "/").dropLast().joined(separator: "/")
        for (source, target) in [(program.arguments[0], copy), ("/\(beside)/snapshot-harness.so", Self.library)] {
            guard System.copy(source, to: target, mode: 0o755) else {
                error = "cannot copy \(source): \(System.lastError)"
                return nil
            }
        }
        program.arguments[0] = copy
        program.environment += ["LD_PRELOAD=\(Self.library)", "KBUILD_HOLD=\(Self.pipe)"]
        guard mkfifo(Self.pipe, 0o600) == 0, let running = RunningProgram(program, isApart: false, isStepped: isStepped)
        else {
            error = "cannot start \(copy): \(System.lastError)"
            return nil
        }
        self.running = running
        // Without a reader a non-blocking open fails.
        for _ in 0..<(Self.patience * 200) {
            request = kbuild_open(Self.pipe, O_WRONLY | O_CLOEXEC | O_NONBLOCK)
            if request >= 0 {
                // The program is about to enter its read, and then sleeps.
                usleep(50_000)
                return
            }
            if running.hasEnded { break }
            usleep(5000)
        }
        error = "\(copy) never asked what to run"
        return nil
    }

    /// Sends the patterns to the program and waits for its end, as the first program of a session.
    func run(filters: [UInt8], modules: inout Modules, channel: inout Channel, log: inout KernelLog) {
        var running = running
        channel.send("start", "0 \(kbuild_monotonic())")
        modules.announce(&channel)
        _ = System.write(request, filters)
        close(request)
        unlink(Self.pipe)
        let ending = running.finish(seconds: program.seconds, index: 0, channel: &channel, log: &log)
        modules.unload(keeping: [], channel: &channel, log: &log)
        log.sample(&channel)
        channel.send("stop", "0 \(kbuild_monotonic()) \(ending.payload)")
    }
}
