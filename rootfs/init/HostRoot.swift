// SPDX-License-Identifier: Apache-2.0
import CInit

/// The host's root in the place of the archive that the guest booted from.
enum HostRoot {
    /// The tag of the share with the host's root.
    private static let tag = "hostroot"
    private static let (host, layer, root) = ("/kbuild/host", "/kbuild/layer", "/kbuild/root")
    /// What goes along into the new root.
    private static let mounts = ["/proc", "/sys", "/dev", "/run"]

    /// Mounts the host's root, lays a file system in memory over it, hides what the archive names, and goes on there.
    ///
    /// - Returns: What went wrong; nil when all went well.
    static func enter() -> String? {
        let hidden = (System.read("/etc/kbuild-hidden") ?? []).lines()
        // Nothing of the host's changes what the guest has read, except what its users do meanwhile.
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
        else { return "cannot lay a file system in memory over the host's root: \(System.lastError)" }
        for line in hidden {
            let path = root + Array(line.dropFirst(2)).text()
            let isHidden =
                line.first == UInt8(ascii: "d")
                ? System.mount("tmpfs", path, type: "tmpfs", options: "mode=700,size=4k", flags: UInt(MS_RDONLY))
                : unlink(path) == 0
            // What the user cannot read is not there for the guest either.
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
