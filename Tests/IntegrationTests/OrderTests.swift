// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

/// What kbuild does in order: its output behind a reader that does not read, its end by signals, what it keeps of a
/// run, and limits too low to begin. The project is that of `RunTests`.
extension RunTests {
    /// The newest run that is kept: its name and its exit code.
    private func newestRun() async throws -> (id: String, exitCode: Int)? {
        let listed = try await fixture.kbuild("report", "--list", "--format", "json").output
        let json = try JSONSerialization.jsonObject(with: Data(listed.utf8)) as? [String: Any]
        guard let run = (json?["runs"] as? [[String: Any]])?.first, let id = run["id"] as? String,
            let code = run["exitCode"] as? Int
        else { return nil }
        return (id, code)
    }

    @Test("order: with a stopped reader the tests run, pass and are stored; later all output arrives in order")
    func stoppedReader() async throws {
        try fixture.faults("pass", "daemon", "disk")
        // Far less than the reader is stopped for.
        try fixture.edit("kbuild.yaml", replacing: "silence: 120, test: 300", with: "silence: 5, test: 10")
        #expect(try await fixture.report("run").exitCode == 0)
        let before = try await newestRun()?.id
        let file = fixture.project.removingLastComponent().appending("stopped-reader.log")
        try writeAtomically("", to: file)
        let pipe = Pipe()
        let descriptor = pipe.fileHandleForWriting.fileDescriptor
        let reader = Process()
        reader.executableURL = URL(fileURLWithPath: "/bin/cat")
        reader.standardInput = pipe.fileHandleForReading
        reader.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: file.string))
        try reader.run()
        defer { kill(reader.processIdentifier, SIGCONT) }
        kill(reader.processIdentifier, SIGSTOP)
        while try !readText(FilePath("/proc/\(reader.processIdentifier)/stat")).contains(") T ") {
            try await Task.sleep(for: .milliseconds(10))
        }
        // The pipe is full from the start, so that the first line that kbuild prints waits.
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        while write(descriptor, Array(repeating: UInt8(ascii: "."), count: 4096), 4096) > 0 {}
        _ = fcntl(descriptor, F_SETFL, 0)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try Fixture.executable())
        process.arguments = ["run", "-v"]
        process.currentDirectoryURL = URL(fileURLWithPath: fixture.project.string)
        process.standardOutput = pipe.fileHandleForWriting
        process.standardError = pipe.fileHandleForWriting
        try process.run()
        try pipe.fileHandleForWriting.close()
        var kept = try await newestRun()
        for _ in 0..<600 {
            if kept?.id != before { break }
            try await Task.sleep(for: .milliseconds(200))
            kept = try await newestRun()
        }
        #expect(kept?.id != before)
        #expect(kept?.exitCode == 0)
        // It has more to say, and waits.
        #expect(process.isRunning)
        kill(reader.processIdentifier, SIGCONT)
        process.waitUntilExit()
        reader.waitUntilExit()
        #expect(process.terminationReason == .exit && process.terminationStatus == 0)
        let text = try readText(file)
        let marks = ["ok   pass", "ok   daemon", "ok   disk", "PASSED: 3 passed"].map { text.range(of: $0)?.lowerBound }
        #expect(!marks.contains(nil), "\(text.suffix(3000))")
        #expect(marks.compactMap { $0 } == marks.compactMap { $0 }.sorted())
    }

    @Test(
        "order: signals that arrive together cause one clean end",
        arguments: [(SIGTERM, SIGTERM), (SIGINT, SIGTERM), (SIGHUP, SIGTERM)])
    func signalsTogether(first: Int32, second: Int32) async throws {
        try fixture.faults("hang")
        let folders = try privateFolders()
        let output = Pipe()
        let process = try fixture.start("run", errors: output.fileHandleForWriting)
        try output.fileHandleForWriting.close()
        for _ in 0..<600 where try Fixture.processes(containing: fixture.marker).isEmpty {
            try await Task.sleep(for: .milliseconds(100))
        }
        kill(process.processIdentifier, first)
        kill(process.processIdentifier, second)
        kill(process.processIdentifier, second)
        process.waitUntilExit()
        #expect(process.terminationReason == .exit)
        // Which of two that are pending comes first is the kernel's choice.
        #expect([128 + first, 128 + second].contains(process.terminationStatus))
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        #expect(text.contains("interrupted"), "\(text)")
        #expect(try await Fixture.lastingProcesses(containing: fixture.marker) == [])
        #expect(try privateFolders().subtracting(folders) == [])
        #expect(try await newestRun()?.exitCode == 130)
    }

    private func privateFolders() throws -> Set<String> {
        let base = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
        return Set(try namesInFolder(FilePath(base)).filter { $0.hasPrefix("kbuild-") && $0.utf8.count == 13 })
    }

    @Test("order: a file that cannot be written determines the exit code and the stored report")
    func unwritableFile() async throws {
        try fixture.faults("pass")
        let junit = fixture.project.removingLastComponent().appending("junit.xml")
        try removeAll(junit)
        let run = try await fixture.report("run", "--html", "/proc/kbuild/report.html", "--junit", junit.string)
        #expect(run.exitCode == 7)
        #expect(run.json["exitCode"] as? Int == 7)
        #expect(try await newestRun()?.exitCode == 7)
        // The one that could be written does not say that all is well either.
        #expect(try readText(junit).contains("errors=\"1\""))
    }

    @Test(
        "order: a limit that is too low is reported before any work, with exit 7",
        arguments: [
            ("ulimit -n 24", "24 files at once"), ("ulimit -v 1000000", "may map 976 MiB"),
            ("ulimit -n 100", "100 files at once"),
        ])
    func lowLimits(limit: String, words: String) async throws {
        let command = Command(
            "sh", ["-c", "\(limit); exec \"$0\" run", try Fixture.executable()], workingDirectory: fixture.project)
        let result = try await CommandRunner().capture(command)
        #expect(result.status == .exited(7))
        #expect(result.errors.contains(words) && result.errors.contains("next: ulimit"), "\(result.errors)")
    }

    @Test(
        "order: closed standard streams, and a limit on file size, do not end a process by a signal",
        arguments: ["exec 0<&- 1>&- 2>&-", "exec 0<&-", "ulimit -f 1"])
    func oddStreams(preparation: String) async throws {
        let command = Command(
            "sh", ["-c", "\(preparation); exec \"$0\" config --show", try Fixture.executable()],
            workingDirectory: fixture.project)
        #expect(try await CommandRunner().capture(command).status == .exited(0))
    }
}
