// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Diagnostics
import Foundation
import Testing

@testable import kbuild

/// Executes a command line as `kbuild` does, and returns the exit code.
private func exitCode(_ arguments: [String]) async -> Int32 {
    do {
        var command = try Kbuild.parseAsRoot(arguments)
        if var command = command as? any AsyncParsableCommand { try await command.run() } else { try command.run() }
        return 0
    } catch let failure as Failure {
        return failure.code.rawValue
    } catch let verdict as CommandFailure {
        return verdict.code
    } catch {
        return Kbuild.exitCode(for: error) == .success ? 0 : 2
    }
}

/// Commands that write and remove files, each in a separate process with its own environment and working directory.
@Suite("Commands that write and remove", .timeLimit(.minutes(30)))
final class CacheVerbTests {
    private let root: String

    init() throws {
        root = FileManager.default.temporaryDirectory.appending(path: "kbuild-verbs-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: root) }

    private func file(_ path: String, _ text: String = "text\n") throws {
        let url = URL(fileURLWithPath: "\(root)/\(path)")
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: url)
    }

    private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: "\(root)/\(path)") }

    @Test("clean --all and clean refuse a folder of other files, also one with kbuild's names")
    func foreignFolder() async throws {
        try file("home/letter.txt")
        try file("work/projects/thesis/text.tex")
        try file("p/kbuild.yaml")
        await #expect(processExitsWith: .success) { [root = root as String] in
            for folder in ["home", "work"] {
                setenv("KBUILD_CACHE", "\(root)/\(folder)", 1)
                guard await exitCode(["clean", "--all"]) == 2 else { exit(10) }
                guard await exitCode(["clean", "--project", "\(root)/p"]) == 2 else { exit(11) }
                guard await exitCode(["cache", "prune", "--max-size", "0"]) == 2 else { exit(12) }
                guard await exitCode(["cache", "list"]) == 2 else { exit(13) }
            }
            exit(0)
        }
        #expect(exists("home/letter.txt") && exists("work/projects/thesis/text.tex"))
    }

    @Test("clean removes the project's part and clean --all the cache; neither needs a valid project file")
    func clean() async throws {
        let step = "cache/store/kernel/" + String(repeating: "0123456789abcdef", count: 2)
        try file("\(step)/image")
        try file("cache/mine.txt")
        try file("p/kbuild.yaml", "this: is: wrong")
        await #expect(processExitsWith: .success) { [root = root as String] in
            setenv("KBUILD_CACHE", "\(root)/cache", 1)
            guard await exitCode(["cache", "list", "--format", "json"]) == 0 else { exit(10) }
            guard await exitCode(["clean", "--project", "\(root)/p"]) == 0 else { exit(11) }
            guard await exitCode(["cache", "prune", "--max-size", "0", "--dry-run"]) == 0 else { exit(12) }
            guard access("\(root)/cache/store/kernel", F_OK) == 0 else { exit(13) }
            guard await exitCode(["clean", "--all"]) == 0 else { exit(14) }
            setenv("KBUILD_CACHE", "\(root)/none", 1)
            exit(await exitCode(["clean", "--all"]))
        }
        #expect(!exists("cache/store"))
        #expect(exists("cache/mine.txt"))
        #expect(!exists("none"))
    }

    @Test("prune removes the excess, and refuses an invalid size")
    func prune() async throws {
        let entry = "cache/store/kernel/" + String(repeating: "0123456789abcdef", count: 2)
        try file("\(entry)/image", String(repeating: "x", count: 1 << 20))
        await #expect(processExitsWith: .success) { [root = root as String] in
            setenv("KBUILD_CACHE", "\(root)/cache", 1)
            guard await exitCode(["cache", "prune", "--max-size", "much"]) == 2 else { exit(10) }
            setenv("KBUILD_CACHE_MAX", "much", 1)
            guard await exitCode(["cache", "prune"]) == 2 else { exit(11) }
            setenv("KBUILD_CACHE_MAX", "100M", 1)
            guard await exitCode(["cache", "prune"]) == 0 else { exit(12) }
            guard access("\(root)/cache/store/kernel", F_OK) == 0 else { exit(13) }
            exit(await exitCode(["cache", "prune", "--max-size", "500K"]))
        }
        #expect(!exists(entry))
    }

    @Test("run --ci refuses a link in place of its report folder before anything is done")
    func reportFolder() async throws {
        try file("outside/mine.log")
        try file("p/kbuild.yaml", "kernel:\n  source: linux-source-6.1\n")
        symlink("../outside", "\(root)/p/kbuild-report")
        await #expect(processExitsWith: .success) { [root = root as String] in
            setenv("KBUILD_CACHE", "\(root)/cache", 1)
            guard chdir("\(root)/p") == 0 else { exit(10) }
            exit(await exitCode(["run", "--ci"]) == 2 ? 0 : 11)
        }
        #expect(exists("outside/mine.log"))
        #expect(!exists("cache"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(root)/outside") == ["mine.log"])
    }

    @Test("parse --junit writes to a FIFO and an open descriptor, replaces a link, and keeps its target")
    func junit() async throws {
        try file("log", "KTAP version 1\n1..1\nok 1 a\n")
        try file("victim")
        symlink("victim", "\(root)/link.xml")
        await #expect(processExitsWith: .success) { [root = root as String] in
            guard chdir(root) == 0, mkfifo("fifo", 0o600) == 0 else { exit(10) }
            let reader = open("fifo", O_RDWR | O_NONBLOCK)
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            guard await exitCode(["parse", "ktap", "log", "-q", "--junit", "fifo"]) == 0 else { exit(11) }
            guard read(reader, &buffer, buffer.count) > 100 else { exit(12) }
            guard await exitCode(["parse", "ktap", "log", "-q", "--junit", "/dev/fd/\(reader)"]) == 0 else { exit(13) }
            guard read(reader, &buffer, buffer.count) > 100 else { exit(14) }
            guard await exitCode(["parse", "ktap", "log", "-q", "--junit", "link.xml"]) == 0 else { exit(15) }
            guard await exitCode(["parse", "ktap", "log", "-q", "--junit", "/dev/full"]) == 7 else { exit(16) }
            exit(0)
        }
        #expect(try String(contentsOfFile: "\(root)/victim", encoding: .utf8) == "text\n")
        #expect(try String(contentsOfFile: "\(root)/link.xml", encoding: .utf8).contains("log/a"))
    }
}
