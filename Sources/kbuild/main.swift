import Commands
import Glibc

let arguments = CommandLine.arguments
if arguments.count > 2, arguments[1] == CommandRunner.superviseArgument {
    exit(supervise(Array(arguments.dropFirst(2))))
}
