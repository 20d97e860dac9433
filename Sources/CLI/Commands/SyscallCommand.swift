// SPDX-License-Identifier: Apache-2.0
import Application
import ArgumentParser
import Diagnostics
import Foundation
import SystemPackage

struct SyscallCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "syscall", abstract: "Scaffold, rename, remove, list or check system calls.",
        discussion: """
            Examples:

              kbuild syscall new hello_there --args "int number, const char __user *text"
              kbuild syscall list
              kbuild syscall check
            """,
        subcommands: [New.self, Rename.self, Remove.self, List.self, Check.self])

    struct Rename: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Rename a system call of the project.",
            discussion: """
                kbuild changes the name in syscall.yaml, in the C file's definition, in the contract beside it, and in the \
                suites' __NR_name. Files and folders keep their names. Example:

                  kbuild syscall rename hello_there hello_here
                """)

        @Argument(help: "The call's name.")
        var old: String

        @Argument(help: "Its new name, a C identifier.")
        var new: String

        @OptionGroup var common: CommonOptions
        @OptionGroup var build: BuildOptions

        func run() async throws {
            let console = common.makeConsole()
            let actions = SyscallActions(try await makeContext(try loadProject(common, build.overrides), console))
            let (old, new) = (old, new)
            defer { console.finish() }
            let renamed = try await interruptible { try await actions.rename(old, to: new) }
            for line in renamed.files { console.output("wrote  \(line)") }
            console.output("next:  \(renamed.nextCommand)")
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove a system call from the project.",
            discussion: """
                kbuild removes the call's entry from syscall.yaml, or, when it is the only one there, the folder from \
                kbuild.yaml. It deletes no file, and prints which files still name the call. Example:

                  kbuild syscall remove hello_there
                """)

        @Argument(help: "The call's name.")
        var name: String

        @OptionGroup var common: CommonOptions
        @OptionGroup var build: BuildOptions

        func run() async throws {
            let console = common.makeConsole()
            let actions = SyscallActions(try await makeContext(try loadProject(common, build.overrides), console))
            defer { console.finish() }
            let removed = try actions.remove(name)
            for line in removed.files { console.output("wrote  \(line)") }
            for file in removed.mentions { console.output("left   \(file), which still names the call") }
            console.output("next:  kbuild syscall check")
        }
    }

    struct New: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Scaffold a system call and a suite that passes.",
            discussion: """
                Writes a spec, a C file that checks its arguments, the contract and a suite, and adds them to the \
                project. Several names share a C file; --into adds to a folder that has calls already. Examples:

                  kbuild syscall new hello_there
                  kbuild syscall new hello_there --args "int number, const char __user *text"
                  kbuild syscall new box_put box_get --into kernel/box --args "char __user *bytes, size_t length"
                """)

        @Argument(help: "The calls' names, C identifiers.")
        var names: [String]

        @Option(
            help: "Their folder, relative to the project's folder. (default: kernel/NAME)", completion: .directory)
        var into: String?

        @Option(help: "Arguments as in C, separated by commas; may be given again. (default: none)")
        var args: [String] = []

        @OptionGroup var common: CommonOptions
        @OptionGroup var build: BuildOptions

        func run() async throws {
            let console = common.makeConsole()
            let actions = SyscallActions(try await makeContext(try loadProject(common, build.overrides), console))
            let (names, args, into) = (names, args, into)
            defer { console.finish() }
            let created = try await interruptible { try await actions.create(names, arguments: args, into: into) }
            for line in created.files { console.output("wrote  \(line)") }
            console.output("next:  \(created.nextCommand)")
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the calls that the project adds to the kernel, with their numbers.",
            discussion: """
                The numbers are those of one kernel; --kernel shows them on another. Examples:

                  kbuild syscall list
                  kbuild syscall list --kernel linux-source-6.12
                """)

        @Flag(help: "Also list the kernel's own calls.")
        var all = false

        @OptionGroup var common: CommonOptions
        @OptionGroup var build: BuildOptions

        @Option(help: "Print text or json.")
        var format: OutputFormat = .text

        func run() async throws {
            let console = common.makeConsole()
            let actions = SyscallActions(try await makeContext(try loadProject(common, build.overrides), console))
            defer { console.finish() }
            let all = all
            let list = try await interruptible { try await actions.list(all: all) }
            try console.output(list, text: list.text, format)
        }
    }

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Report every mistake in how patches or specs register system calls.",
            discussion: """
                kbuild builds nothing and changes nothing. The exit code is 0 when there is no error, also with warnings, \
                and 3 when the build would certainly be wrong. Examples:

                  kbuild syscall check
                  kbuild syscall check ~/0001-add-my-call.patch --kernel linux-source-6.12
                """)

        @Argument(
            help: "Folders or patch files. (default: the project's patches)", completion: .found { $0.patches })
        var paths: [String] = []

        @OptionGroup var common: CommonOptions
        @OptionGroup var build: BuildOptions

        @Option(help: "Print text or json.")
        var format: OutputFormat = .text

        func run() async throws {
            let console = common.makeConsole()
            let actions = SyscallActions(try await makeContext(try loadProject(common, build.overrides), console))
            let here = FilePath(FileManager.default.currentDirectoryPath)
            let paths = paths.map { here.pushing(FilePath($0)).lexicallyNormalized() }
            defer { console.finish() }
            let report = try await interruptible { try await actions.check(paths) }
            try console.output(report, text: report.text, format)
            if report.hasErrors { throw CommandFailure(code: ExitStatus.patch.rawValue) }
        }
    }
}
