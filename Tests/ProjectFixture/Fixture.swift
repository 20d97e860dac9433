// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Foundation
import Processes
import SystemPackage

/// A copy of this repository's own project at a constant path, so that all tests share one kernel tree and its build;
/// each test begins with the project of the repository.
public struct Fixture {
    /// The project's folder.
    public let project: FilePath
    private let runner = CommandRunner()

    /// The repository, found from this file.
    public static let repository = FilePath(#filePath).removingLastComponent().removingLastComponent()
        .removingLastComponent()

    /// kbuild in release mode: the Makefile builds it and names it here.
    ///
    /// - Throws: `Failure` (`usage`) when the variable is not set.
    public static func executable() throws(Failure) -> String {
        guard let executable = ProcessInfo.processInfo.environment["KBUILD_EXECUTABLE"] else {
            throw Failure(
                .usage, "KBUILD_EXECUTABLE is not set",
                nextStep: "run `make integration-test` or `make mutations`, which build kbuild and name it")
        }
        return executable
    }

    /// Creates the copy, or restores it from the repository.
    ///
    /// - Parameter name: The copy's name: its folder in kbuild's cache. Tests that may run at the same time need their
    ///   own.
    /// - Throws: `Failure` when a file cannot be read or written.
    public init(name: String = "integration") throws {
        let layout = try CacheLayout(environment: ProcessInfo.processInfo.environment)
        // A folder with other files and without a marker is not recognized as a cache.
        try layout.prepare()
        project = layout.root.appending(name).appending("project")
        try createFolder(project)
        for name in ["kernel", "configs", "rootfs", "shared", "kbuild.yaml"] { try restore(name) }
        for name in ["Sources/SyscallTesting", "Sources/CSyscall", "Tests/GuestTests", "Tests/programs"] {
            try restore(name)
        }
        // The suites depend on SyscallTesting by a relative path; of the package there they need that library alone.
        let manifest = """
            // swift-tools-version: 6.2
            import PackageDescription

            let package = Package(
                name: "kbuild",
                products: [.library(name: "SyscallTesting", targets: ["SyscallTesting"])],
                targets: [.target(name: "SyscallTesting", dependencies: ["CSyscall"]), .target(name: "CSyscall")],
                swiftLanguageModes: [.v6]
            )

            """
        if (try? readText(project.appending("Package.swift"))) != manifest { try write("Package.swift", manifest) }
    }

    /// Restores a file or folder from the repository, writing only differences.
    private func restore(_ name: String) throws {
        let source = Self.repository.pushing(FilePath(name))
        let target = project.pushing(FilePath(name))
        guard isFolder(source) else {
            let bytes = try readBytes(source)
            if (try? readBytes(target)) != bytes {
                try createFolder(target.removingLastComponent())
                try removeAll(target)
                try copyFile(source, to: target)
            }
            return
        }
        try createFolder(target)
        let names = try namesInFolder(source).filter { !$0.hasPrefix(".") && $0 != "Package.resolved" }
        for extra in try namesInFolder(target) where !names.contains(extra) {
            try removeAll(target.appending(extra))
        }
        for child in names { try restore(name + "/" + child) }
    }

    /// Writes a file of the project.
    ///
    /// - Throws: `Failure` when it cannot be written.
    public func write(_ name: String, _ text: String) throws {
        let path = project.pushing(FilePath(name))
        try createFolder(path.removingLastComponent())
        try writeAtomically(text, to: path)
    }

    /// A file of the project.
    ///
    /// - Throws: `Failure` when it cannot be read.
    public func text(_ name: String) throws -> String {
        try readText(project.pushing(FilePath(name)))
    }

    /// Replaces all occurrences of a text in a file of the project.
    ///
    /// - Throws: `Failure` (`usage`) when the file does not contain the text.
    public func edit(_ name: String, replacing old: String, with new: String) throws {
        let text = try text(name)
        guard text.contains(old) else { throw Failure(.usage, "\(name) no longer contains: \(old)") }
        try write(name, text.replacingOccurrences(of: old, with: new))
    }

    /// Removes a file or folder of the project, if it is there.
    ///
    /// - Throws: `Failure` when it cannot be removed.
    public func remove(_ name: String) throws { try removeAll(project.pushing(FilePath(name))) }

    /// The names in a folder of the project.
    ///
    /// - Throws: `Failure` when it cannot be read.
    public func names(in folder: String) throws -> [String] {
        try namesInFolder(project.pushing(FilePath(folder))).sorted()
    }

    /// The number of the first line of a file with a text, from 1.
    ///
    /// - Throws: `Failure` (`usage`) when no line has it.
    public func line(of text: String, in name: String) throws -> Int {
        let lines = try self.text(name).split(separator: "\n", omittingEmptySubsequences: false)
        guard let index = lines.firstIndex(where: { $0.contains(text) }) else {
            throw Failure(.usage, "\(name) has no line with \(text)")
        }
        return index + 1
    }

    /// Copies the project's files for C programs and the kernel to another folder, which is created again.
    ///
    /// - Returns: That folder.
    /// - Throws: An error when a file cannot be read or written.
    public func copy(to folder: FilePath) throws -> FilePath {
        try removeAll(folder)
        try createFolder(folder)
        for part in ["kernel", "configs", "rootfs", "shared", "kbuild.yaml", "Tests"] {
            try FileManager.default.copyItem(
                atPath: project.appending(part).string, toPath: folder.appending(part).string)
        }
        return folder
    }

    /// Runs kbuild in the project.
    ///
    /// - Throws: `Failure` when it cannot be started.
    public func kbuild(_ arguments: String..., environment: [String: String?] = [:]) async throws -> CommandResult {
        let command = Command(
            try Self.executable(), arguments, environment: environment, workingDirectory: project)
        let result = try await runner.capture(command)
        // Shown by the test runner when an expectation fails, and otherwise in the log.
        print("$ \(command)\n\(result.errors)\(result.output)=> \(result.status)")
        return result
    }

    /// Runs kbuild and reads the report that it prints with `--format json`.
    ///
    /// - Throws: `Failure` when it cannot be started or prints no report.
    public func report(_ arguments: String..., environment: [String: String?] = [:]) async throws -> Run {
        try await report(arguments, environment: environment)
    }

    /// Runs kbuild and reads the report that it prints with `--format json`.
    ///
    /// - Throws: `Failure` when it cannot be started or prints no report.
    public func report(_ arguments: [String], environment: [String: String?] = [:]) async throws -> Run {
        let command = try reporting(arguments, environment: environment)
        let result = try await runner.capture(command)
        print("$ \(command)\n\(result.errors)=> \(result.status)")
        return try Run(result)
    }

    /// The command that `report` runs, for those that want to run several at once.
    ///
    /// - Throws: `Failure` (`usage`) when nothing names kbuild.
    public func reporting(_ arguments: [String], environment: [String: String?] = [:]) throws(Failure) -> Command {
        Command(
            try Self.executable(), arguments + ["--format", "json"], environment: environment,
            workingDirectory: project)
    }

    /// Starts kbuild in the project, to be killed or watched.
    ///
    /// - Parameters:
    ///   - output: The descriptor for its standard output, which is discarded by default.
    ///   - errors: The descriptor for its standard error, which is discarded by default.
    /// - Throws: `Failure` (`usage`) when nothing names kbuild; an error when it cannot be started.
    public func start(
        _ arguments: String..., output: FileHandle = .nullDevice, errors: FileHandle = .nullDevice
    ) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try Self.executable())
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: project.string)
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        return process
    }

    /// The processes whose command line contains `text` that still run after ten seconds.
    ///
    /// - Throws: `Failure` when /proc cannot be read; `CancellationError`.
    public static func lastingProcesses(containing text: String) async throws -> [String] {
        for _ in 0..<100 where try !processes(containing: text).isEmpty {
            try await Task.sleep(for: .milliseconds(100))
        }
        return try processes(containing: text)
    }

    /// The processes of this machine whose command line contains `text`.
    ///
    /// - Throws: `Failure` when /proc cannot be read.
    public static func processes(containing text: String) throws -> [String] {
        try namesInFolder("/proc").filter { Int32($0) != nil }.compactMap { pid in
            guard let bytes = try? readBytes(FilePath("/proc/\(pid)/cmdline")) else { return nil }
            let line = String(decoding: bytes.map { $0 == 0 ? 0x20 : $0 }, as: UTF8.self)
            return line.contains(text) ? "\(pid) \(line)" : nil
        }
    }
}

