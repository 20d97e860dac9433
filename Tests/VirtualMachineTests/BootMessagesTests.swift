// SPDX-License-Identifier: Apache-2.0
import Processes
import SystemPackage
import Testing

@testable import VirtualMachine

@Suite("Boot messages", .timeLimit(.minutes(30)))
struct BootMessagesTests {
    @Test("every machine's kernel shows warnings while it boots")
    func level() {
        let configuration = MachineConfiguration(
            type: .microvm, accelerator: .tcg, memoryMegabytes: 256, cpus: 1, kernel: "/k", root: .disk("/r"),
            shares: [], results: .virtio, kernelArguments: ["extra"])
        let words = configuration.kernelCommandLine.split(separator: " ")
        #expect(words.contains("loglevel=5"))
        #expect(!words.contains("quiet"))
        let uml = UMLConfiguration(kernel: "/linux", memoryMegabytes: 256, root: .disk("/r"), shares: [])
        let arguments = uml.command(folder: "/f", sockets: MachineSockets(folder: "/f")).arguments
        #expect(arguments.contains("loglevel=5"))
        #expect(!arguments.contains("quiet"))
    }

    @Test(
        "a user's kernel arguments that hide warnings are reported",
        arguments: [
            (["quiet"], ["quiet"]), (["a=1 quiet"], ["quiet"]), (["loglevel=4"], ["loglevel=4"]),
            (["loglevel=0x3"], ["loglevel=0x3"]), (["loglevel=\"1\""], ["loglevel=\"1\""]),
            (["loglevel="], ["loglevel="]),
            (["printk.time=0"], ["printk.time=0"]), (["nowatchdog", "slub_debug=-"], ["nowatchdog", "slub_debug=-"]),
            (["rcupdate.rcu-cpu-stall-suppress=1"], ["rcupdate.rcu-cpu-stall-suppress=1"]),
            (["sysctl.kernel.printk=1"], ["sysctl.kernel.printk=1"]), (["loglevel=7", "quiet"], ["quiet"]),
        ])
    func hiding(arguments: [String], hidden: [String]) {
        #expect(BootMessages.hiding(arguments) == hidden)
    }

    @Test(
        "kernel arguments that hide nothing, earlier ones that a later one overrides, and init's are not reported",
        arguments: [
            [], ["loglevel=5"], ["loglevel=0x8"], ["loglevel=05"], ["quiet loglevel=7"], ["quiet", "debug"],
            ["quiet", "ignore_loglevel"], ["kmemleak.verbose=1"], ["printk.time=1"], ["--", "quiet"], ["x=quiet"],
            ["debug=quiet"],
        ])
    func showing(arguments: [String]) {
        #expect(BootMessages.hiding(arguments) == [])
    }
}
