// SPDX-License-Identifier: Apache-2.0
import CInit

/// What a kernel that kbuild did not build needs before init's own work: a distribution has drivers as modules.
enum BootModules {
    /// The archive's list of modules: a path on each line, each after what it needs.
    private static let list = "/etc/kbuild-modules"
    /// The serial number of the disk with the programs.
    private static let serial = "kbuild-programs"
    /// How long a device may take to appear, in steps of 10 ms.
    private static let patience = 500

    /// Loads the listed modules.
    ///
    /// - Returns: Whether there is a list.
    static func load(_ complain: (String) -> Void) -> Bool {
        guard let modules = System.read(list) else { return false }
        for line in modules.lines() where !line.isEmpty {
            if kbuild_load_module(line.text()) != 0 { complain("cannot load \(line.text()): \(System.lastError)") }
        }
        return true
    }

    /// Calls `find` until it returns a value, while devices may still appear.
    static func wait<Value>(_ find: () -> Value?) -> Value? {
        for _ in 0..<patience {
            if let value = find() { return value }
            usleep(10_000)
        }
        return nil
    }

    /// Mounts the disk with the programs.
    ///
    /// - Returns: The error; nil on success.
    static func mountPrograms(at target: String) -> String? {
        System.makeFolders(target)
        guard let partition = wait({ partition() }) else { return "there is no disk with the test programs" }
        guard
            System.mount(
                partition, target, type: "vfat", options: "umask=022,iocharset=utf8", flags: UInt(MS_RDONLY))
                || System.mount(partition, target, type: "vfat", options: "umask=022", flags: UInt(MS_RDONLY))
        else { return "cannot mount \(partition) with the test programs: \(System.lastError)" }
        return nil
    }

    /// The device of the disk's only partition.
    private static func partition() -> String? {
        let disks = "/sys/block"
        for disk in System.names(in: disks) {
            guard let text = System.read("\(disks)/\(disk)/serial"), text.lines().first?.text() == serial else {
                continue
            }
            let device = "/dev/\(disk)1"
            return access(device, F_OK) == 0 ? device : nil
        }
        return nil
    }
}
