// SPDX-License-Identifier: Apache-2.0
import CInit

/// A guest that is put to sleep before it does anything for the host, so that many can wake from one image of it.
///
/// `kbuild.hold=PLAN` on the kernel's command line asks for it. The program of that plan is started and held at the
/// point where it asks what to do, because starting it takes longer than most tests; `kbuild.hold=none` holds none.
/// Then init says `ready`, and the host may save the machine. Whoever wakes, in the same machine or in another, finds
/// `ResumeRequest` on the results port.
enum Snapshot {
    /// Reads the host's request, which may come at any time from now on; nil when the port is gone.
    static func waitForRequest(on descriptor: Int32) -> ResumeRequest? {
        var request = ResumeRequest()
        var pending: [UInt8] = []
        while let chunk = System.readChunk(descriptor) {
            if chunk.isEmpty {
                // Nobody at the other end: that changes when the machine wakes.
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

    /// Sets the clock, which stood still, and makes the random numbers other ones than any other guest draws that
    /// wakes from the same image.
    ///
    /// - Returns: Whether the kernel took the seed; a guest whose random numbers repeat must not run tests.
    static func obey(_ request: ResumeRequest) -> Bool {
        if request.seconds > 0 { kbuild_set_clock(request.seconds, request.nanoseconds) }
        return request.seed.withUnsafeBytes { kbuild_reseed($0.baseAddress, UInt32($0.count)) } == 0
    }

    /// Reads every library of the root file system, so that those who wake find them in memory. They have to fit well.
    static func warmUp() {
        // A part of what is free: programs and tests want the rest.
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

/// A Swift Testing bundle that has been started and waits to be told which tests to run.
///
/// The library beside it on the share, made of rootfs/snapshot-harness, takes the place of its main function and reads
/// patterns from a pipe with a name, which holds it until something is written there.
struct HeldProgram {
    var program: Plan.Program
    var running: RunningProgram
    private var request: Int32

    private static let folder = "/run/kbuild"
    private static let pipe = "/run/kbuild/requests"
    private static let library = "/run/kbuild/snapshot-harness.so"

    /// How long a program may take from its start to its question, in seconds.
    private static let patience = 120

    /// Copies the program off the share, which cannot stay mounted while the machine is saved, and starts it.
    ///
    /// - Parameter isStepped: Whether the counters of coverage are read at each of its events.
    /// - Returns: Nil when it could not be started or ended without having asked; `error` says why.
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
        // Without a reader an open that may not wait fails.
        for _ in 0..<(Self.patience * 200) {
            request = kbuild_open(Self.pipe, O_WRONLY | O_CLOEXEC | O_NONBLOCK)
            if request >= 0 {
                // It is on its way into its read, and then sleeps.
                usleep(50_000)
                return
            }
            if running.hasEnded { break }
            usleep(5000)
        }
        error = "\(copy) never asked what to run"
        return nil
    }

    /// Tells it which tests to run and sees it through, as the first program of a session.
    func run(filters: [UInt8], channel: inout Channel, log: inout KernelLog) {
        var running = running
        channel.send("start", "0 \(kbuild_monotonic())")
        _ = System.write(request, filters)
        close(request)
        unlink(Self.pipe)
        let ending = running.finish(seconds: program.seconds, index: 0, channel: &channel, log: &log)
        log.sample(&channel)
        channel.send("stop", "0 \(kbuild_monotonic()) \(ending.payload)")
    }
}
