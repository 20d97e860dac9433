// SPDX-License-Identifier: Apache-2.0
import Dispatch
import Glibc
import Testing

/// Takes the place of a Swift Testing bundle's main function in a guest that is put to sleep: it gets the bundle as far
/// as it can go without running a test, waits to be told which test to run, and runs it just as the bundle would have.
///
/// Starting a bundle takes a guest longer than most tests do: linking two dozen libraries, and then what the runtime
/// finds out once and remembers (which type conforms to what, what the encoder of events looks like, how a pattern
/// compiles). So the library goes through a run with no test in it before it waits. What it calls is what SwiftPM's own
/// main function of a bundle calls.
@_cdecl("kbuild_harness_main")
public func harnessMain() -> Int32 {
    guard let pipe = getenv("KBUILD_HOLD").map({ String(cString: $0) }) else { return EX_USAGE }
    // Children, such as those of exit tests, are not to be held.
    unsetenv("LD_PRELOAD")
    unsetenv("KBUILD_HOLD")
    Task.detached {
        _ = await run(filter: ["^$"], eventsTo: "/dev/null")
        guard let orders = read(pipe) else { exit(EX_IOERR) }
        exit(await run(filter: orders.split(separator: "\n").map(String.init), eventsTo: "/proc/self/fd/3"))
    }
    // Tests of the main actor run on this thread.
    dispatchMain()
}

/// One call of Swift Testing's entry point; returns its exit code.
private func run(filter: [String], eventsTo path: String) async -> Int32 {
    var arguments = __CommandLineArguments_v0()
    arguments.filter = filter
    arguments.parallel = false
    // As with --quiet: the events tell all, and nobody reads the rest.
    arguments.verbosity = .min
    arguments.eventStreamOutputPath = path
    arguments.eventStreamSchemaVersion = "6.3"
    return await Testing.__swiftPMEntryPoint(passing: arguments)
}

/// The whole of a file, or of what comes through a named pipe until its writer closes it.
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
