// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation

/// The environment of tools whose results are cached. A variable is passed only when it cannot change a tool's result,
/// or when its value is part of the key.
struct ToolEnvironment: Sendable, Equatable {
    /// All variables that the tools get.
    let variables: [String: String]
    /// The variables that are part of keys.
    let recorded: [String: String]

    /// Variables for files, users, languages of messages, networks and caches.
    private static let passed: Set<String> = [
        "HOME", "LANG", "LOGNAME", "PATH", "SSH_AUTH_SOCK", "SSL_CERT_DIR", "SSL_CERT_FILE", "SWIFTLY_BIN_DIR",
        "SWIFTLY_HOME_DIR", "TERM", "TMPDIR", "USER",
    ]
    private static let passedPrefixes = ["CCACHE_", "LC_", "XDG_"]
    private static let passedInAnyCase: Set<String> = ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"]

    /// The variables that the tools read, according to their manuals: gcc ("Environment Variables Affecting GCC"), as
    /// and ld (ld(1), ENVIRONMENT), clang (CommandGuide), the dynamic loader (ld.so(8)), pkg-config(1), and SwiftPM.
    private static let read: Set<String> = [
        "AR", "CC", "COMPILER_PATH", "CPATH", "CPLUS_INCLUDE_PATH", "CXX", "C_INCLUDE_PATH", "GCC_EXEC_PREFIX",
        "GNUTARGET", "LDEMULATION", "LD_LIBRARY_PATH", "LD_PRELOAD", "LD_RUN_PATH", "LIBRARY_PATH",
        "OBJC_INCLUDE_PATH", "PKG_CONFIG_LIBDIR", "PKG_CONFIG_PATH", "PKG_CONFIG_SYSROOT_DIR", "SDKROOT",
        "SOURCE_DATE_EPOCH", "TOOLCHAINS", "ZERO_AR_DATE",
    ]
    private static let readPrefixes = ["SWIFT", "SPM_"]

    /// - Parameters:
    ///   - inherited: kbuild's own environment.
    ///   - texts: Programs that may read variables, such as package manifests: the variables that they name are passed
    ///     too.
    init(_ inherited: [String: String], namedIn texts: [String] = []) {
        let words = Set(
            texts.flatMap { text in
                text.split { !($0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_")) }.map(String.init)
            })
        func isPassed(_ name: String) -> Bool {
            Self.passed.contains(name) || Self.passedPrefixes.contains { name.hasPrefix($0) }
                || Self.passedInAnyCase.contains(name.uppercased())
        }
        recorded = inherited.filter { name, _ in
            // A manifest that names a variable may read it.
            words.contains(name)
                || (!isPassed(name) && (Self.read.contains(name) || Self.readPrefixes.contains { name.hasPrefix($0) }))
        }
        variables = inherited.filter { name, _ in isPassed(name) }.merging(recorded) { $1 }
    }

    /// The environment of a confined tool; the sandbox passes none of kbuild's variables.
    static let confined = ToolEnvironment([:])

    /// Adds the recorded variables to a key.
    func add(to key: inout KeyBuilder) {
        for (name, value) in recorded.sorted(by: { $0.key < $1.key }) { key.add("environment \(name)", value) }
    }
}
