// SPDX-License-Identifier: Apache-2.0
import Foundation
import Measurement

/// What a person has without kbuild: virtme-ng, QEMU with a small initramfs, and make.
struct Peers {
    let workspace: Workspace

    // MARK: virtme-ng

    /// Installs virtme-ng from PyPI into a separate environment.
    func installVirtme() throws {
        let folder = workspace.root + "/venv"
        guard !FileManager.default.isExecutableFile(atPath: folder + "/bin/vng") else { return }
        tell("    installing virtme-ng from PyPI")
        // Debian's own Python: another on PATH may lack what venv needs.
        try workspace.run(Invocation(["/usr/bin/python3", "-m", "venv", folder], in: workspace.root))
        try workspace.run(
            Invocation([folder + "/bin/pip", "install", "--quiet", "virtme-ng"], in: workspace.root, limit: 300))
    }

    /// virtme-ng's version.
    func virtmeVersion() throws -> String {
        let run = try workspace.run(Invocation([workspace.root + "/venv/bin/vng", "--version"], in: workspace.root))
        return run.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// virtme-ng runs a program in a guest whose root is the host's.
    func virtme(_ options: [String], kernel: String, program: String) throws -> Sample {
        let bin = workspace.root + "/venv/bin"
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        let words =
            [bin + "/vng", "--run", kernel, "--disable-kvm"] + options
            + ["--cpus", "1", "--memory", "512M", "--exec", program]
        var invocation = Invocation(words, in: workspace.root, environment: ["PATH": bin + ":" + path], watch: .guest)
        let measured = try workspace.run(invocation)
        invocation.environment = ["PATH": "$BENCH/venv/bin:$PATH"]
        let command = workspace.text(invocation).replacingOccurrences(
            of: "'$BENCH/venv/bin:$PATH'", with: "$BENCH/venv/bin:$PATH")
        return Sample(wall: measured.wall, cpu: measured.cpu, guest: measured.guestWall, commands: [command])
    }

    // MARK: QEMU

    private var initramfs: String { workspace.root + "/bare/initramfs.cpio.gz" }

    /// A program that does nothing, and an initramfs with busybox that mounts its folder over 9p and runs it.
    func makeBare() throws {
        try workspace.write("bare/true.c", "int main(void) { return 0; }\n")
        try workspace.write(
            "bare/root/init",
            """
            #!/bin/busybox sh
            /bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,ro programs /mnt
            /mnt/true && echo the program ended with 0
            /bin/busybox poweroff -f

            """)
        let script = """
            mkdir -p share root/bin root/mnt root/dev
            gcc -O2 -static -o share/true true.c
            cp /bin/busybox root/bin/
            chmod +x root/init
            cd root && find . | cpio --quiet -o -H newc | gzip > ../initramfs.cpio.gz
            """
        try workspace.run(Invocation(["sh", "-euc", script], in: workspace.root + "/bare"))
    }

    /// The program for the peers.
    var program: String { workspace.root + "/bare/share/true" }

    /// QEMU as one would write it down, with its default board.
    func bare(kernel: String) throws -> Sample {
        let words = [
            "qemu-system-x86_64", "-M", "pc,accel=tcg", "-m", "512M", "-nographic", "-no-reboot", "-kernel", kernel,
            "-initrd", initramfs, "-append", "console=ttyS0 panic=-1", "-virtfs",
            "local,path=\(workspace.root)/bare/share,mount_tag=programs,security_model=none,readonly=on",
        ]
        let invocation = Invocation(words, in: workspace.root)
        let measured = try workspace.run(invocation)
        guard measured.output.contains("the program ended with 0") else {
            throw RunError("the program did not run in bare QEMU\n\(measured.output.suffix(600))")
        }
        return Sample(
            wall: measured.wall, cpu: measured.cpu, guest: measured.wall, commands: [workspace.text(invocation)])
    }

    // MARK: make

    /// A tree and an output folder for make by hand: the patched tree of a project that kbuild has built, linked, and
    /// its configuration. The first build goes through ccache, which makes set-up short and is off when make is timed.
    func makeTree(from report: Report, config: String) throws {
        guard let log = report.artifacts.buildLog else { throw RunError("the report does not name the build's log") }
        let cache = (log as NSString).deletingLastPathComponent
        let kernels = try FileManager.default.contentsOfDirectory(atPath: cache).filter { $0.hasPrefix("kernel-") }
        guard let name = kernels.first, kernels.count == 1 else {
            throw RunError("the project has \(kernels.count) trees")
        }
        let folder = workspace.root + "/by-hand"
        // What was edited by hand stays: make would not notice that older files took its place.
        let script = """
            if [ -d tree ] && cmp -s "$2" config; then exit; fi
            rm -rf tree build config
            cp -al "$1/tree" tree
            mkdir -p build/x86_64
            cp "$2" build/x86_64/.config
            cp "$2" config
            """
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try workspace.run(
            Invocation(["sh", "-euc", script, "sh", "\(cache)/\(name)", config], in: folder, limit: 300))
        _ = try make(["olddefconfig"], withCompilerCache: true)
        _ = try make(["bzImage"], withCompilerCache: true)
    }

    /// The image that make made.
    var image: String { workspace.root + "/by-hand/build/x86_64/arch/x86/boot/bzImage" }

    /// Reads a file of that tree.
    func readTree(_ name: String) throws -> String { try workspace.read("by-hand/tree/" + name) }

    /// Writes a file of that tree.
    func writeTree(_ name: String, _ text: String) throws { try workspace.write("by-hand/tree/" + name, text) }

    /// make as kbuild runs it, except a compiler cache when it is timed.
    func make(
        _ targets: [String], withCompilerCache: Bool = false, output: String = "build/x86_64"
    ) throws -> Sample {
        let folder = workspace.root + "/by-hand"
        var environment = ["LC_ALL": "C"]
        if withCompilerCache {
            environment["CCACHE_BASEDIR"] = folder
        } else {
            environment["CCACHE_DISABLE"] = "1"
        }
        let words =
            ["make", "-C", "tree", "-j\(ProcessInfo.processInfo.activeProcessorCount)", "O=\(folder)/\(output)"]
            + ["ARCH=x86_64", "CC=ccache gcc", "HOSTCC=ccache gcc"]
            + ["KBUILD_BUILD_TIMESTAMP=Thu Jan 1 00:00:00 UTC 1970", "KBUILD_BUILD_USER=kbuild"]
            + ["KBUILD_BUILD_HOST=kbuild", "KBUILD_BUILD_VERSION=1"] + targets
        let invocation = Invocation(words, in: folder, environment: environment, limit: 1800)
        let measured = try workspace.run(invocation)
        return Sample(wall: measured.wall, cpu: measured.cpu, commands: [workspace.text(invocation)])
    }
}
