// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import KernelSource
import PatchedTree
import Project
import SystemPackage

/// The suites that are built into a kernel (CONFIG_KUNIT). They run during boot, before any program, and their KTAP is
/// in the kernel's log, which a program of kbuild's forwards.
enum KUnitTests {
    /// The word that distinguishes them from a pattern on the command line; a pattern of suites may follow after a
    /// colon.
    static let name = "kunit"

    /// Prints the kernel's log without the levels that klogctl puts before its lines.
    private static let source = """
        #include <stdio.h>
        #include <stdlib.h>
        #include <sys/klog.h>

        /* SYSLOG_ACTION_READ_ALL and SYSLOG_ACTION_SIZE_BUFFER of include/linux/syslog.h. */
        enum { READ_ALL = 3, SIZE_BUFFER = 10 };

        int main(void) {
            int size = klogctl(SIZE_BUFFER, NULL, 0);
            char *text = size > 0 ? malloc(size) : NULL;
            int length = text ? klogctl(READ_ALL, text, size) : -1;
            if (length < 0) { perror("the kernel's log"); return 1; }
            for (int start = 0, end; start < length; start = end + 1) {
                for (end = start; end < length && text[end] != '\\n'; end++) {}
                int first = start;
                if (text[first] == '<') while (first < end && text[first++] != '>') {}
                fwrite(text + first, 1, end - first, stdout);
                putchar('\\n');
            }
            return fflush(stdout) ? 1 : 0;
        }

        """

    /// The path of the program's source.
    static func path(in layout: CacheLayout) -> FilePath { layout.root.appending(name).appending("\(name).c") }

    /// The program's source; writes it to the cache if it is missing.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it cannot be written.
    static func program(in layout: CacheLayout) throws -> FilePath {
        let path = path(in: layout)
        if (try? readText(path)) == source { return path }
        try createFolder(path.removingLastComponent())
        try writeAtomically(source, to: path)
        return path
    }

    /// The pattern of suites that the command line's pattern names; nil for another pattern.
    static func pattern(namedBy filter: String) -> String? {
        if filter == name { return "*" }
        guard filter.hasPrefix("\(name):") else { return nil }
        let pattern = String(filter.dropFirst(name.count + 1))
        return KernelTestName.isSuitePattern(pattern) ? pattern : nil
    }

    /// Words for the kernel's command line: the suites to run, and a log that is large enough for their output.
    static func kernelArguments(_ tests: [Project.Test]) -> [String] {
        for case .kunit(let pattern, _) in tests {
            return ["log_buf_len=8M"] + (pattern == "*" ? [] : ["kunit.filter_glob=\(pattern)"])
        }
        return []
    }

    /// Checks that the patches do not change the tests that judge them, unless the project file allows that: KUnit and
    /// its suites are part of the kernel, and print their own results.
    ///
    /// - Throws: `Failure` (`usage`) that names a changed file.
    static func checkOrigin(_ project: Project, _ patched: PatchedKernelArtifact) throws {
        guard project.testsFrom == .pristine, hasKUnit(project.tests) else { return }
        let changed = patched.overlay.files.keys.sorted().first { path in
            guard let bytes = try? readBytes(patched.pristine.folder.pushing(FilePath(path))) else {
                return path.hasPrefix("lib/kunit/") || path.hasPrefix("include/kunit/")
            }
            return path.hasPrefix("lib/kunit/") || path.hasPrefix("include/kunit/")
                || String(decoding: bytes, as: UTF8.self).contains("#include <kunit/test.h>")
        }
        guard let changed else { return }
        throw Failure(
            .usage, "the patches change \(changed), which is part of the kunit tests that judge them",
            nextStep: "leave the file as it is, or write `tests-from: patched` in \(project.file)")
    }

    private static func hasKUnit(_ tests: [Project.Test]) -> Bool {
        tests.contains { if case .kunit = $0 { true } else { false } }
    }

    /// Checks that a kernel has these suites.
    ///
    /// - Throws: `Failure`: `usage` when it has none; `infrastructure` when its configuration cannot be read.
    static func check(_ tests: [Project.Test], config: FilePath) throws {
        guard hasKUnit(tests) else { return }
        guard !(try readText(config)).contains("CONFIG_KUNIT=y\n") else { return }
        throw Failure(
            .usage, "the project has kunit tests, and its kernel has no KUnit (CONFIG_KUNIT=y)",
            nextStep: "add a fragment with CONFIG_KUNIT=y and the suites' options, such as CONFIG_LIST_KUNIT_TEST=y, "
                + "to kernel.config")
    }
}
