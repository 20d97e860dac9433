// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Glibc
import SystemPackage

/// The kernel that the libguestfs appliance runs: one of the host's own, with its modules.
struct ApplianceKernel: Sendable, Equatable {
    /// The release, as `uname -r` prints it.
    var release: String
    /// The kernel's image.
    var image: FilePath
    /// The folder of its modules.
    var modules: FilePath

    /// The newest installed kernel with its modules.
    ///
    /// - Throws: `Failure` (`infrastructure`) when there is none, or this user may not read any.
    static func find(boot: FilePath = "/boot", modules: FilePath = "/lib/modules") throws(Failure) -> ApplianceKernel {
        let prefix = "vmlinuz-"
        let names = ((try? namesInFolder(boot)) ?? []).filter { $0.hasPrefix(prefix) }
        let kernels = names.map { name in
            let release = String(name.dropFirst(prefix.count))
            return ApplianceKernel(
                release: release, image: boot.appending(name), modules: modules.appending(release))
        }
        let whole = kernels.filter { fileExists($0.modules.appending("modules.dep")) }
        guard !whole.isEmpty else {
            throw Failure(
                .infrastructure, "there is no kernel for the libguestfs appliance in \(boot)",
                details: kernels.isEmpty
                    ? nil : "without modules in \(modules): " + kernels.map(\.release).joined(separator: ", "),
                nextStep: "apt-get install linux-image-cloud-amd64, or use `rootfs: initramfs`, which needs none")
        }
        // On Ubuntu only root can read kernels.
        let readable = whole.filter { access($0.image.string, R_OK) == 0 }
        guard let newest = readable.max(by: { isOlder($0.release, than: $1.release) }) else {
            let list = whole.map(\.image.string).joined(separator: " ")
            throw Failure(
                .infrastructure, "no kernel for the libguestfs appliance can be read", details: list,
                nextStep: "sudo chmod 0644 \(list)")
        }
        return newest
    }

    /// Whether release `left` is older than `right`: runs of digits count as numbers, so that 6.9 comes before 6.10.
    static func isOlder(_ left: String, than right: String) -> Bool {
        let (left, right) = (parts(left), parts(right))
        for (a, b) in zip(left, right) where a != b {
            if let a = Int(a), let b = Int(b) { return a < b }
            return a < b
        }
        return left.count < right.count
    }

    private static func parts(_ release: String) -> [String] {
        var parts: [String] = []
        var wasDigit: Bool?
        for character in release {
            let isDigit = character.isASCII && character.isNumber
            if isDigit == wasDigit, let last = parts.indices.last {
                parts[last].append(character)
            } else {
                parts.append(String(character))
            }
            wasDigit = isDigit
        }
        return parts
    }
}
