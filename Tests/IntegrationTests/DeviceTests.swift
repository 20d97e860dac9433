// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

extension RunTests {
    /// Devices of a guest beside its root. A part of the other suite, since all share one project.
    @Suite("devices", .serialized)
    struct Devices {
        let fixture: Fixture

        init() throws { fixture = try Fixture() }

        @Test("disks, kernel arguments and QEMU options reach the guest; only a writable file is changed")
        func disks() async throws {
            let (kept, changed) = (fixture.project.appending("kept.img"), fixture.project.appending("changed.img"))
            let image = [UInt8](repeating: 0x61, count: 1 << 20)
            for file in [kept, changed] { try writeAtomically(image, to: file) }
            defer { for file in [kept, changed] { try? removeAll(file) } }
            let script = """
                head -c 3 /dev/vdc; grep -o world=1 /proc/cmdline; blockdev --getsize64 /dev/vdb
                for disk in /dev/vdc /dev/vdd; do printf hello | dd of=$disk conv=notrunc; done 2>/dev/null; sync
                head -c 7 /dev/vdc; cat /sys/class/virtio-ports/*/name | grep own
                """
            let result = try await fixture.kbuild(
                "shell", "-q", "--disk", "8M", "--disk", "kept.img", "--disk", "changed.img:rw", "--append", "world=1",
                "--qemu-arg", "-chardev null,id=own", "--qemu-arg", "-device virtserialport,chardev=own,name=own", "--",
                "sh", "-c", script)
            #expect(result.output == "aaaworld=1\n8388608\nhelloaaown\n", "\(result.output)")
            #expect(result.status == .exited(0))
            #expect(try readBytes(kept) == image)
            #expect(try readBytes(changed).starts(with: Array("helloaa".utf8)))
            // Untrusted code gets none of the host's files.
            let refused = try await fixture.kbuild("shell", "-q", "--sandbox", "on", "--disk", "kept.img", "--", "true")
            #expect(refused.status == .exited(2) && refused.errors.contains("disks[].file"))
        }

        @Test("an installed kernel boots with its modules, and runs a program of the project")
        func installedKernel() async throws {
            let folder: FilePath = "/boot"
            let prefix = "vmlinuz-"
            let release = try #require(
                try namesInFolder(folder).filter { $0.hasPrefix(prefix) }.sorted().last, "no kernel is installed"
            ).dropFirst(prefix.count)
            try fixture.faults("pass")
            let result = try await fixture.kbuild("shell", "-q", "--kernel", String(release), "--", "uname", "-r")
            #expect(result.output == "\(release)\n", "\(result.errors)")
            #expect(result.status == .exited(0))
            let run = try await fixture.report("run", "--kernel", String(release))
            #expect(run.exitCode == 0 && run.tests == ["pass": "passed"])
            #expect((run.json["kernel"] as? [String: Any])?["prebuilt"] as? String == "/boot/vmlinuz-\(release)")
        }

        @Test("the host's programs run in the guest, and nothing that it writes reaches the host", .tags(.kernels))
        func hostRoot() async throws {
            let folder = FilePath("/var/tmp/kbuild-host-root-\(UUID().uuidString)")
            defer { try? removeAll(folder) }
            for name in ["kept", "shared"] { try createFolder(folder.appending(name)) }
            let script = """
                python3 -c 'print(6 * 7)'; pwd; [ -e /etc/passwd ] && [ ! -e /etc/shadow ] && echo hidden
                echo new > made; cat made; echo out > \(folder)/shared/out; chmod 755 \(folder)/shared/out
                """
            let result = try await fixture.kbuild(
                "shell", "-q", "--rootfs", "host", "--rw", "\(folder)/shared", "--cwd", "\(folder)/kept", "--", "sh",
                "-c",
                script)
            #expect(result.output == "42\n\(folder)/kept\nhidden\nnew\n", "\(result.output)")
            #expect(try namesInFolder(folder.appending("kept")).isEmpty)
            #expect(try readText(folder.pushing("shared/out")) == "out\n")
            #expect(FileManager.default.isExecutableFile(atPath: "\(folder)/shared/out"))
        }

        @Test("the guest reaches the host, and the host reaches a port of the guest", .tags(.kernels))
        func network() async throws {
            let result = try await fixture.kbuild(
                "shell", "-q", "--forward", "20022:22", "--", "sh", "-c",
                """
                ifconfig eth0 | grep -o 'addr:10.0.2.15'; ip route | grep -c 'default via 10.0.2.2'
                cat /etc/resolv.conf; ping -c 1 -W 5 10.0.2.2 | grep -c '1 packets received'
                """)
            #expect(result.output == "addr:10.0.2.15\n1\nnameserver 10.0.2.3\n1\n", "\(result.output)")
        }
    }
}
