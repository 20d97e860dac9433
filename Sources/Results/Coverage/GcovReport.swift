// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Foundation

/// gcov's report on one object, in its JSON form (gcov --json-format, version 1).
public struct GcovReport: Sendable, Equatable, Decodable {
    /// A source file that has code in the object.
    public struct File: Sendable, Equatable, Decodable {
        /// The file's path, as passed to the compiler.
        public var file: String
        /// The lines with code. A line that is part of several functions is listed once for each.
        public var lines: [Line]
        /// Its functions.
        public var functions: [Function]
    }

    /// A line.
    public struct Line: Sendable, Equatable, Decodable {
        /// Its number.
        public var number: Int
        /// The number of times it was reached.
        public var count: Int
        /// Its branches.
        public var branches: [Branch]

        private enum CodingKeys: String, CodingKey {
            case number = "line_number"
            case count, branches
        }
    }

    /// An outcome of a branch.
    public struct Branch: Sendable, Equatable, Decodable {
        /// The number of times it was taken.
        public var count: Int
    }

    /// A function.
    public struct Function: Sendable, Equatable, Decodable {
        /// Its name.
        public var name: String
        /// The line on which it begins.
        public var firstLine: Int
        /// The line on which it ends.
        public var lastLine: Int
        /// The number of times it was entered.
        public var count: Int

        private enum CodingKeys: String, CodingKey {
            case name
            case firstLine = "start_line"
            case lastLine = "end_line"
            case count = "execution_count"
        }
    }

    /// The folder in which the compiler ran: relative paths start there.
    public var folder: String
    /// The file of counters.
    public var data: String
    /// The source files.
    public var files: [File]

    private enum CodingKeys: String, CodingKey {
        case folder = "current_working_directory"
        case data = "data_file"
        case files
    }

    /// Reads gcov's output: one report on each line, in the order of its arguments.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it is not of this form.
    public static func parse(_ output: String) throws(Failure) -> [GcovReport] {
        var reports: [GcovReport] = []
        for line in output.utf8.split(separator: 0x0A) where !line.isEmpty {
            do {
                reports.append(try JSONDecoder().decode(GcovReport.self, from: Data(line)))
            } catch {
                throw Failure(
                    .infrastructure, "gcov's output cannot be read", details: "\(error)",
                    nextStep: "gcov --version: kbuild reads the JSON form 1, which gcc 9 and later write")
            }
        }
        return reports
    }
}

/// Combines gcov's reports into a coverage report.
public struct CoverageBuilder: Sendable {
    /// The files to report: the path in the kernel's tree, and the user's name.
    private let wanted: [String: String]
    private var files: [String: CoveredFile] = [:]
    private var tests: [String] = []

    /// Creates an empty collection.
    ///
    /// - Parameter wanted: The files to report, by their paths in the kernel's tree, with the user's names.
    public init(files wanted: [String: String]) { self.wanted = wanted }

    /// The path in the kernel's tree of a file to report; nil for any other file.
    private func place(of file: String) -> String? {
        if wanted[file] != nil { return file }
        // The compiler had an absolute path, or one from the output folder.
        return wanted.keys.first { file.hasSuffix("/\($0)") }
    }

    /// Adds the counts of all tests together in an object.
    public mutating func add(total report: GcovReport) {
        for file in report.files {
            guard let place = place(of: file.file), let name = wanted[place] else { continue }
            var covered = files[place] ?? CoveredFile(path: name)
            covered.add(file)
            files[place] = covered
        }
    }

    /// Adds the counts of one test in an object, after `add(total:)`.
    public mutating func add(_ report: GcovReport, of test: String) {
        for file in report.files {
            guard let place = place(of: file.file), var covered = files[place] else { continue }
            let reached = Set(file.lines.filter { $0.count > 0 }.map(\.number))
            guard !reached.isEmpty else { continue }
            let index = tests.firstIndex(of: test) ?? tests.count
            if index == tests.count { tests.append(test) }
            for line in covered.lines.indices where reached.contains(covered.lines[line].number) {
                if covered.lines[line].tests.last != index { covered.lines[line].tests.append(index) }
            }
            files[place] = covered
        }
    }

    /// The files to report that have no code in any object.
    public var unmeasured: [String] { wanted.filter { files[$0.key] == nil }.map(\.value).sorted() }

    /// The report.
    ///
    /// - Parameter source: The text of a file of the kernel's tree, by its path; nil when it is not available.
    public func report(source: (_ path: String) -> [String]?) -> CoverageReport {
        let covered = files.sorted { $0.value.path < $1.value.path }.map { place, file in
            var file = file
            file.source = source(place)
            return file
        }
        return CoverageReport(tests: tests, files: covered)
    }
}

extension CoveredFile {
    /// The functions that SYSCALL_DEFINE adds around a call's own function, `__do_sys_NAME`
    /// (arch/x86/include/asm/syscall_wrapper.h). Some are never called, such as those for 32-bit callers.
    private static let wrappers = ["__x64_sys_", "__ia32_sys_", "__ia32_compat_sys_", "__x32_compat_sys_", "__se_sys_"]
    private static let own = ["__do_sys_", "__do_compat_sys_"]

    /// Adds the counts of the file in an object. A header's code may be in several objects.
    fileprivate mutating func add(_ file: GcovReport.File) {
        var byNumber = Dictionary(lines.map { ($0.number, $0) }, uniquingKeysWith: { first, _ in first })
        for line in file.lines {
            var covered = byNumber[line.number] ?? CoveredLine(number: line.number, count: 0)
            covered.count += line.count
            covered.branches += line.branches.map(\.count)
            byNumber[line.number] = covered
        }
        lines = byNumber.values.sorted { $0.number < $1.number }
        for function in file.functions {
            guard !Self.wrappers.contains(where: function.name.hasPrefix) else { continue }
            let prefix = Self.own.first(where: function.name.hasPrefix)
            let name = String(function.name.dropFirst(prefix?.count ?? 0))
            if let index = functions.firstIndex(where: { $0.name == name && $0.firstLine == function.firstLine }) {
                functions[index].count += function.count
            } else {
                functions.append(
                    CoveredFunction(
                        name: name, firstLine: function.firstLine, lastLine: function.lastLine, count: function.count))
            }
        }
        functions.sort { ($0.firstLine, $0.name) < ($1.firstLine, $1.name) }
    }
}
