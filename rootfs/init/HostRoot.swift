// SPDX-License-Identifier: Apache-2.0
import CInit

/// The host's root, which replaces the archive that the guest booted from.
enum HostRoot {
    /// The tag of the share with the host's root.
    private static let tag = "hostroot"
    private static let (host, layer, root) = ("/kbuild/host", "/kbuild/layer", "/kbuild/root")
    /// The mounts that move to the new root.
    private static let mounts = ["/proc", "/sys", "/dev", "/run"]

    /// Mounts the host's root with an overlay in memory, hides the paths that the archive lists, and makes it the root.
    ///
    /// - Returns: The error; nil on success.
    static func enter() -> String? {
        let hidden = (System.read("/etc/kbuild-hidden") ?? []).lines()
        // The host's files change only by other users of the host meanwhile, so the guest may cache what it has read.
        guard
            System.mount(
                tag, host, type: "9p", options: "trans=virtio,version=9p2000.L,msize=512000,cache=loose",
                flags: UInt(MS_RDONLY))
        else { return "cannot mount the host's root: \(System.lastError)" }
        guard System.mount("tmpfs", layer, type: "tmpfs", options: "mode=755"), mkdir(layer + "/upper", 0o755) == 0,
            mkdir(layer + "/work", 0o755) == 0,
            System.mount(
                "overlay", root, type: "overlay",
                options: "lowerdir=\(host),upperdir=\(layer)/upper,workdir=\(layer)/work")
        else { return "cannot mount an overlay on the host's root: \(System.lastError)" }
        for line in hidden {
            let path = root + Array(line.dropFirst(2)).text()
            let isHidden =
                line.first == UInt8(ascii: "d")
                ? System.mount("tmpfs", path, type: "tmpfs", options: "mode=700,size=4k", flags: UInt(MS_RDONLY))
                : unlink(path) == 0
            // Files that the user cannot read do not exist for the guest either.
            if !isHidden, kbuild_errno() != ENOENT, kbuild_errno() != EACCES {
                return "cannot hide \(Array(line.dropFirst(2)).text()): \(System.lastError)"
            }
        }
        for mount in mounts where !System.mount(mount, root + mount, type: "", flags: UInt(MS_MOVE)) {
            return "cannot take \(mount) along into the host's root: \(System.lastError)"
        }
        guard chdir(root) == 0, System.mount(".", "/", type: "", flags: UInt(MS_MOVE)), chroot(".") == 0,
            chdir("/") == 0
        else { return "cannot enter the host's root: \(System.lastError)" }
        return nil
    }
}
