// SPDX-License-Identifier: Apache-2.0
import Diagnostics

/// The properties of QEMU that matter to kbuild.
package struct Emulator: Codable, Equatable {
    /// Its version, as QEMU reports it.
    package var version: String
    /// Whether it supports a seccomp sandbox, which some builds lack.
    package var filtersSystemCalls: Bool

    /// Describes a QEMU of a known version.
    package init(
        version: String, filtersSystemCalls: Bool
    ) {
        self.version = version
        self.filtersSystemCalls = filtersSystemCalls
    }

    /// The least supported version: the first with `-action panic=exit-failure` (PanicAction in qapi/run-state.json),
    /// without which a panic looks like a normal end.
    static let minimum = [7, 1]

    /// Reads `QEMU emulator version 7.2.17 (Debian 1:7.2+dfsg-7)`.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the version is too old, or the text is not of this form.
    package static func version(in text: String) throws(Failure) -> String {
        guard let version = HostCheck.version(in: text) else {
            throw Failure(
                .infrastructure, "\(HostCheck.qemu) does not report its version", details: String(text.prefix(200)))
        }
        guard !HostCheck.isOlder(version, than: minimum) else {
            let least = minimum.map { String($0) }.joined(separator: ".")
            throw Failure(
                .infrastructure, "QEMU \(version) is too old: kbuild needs \(least) or later",
                nextStep: "install a newer qemu-system-x86 (Debian 12 has 7.2); `kbuild doctor` shows what is found")
        }
        return version
    }
}
