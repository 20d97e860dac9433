// SPDX-License-Identifier: Apache-2.0
import CInit

/// The kernel modules that programs of the plan need.
///
/// A module stays loaded from one program to the next if both name it. A `module` frame says what became of each: see
/// Sources/Results/TestSession/ModuleRecord.swift for its forms.
///
/// A module's functions may hang or end their process by an oops, so a child enters the kernel for PID 1.
struct Modules {
    /// The modules in the kernel, in the order in which they were loaded.
    private var loaded: [Plan.Module] = []

    /// The limits for a module's own functions, in seconds. `ModulePlan.longestSeconds` of the host is their sum.
    private static let loadSeconds: Int64 = 30
    private static let unloadSeconds: Int64 = 10

    /// Loads the modules of a program that are not in the kernel yet.
    ///
    /// - Returns: Why one of them could not be loaded; nil when all are.
    mutating func load(_ wanted: [Plan.Module], channel: inout Channel, log: inout KernelLog) -> String? {
        for module in wanted where !contains(module) {
            let call = kbuild_start_module_call(module.path, module.parameters, 0)
            let result = Self.wait(for: call, seconds: Self.loadSeconds, channel: &channel, log: &log)
            if case .done = result {
                loaded.append(module)
                channel.send("module", "loaded \(module.name)\(Self.sections(of: module))")
                continue
            }
            log.forward(&channel)
            let reason = Self.reason(result, Self.loadSeconds, "init")
            let problem = "the module \(module.name) could not be loaded: \(reason)"
            channel.send("module", "failed \(module.name) \(problem)")
            return problem
        }
        return nil
    }

    /// Unloads the modules that the next program does not need, the last loaded first.
    mutating func unload(keeping next: [Plan.Module], channel: inout Channel, log: inout KernelLog) {
        var kept: [Plan.Module] = []
        while let module = loaded.popLast() {
            // A module below one that is kept may be in use by it.
            if !kept.isEmpty || next.contains(where: { $0.name == module.name }) {
                kept.insert(module, at: 0)
                continue
            }
            unload(module, channel: &channel, log: &log)
        }
        loaded = kept
    }

    /// Tells the host of the loaded modules again: in a restored guest it has heard of none.
    func announce(_ channel: inout Channel) {
        for module in loaded { channel.send("module", "loaded \(module.name)\(Self.sections(of: module))") }
    }

    private func contains(_ module: Plan.Module) -> Bool { loaded.contains { $0.name == module.name } }

    private func unload(_ module: Plan.Module, channel: inout Channel, log: inout KernelLog) {
        let deadline = kbuild_monotonic() + Self.unloadSeconds * 1_000_000_000
        while true {
            let call = kbuild_start_module_call(module.name, "", 1)
            let result = Self.wait(for: call, seconds: Self.unloadSeconds, channel: &channel, log: &log)
            switch result {
            // A program may have unloaded it.
            case .done, .failed(ENOENT):
                channel.send("module", "unloaded \(module.name)")
                return
            // A process that was just killed gives its files back a little later.
            case .failed(EAGAIN), .failed(EBUSY):
                if kbuild_monotonic() < deadline {
                    usleep(20_000)
                    continue
                }
            case .failed, .died, .hangs: break
            }
            log.forward(&channel)
            var reason = Self.reason(result, Self.unloadSeconds, "exit")
            if case .failed(EAGAIN) = result {
                reason = "it was still in use after \(Self.unloadSeconds) s, by \(Self.users(of: module))"
            }
            if case .failed(EBUSY) = result { reason = "it has no exit function, or is being loaded" }
            channel.send(
                "module", "failed \(module.name) the module \(module.name) could not be unloaded: \(reason)")
            return
        }
    }

    // MARK: A call in a child

    private enum Result {
        case done
        /// errno.
        case failed(Int32)
        /// By a signal: the kernel ends a process in which it has an oops.
        case died
        case hangs
    }

    private static func wait(
        for child: pid_t, seconds: Int64, channel: inout Channel, log: inout KernelLog
    ) -> Result {
        guard child > 0 else { return .failed(kbuild_errno()) }
        let descriptor = kbuild_pidfd_open(child)
        defer { if descriptor >= 0 { close(descriptor) } }
        let deadline = kbuild_monotonic() + seconds * 1_000_000_000
        while true {
            var status: Int32 = 0
            if waitpid(child, &status, WNOHANG) == child {
                guard kbuild_exited(status) != 0 else { return .died }
                let code = kbuild_exit_status(status)
                return code == 0 ? .done : .failed(code)
            }
            guard kbuild_monotonic() < deadline else {
                System.hasStuckChild = true
                return .hangs
            }
            var waiting = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: log.descriptor, events: Int16(POLLIN), revents: 0),
            ]
            _ = poll(&waiting, 2, descriptor < 0 ? 20 : 200)
            if waiting[1].revents != 0 { log.forward(&channel) }
            channel.beat()
        }
    }

    /// - Parameter function: The module's function that ran.
    private static func reason(_ result: Result, _ seconds: Int64, _ function: String) -> String {
        switch result {
        case .done: return "nothing is wrong"
        case .failed(let error): return strerror(error).map { String(cString: $0) } ?? "error"
        case .died: return "the kernel ended the process in its \(function) function"
        case .hangs: return "its \(function) function did not return within \(seconds) s"
        }
    }

    /// " .text=ffffffffc0000000 ...": where the kernel has put a module's code.
    private static func sections(of module: Plan.Module) -> String {
        var text = ""
        let folder = "/sys/module/\(module.name)/sections"
        for name in System.names(in: folder) {
            let bytes = Array(name.utf8)
            guard bytes.starts(with: Array(".text".utf8)) || name == ".init.text" || name == ".exit.text",
                let value = System.read("\(folder)/\(name)")?.lines().first
            else { continue }
            // "0xffffffffc0000000"
            text += " \(name)=\(Array(value.dropFirst(2)).text())"
        }
        return text
    }

    private static func users(of module: Plan.Module) -> String {
        let folder = "/sys/module/\(module.name)"
        let holders = System.names(in: "\(folder)/holders")
        if !holders.isEmpty { return holders.joined(separator: ", ") }
        let count = System.read("\(folder)/refcnt")?.lines().first?.text() ?? "unknown"
        return "\(count) open files or other references"
    }
}
