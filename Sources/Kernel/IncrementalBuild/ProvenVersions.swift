// SPDX-License-Identifier: Apache-2.0

/// The kernels whose incremental builds are proven.
///
/// An incremental build relies on how a kernel's makefiles and link script work. `make verify-builds` shows for these
/// versions that a plain make afterwards finds nothing to do and gives the same kernel, byte for byte. Other versions
/// get plain makes, until they are added here and to that test.
public enum ProvenVersions {
    /// Versions and patch levels, as in a kernel's Makefile.
    public static let all = ["6.1", "6.12"]

    /// Whether a kernel's incremental builds are proven.
    ///
    /// - Parameter version: A release such as `6.1.153` or `6.12-rc3`.
    public static func include(_ version: String) -> Bool {
        let numbers = version.split { !$0.isNumber }.prefix(2).joined(separator: ".")
        return all.contains(numbers)
    }
}
