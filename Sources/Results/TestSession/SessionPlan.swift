// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// How a test program reports its results.
public enum ProgramProtocol: Sendable, Hashable {
    /// A Swift Testing bundle: events on descriptor 3, and these tests, as `--list-tests` names them.
    case swiftTesting(expected: [String])
    /// KTAP or TAP on its standard output.
    case ktap
    /// As the kernel's selftests: KTAP or TAP if it prints any, else its exit code, where 4 always skips.
    case kselftest
    /// As the tests of the Linux Test Project: its lines with TPASS, TFAIL and the others, and an exit code of their
    /// bits.
    case ltp
    /// Only its exit code: 0 passes, `skip` skips if the project names one, any other code fails.
    case exitCode(skip: Int32?)
    /// It has no results: a user communicates with it, as its terminal or over its standard streams.
    case interactive(isTerminal: Bool)

    /// The exit code of a selftest that skips: KSFT_SKIP (tools/testing/selftests/kselftest.h).
    static let kselftestSkip: Int32 = 4

    /// Whether the program's output names its tests: their names are then `PROGRAM/RESULT`.
    var hasNamedResults: Bool {
        switch self {
        case .ktap, .kselftest: true
        case .swiftTesting, .ltp, .exitCode, .interactive: false
        }
    }

    /// The word for it in a plan.
    var kind: String {
        switch self {
        case .swiftTesting: "swift"
        case .ktap, .kselftest, .ltp, .exitCode: "output"
        case .interactive(let isTerminal): isTerminal ? "terminal" : "streams"
        }
    }
}

/// A function of a kernel module.
public struct ModuleFunction: Sendable, Hashable {
    /// The section, such as `.text`.
    public var section: String
    /// The offset in the section, in bytes.
    public var offset: UInt64
    /// Its length in bytes.
    public var size: UInt64
    /// Its name.
    public var name: String

    /// Describes a function.
    public init(section: String, offset: UInt64, size: UInt64, name: String) {
        (self.section, self.offset, self.size, self.name) = (section, offset, size, name)
    }
}

/// A kernel module that init loads before a program.
public struct ModulePlan: Sendable, Hashable {
    /// The name by which the kernel knows it.
    public var name: String
    /// The file's path in the guest.
    public var path: String
    /// Its parameters, as `NAME=VALUE`.
    public var parameters: [String]
    /// Its functions, by which the host names addresses that the kernel can no longer name.
    public var functions: [ModuleFunction] = []

    /// The most time that init gives a module's functions to load and to unload it, in seconds: see
    /// rootfs/init/Modules.swift.
    public static let longestSeconds = 40

    /// Creates the plan of a module.
    public init(name: String, path: String, parameters: [String] = []) {
        (self.name, self.path, self.parameters) = (name, path, parameters)
    }
}

/// A program of the guest's plan.
public struct ProgramPlan: Sendable, Hashable {
    /// The name in reports.
    public var name: String
    /// The path in the guest, then the arguments.
    public var arguments: [String]
    /// `NAME=VALUE` pairs in addition to PATH, HOME and TERM.
    public var environment: [String]
    /// Its time limit in seconds; 0 for no limit.
    public var seconds: Int
    /// How it reports its results.
    public var resultsProtocol: ProgramProtocol
    /// The modules that are loaded while it runs, each after those that it depends on.
    public var modules: [ModulePlan] = []

    /// Creates a program.
    public init(
        name: String, arguments: [String], environment: [String] = [], seconds: Int = 0,
        resultsProtocol: ProgramProtocol
    ) {
        self.name = name
        self.arguments = arguments
        self.environment = environment
        self.seconds = seconds
        self.resultsProtocol = resultsProtocol
    }
}

/// The programs that a guest runs, in order.
public struct SessionPlan: Sendable, Hashable {
    /// The programs.
    public var programs: [ProgramPlan]

    /// Creates a plan.
    public init(programs: [ProgramPlan]) {
        self.programs = programs
    }

    /// Checks that no two tests can have the same name, by which reports, crash reports and the history identify them.
    ///
    /// A result `c` of the program `a` is the test `a/c`, so no other program may be named `a/c`; a Swift test's name
    /// comes from its module alone, so two packages cannot both have it.
    ///
    /// - Throws: `Failure` (`usage`) that names the two.
    public func checkNames() throws(Failure) {
        let rename = "give one of them a `name:` of its own in the project file"
        var owners: [String: ProgramPlan] = [:]
        for program in programs {
            guard owners.updateValue(program, forKey: program.name) == nil else {
                throw Failure(.usage, "two tests are named \(program.name)", nextStep: rename)
            }
        }
        for program in programs {
            let scalars = program.name.unicodeScalars
            for slash in scalars.indices where scalars[slash] == "/" {
                guard let outer = owners[String(program.name[..<slash])], outer.resultsProtocol.hasNamedResults else {
                    continue
                }
                let rest = program.name[scalars.index(after: slash)...]
                throw Failure(
                    .usage,
                    "the names of the programs \(outer.name) and \(program.name) make their tests indistinguishable: a result "
                        + "\(rest) of \(outer.name) would be named \(program.name) too", nextStep: rename)
            }
        }
        var packages: [String: String] = [:]
        for program in programs {
            guard case .swiftTesting(let tests) = program.resultsProtocol else { continue }
            for test in tests {
                guard let other = packages.updateValue(program.name, forKey: test) else { continue }
                throw Failure(
                    .usage, "the packages \(other) and \(program.name) both have the test \(test)",
                    nextStep: "rename a module, or leave one of them out with `skip:` in the project file")
            }
        }
    }

    /// The file `plan` that init reads: see rootfs/init/Plan.swift.
    ///
    /// - Throws: `Failure` (`usage`) for an argument with a newline, which the format cannot carry.
    public func encoded() throws(Failure) -> String {
        var lines = ["kbuild-plan 1"]
        for program in programs {
            lines.append("program \(program.resultsProtocol.kind) \(program.seconds)")
            lines += program.modules.map { (["module", $0.name, $0.path] + $0.parameters).joined(separator: " ") }
            lines += program.arguments.map { "arg \($0)" } + program.environment.map { "env \($0)" }
            lines.append("end")
            let texts = program.arguments + program.environment + program.modules.flatMap(\.parameters)
            for text in texts where text.utf8.contains(0x0A) {
                throw Failure(.usage, "an argument of \(program.name) holds a newline")
            }
        }
        return (lines + ["done"]).joined(separator: "\n") + "\n"
    }
}
