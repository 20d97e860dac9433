// SPDX-License-Identifier: Apache-2.0
import RootFilesystem
import VirtualMachine

/// Work that needs a process of its own, so that its crash or hang is not kbuild's: nil when `name` is no such work.
func helperProcess(_ name: String, _ arguments: [String]) -> Int32? {
    switch name {
    case AcceleratorProbe.argument: kvmProbeMain()
    case imageBuilderArgument: imageBuilderMain(arguments: arguments)
    default: nil
    }
}