/// A run with its report.
public struct Run {
    /// The process's output and end.
    public let result: CommandResult
    /// The report, in the form of docs/reference/report-schema.json.
    public let json: [String: Any]

    /// Reads the output of `kbuild --format json`.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it is not a report.
    public init(_ result: CommandResult) throws(Failure) {
        guard
            let object = try? JSONSerialization.jsonObject(with: Data(result.output.utf8)),
            let json = object as? [String: Any]
        else {
            throw Failure(.infrastructure, "kbuild printed no report", details: result.output + result.errors)
        }
        self.result = result
        self.json = json
    }

    /// The exit code; nil when a signal ended kbuild.
    public var exitCode: Int32? { if case .exited(let code) = result.status { code } else { nil } }

    /// The console's log.
    ///
    /// - Throws: `Failure` (`usage`) when the report names none.
    public func console() throws(Failure) -> FilePath {
        guard let artifacts = json["artifacts"] as? [String: Any], let path = artifacts["console"] as? String else {
            throw Failure(.usage, "the report names no console log")
        }
        return FilePath(path)
    }

    /// The crash reports' titles.
    public var crashes: [String] {
        (json["crashes"] as? [[String: Any]] ?? []).compactMap { $0["title"] as? String }
    }

    /// The programs that ran.
    public var suites: [[String: Any]] { json["suites"] as? [[String: Any]] ?? [] }

    /// The programs' problems.
    public var problems: [String] { suites.flatMap { $0["problems"] as? [String] ?? [] } }

    /// Every step's outcome by its name.
    public var steps: [String: String] {
        let steps = json["steps"] as? [[String: Any]] ?? []
        return Dictionary(
            steps.compactMap { step in
                (step["name"] as? String).flatMap { name in (step["outcome"] as? String).map { (name, $0) } }
            }, uniquingKeysWith: { $1 })
    }

    /// Every test's status by its ID.
    public var tests: [String: String] {
        var statuses: [String: String] = [:]
        for test in testObjects {
            if let id = test["id"] as? String { statuses[id] = test["status"] as? String }
        }
        return statuses
    }

    /// All tests of all programs.
    public var testObjects: [[String: Any]] { suites.flatMap { $0["tests"] as? [[String: Any]] ?? [] } }

    /// The test with this ID.
    ///
    /// - Throws: `Failure` (`usage`) when there is none.
    public func test(_ id: String) throws(Failure) -> [String: Any] {
        guard let test = testObjects.first(where: { $0["id"] as? String == id }) else {
            throw Failure(.usage, "no test \(id)", details: tests.keys.sorted().joined(separator: "\n"))
        }
        return test
    }
}
