// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Glibc
import Testing

/// Replaces a Swift Testing bundle's main function in a guest that is saved as a snapshot: initializes the bundle as
/// far as possible without running a test, waits for the tests to run, and runs them as the bundle would.
///
/// Starting a bundle takes longer than most tests: the guest links two dozen libraries, and the runtime fills caches
/// (protocol conformances, the encoder of events, compiled patterns). So the library performs a run without tests
/// before it waits. It calls the same function as SwiftPM's main function of a bundle.
@_cdecl("kbuild_harness_main")
public func harnessMain() -> Int32 {
    guard let pipe = getenv("KBUILD_HOLD").map({ String(cString: $0) }) else { return EX_USAGE }
    // Children, such as those of exit tests, must not be held.
    unsetenv("LD_PRELOAD")
    unsetenv("KBUILD_HOLD")
    Task.detached {
        _ = await run(filter: ["^$"], eventsTo: "/dev/null")
        guard let orders = read(pipe) else { exit(EX_IOERR) }
        exit(await run(filter: orders.split(separator: "\n").map(String.init), eventsTo: "/proc/self/fd/3"))
    }
    // Tests on the main actor run on this thread.
    dispatchMain()
}

/// One call of Swift Testing's entry point; returns its exit code.
private func run(filter: [String], eventsTo path: String) async -> Int32 {
    var arguments = __CommandLineArguments_v0()
    arguments.filter = filter
    arguments.parallel = false
    // As with --quiet: the events contain everything, and the other output is not read.
    arguments.verbosity = .min
    arguments.eventStreamOutputPath = path
    arguments.eventStreamSchemaVersion = "6.3"
    return await Testing.__swiftPMEntryPoint(passing: arguments)
}

/// The contents of a file, or of a named pipe until its writer closes it.
private func read(_ path: String) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
        let count = Glibc.read(file, &buffer, buffer.count)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { return nil }
        if count == 0 { return String(decoding: bytes, as: UTF8.self) }
        bytes += buffer[..<count]
    }
}
