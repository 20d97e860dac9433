// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Glibc
import SystemPackage

/// The kernel that this host runs, for `kernel.base: localmodconfig`.
enum HostKernel {
    /// The kernel's configuration, from the places where distributions keep it.
    ///
    /// - Throws: `Failure` (`infrastructure`) when there is none.
    static func configuration() throws(Failure) -> FilePath {
        let release = release()
        let places: [FilePath] = [
            FilePath("/boot").appending("config-\(release)"),
            FilePath("/lib/modules").appending(release).appending("config"),
            "/proc/config.gz",
        ]
        if let found = places.first(where: { access($0.string, R_OK) == 0 }) { return found }
        throw Failure(
            .infrastructure, "the configuration of the running kernel \(release) is not on this host, or not readable",
            details: places.map { "there is no \($0)" }.joined(separator: "\n"),
            nextStep: "name a configuration as kernel.base: FILE, such as one of /boot/config-*")
    }

    /// The loaded modules in lsmod's format, one on each line, in the order of their names: whether a module is in use
    /// does not matter, and must not change the configuration's key.
    static func loadedModules() throws -> String {
        // A kernel without CONFIG_MODULES does not have this file.
        let list = fileExists("/proc/modules") ? try readText("/proc/modules") : ""
        let names = list.textLines().compactMap { $0.split(separator: " ").first }
        return "Module Size Used by\n" + names.sorted().map { "\($0) 0 0\n" }.joined()
    }

    private static func release() -> String {
        var names = utsname()
        guard uname(&names) == 0 else { return "unknown" }
        return withUnsafeBytes(of: &names.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
