// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Glibc
import Processes
import Project
import ResultsModel
import SystemPackage
import TestSession

struct DebugCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "debug", abstract: "Boot the guest of a run under gdb, with breakpoints at the added calls.",
        discussion: """
            kbuild builds the kernel with debug information (kernel.debug-info), in its own folder; the first build takes \
            minutes. When gdb has connected, the guest is stopped at its first instruction: `continue` boots it, and its \
            tests run until one enters an added call. There are no time limits. Quitting gdb ends the guest.

            --test runs one test, or the tests that match a pattern, and continues to the first added call. With --wait you \
            connect gdb or an editor yourself; kbuild prints the commands. gdb's own arguments follow --. Examples:

              kbuild debug
              kbuild debug --test CaesarTests/empty
              kbuild debug --test CaesarTests/empty -- -batch -ex 'info args' -ex backtrace
              kbuild debug --wait
            """)

    @Argument(help: "gdb's arguments, after --.")
    var arguments: [String] = []

    @Option(
        help: "A pattern for the tests to run, as for kbuild test; the guest continues to their first added call.",
        completion: .found { $0.tests })
    var test: String?

    @Flag(help: "Run no gdb: print the commands that connect one, and wait.")
    var wait = false

    @Option(
        help: """
            With --wait: a folder for links to vmlinux and to the socket, and for gdb's commands, by which an editor's \
            configuration finds them. They are removed at the end.
            """, completion: .directory)
    var links: String?

    @OptionGroup var common: CommonOptions
    @OptionGroup var build: BuildOptions
    @OptionGroup var machine: MachineOptions

    func validate() throws {
        if links != nil, !wait { throw ValidationError("--links goes with --wait") }
        if wait, !arguments.isEmpty { throw ValidationError("--wait runs no gdb that could take arguments") }
    }

    func run() async throws {
        let debugInfo = ProjectOverride(key: "kernel.debug-info", value: "on", flag: "kbuild debug")
        let selection = try loadProject(common, build.overrides + machine.overrides + [debugInfo])
            .selecting(test)
        let console = common.makeConsole()
        let session = DebugSession(try await makeContext(selection.project, console, build))
        let (arguments, wait, filter) = (arguments, wait, selection.filter)
        let links = links.map { DebuggerLinks(folder: FilePath(fromHere($0))) }
        defer { links?.remove() }
        let result = try await interruptible {
            try await session.run(filter: filter, goesOn: filter != nil && !wait, needsDebugger: !wait) { target in
                console.finish()
                guard !wait else {
                    try links?.place(target)
                    console.output(target.instructions)
                    // Waits until kbuild is ended.
                    while true { try await Task.sleep(for: .seconds(3600)) }
                }
                // gdb gets the terminal and its signals.
                await OutputQueue.standard.flush()
                Interruptions.leaveToChild()
                defer { Interruptions.takeBack() }
                let status = try await target.debug(arguments: arguments)
                return status.isSuccess
                    ? nil
                    : Failure(.infrastructure, "gdb ended with \(status)", nextStep: "by hand: \(target.command)")
            }
        }
        console.finish()
        for test in result.tests { console.log("\(test.status.rawValue): \(test.id)") }
        for crash in result.crashes { console.log("the guest crashed: \(crash)") }
    }
}

extension DebugTarget {
    /// The ways for gdb and editors to attach to the guest.
    fileprivate var instructions: TerminalText {
        """
        The guest stands at its first instruction. Ctrl-C ends it.

        gdb:
          \(command)

        Visual Studio Code, a configuration of .vscode/launch.json (C/C++ extension):
          {
            "name": "kbuild debug", "type": "cppdbg", "request": "launch",
            "program": "\(vmlinux)", "cwd": "${workspaceFolder}",
            "miDebuggerServerAddress": "\(socket)", "stopAtConnect": true
          }

        Another debugger that speaks gdb's remote protocol:
          vmlinux      \(vmlinux)
          socket       \(socket)
          breakpoints  \(breakpoints.joined(separator: ", "))
          console      \(console)
        """
    }
}
