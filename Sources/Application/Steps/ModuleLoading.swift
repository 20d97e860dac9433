// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import GuestSession
import KernelBuild
import Project
import SystemPackage
import TestSession

/// The order in which guests load modules, and where they find them.
extension ModuleSet {
    /// The folder of modules in the guest, below the test programs.
    private static let folder = "modules"
    /// The folder of the kernel's own modules there, which init offers at /lib/modules/RELEASE.
    private static let kernelFolder = "kernel-modules"

    /// The modules to load for some names, each after those that it depends on.
    ///
    /// - Parameter names: Names of folders of `modules`, whose modules are all loaded, or of modules of the kernel.
    /// - Throws: `Failure` (`usage`) for an unknown name; `build` when modules depend on each other in a circle.
    func plan(_ names: [String]) throws -> [ModulePlan] {
        let own = Dictionary(
            built.flatMap { module in module.objects.map { ($0.info.name, (module.module, $0)) } },
            uniquingKeysWith: { first, _ in first })
        let kernel = try kernelModules()
        var plan: [ModulePlan] = []
        var open: [String] = []
        func add(_ name: String) throws {
            guard !plan.contains(where: { $0.name == name }) else { return }
            guard !open.contains(name) else {
                throw Failure(
                    .build, "modules depend on each other in a circle: \((open + [name]).joined(separator: ", "))")
            }
            open.append(name)
            defer { open.removeLast() }
            if let (module, object) = own[name] {
                for dependency in object.info.dependencies { try add(Self.kernelName(dependency)) }
                var planned = ModulePlan(
                    name: name, path: "\(GuestShare.programsFolder)/\(Self.folder)/\(object.guestPath)",
                    parameters: module.parameters)
                planned.functions = object.info.functions.map {
                    ModuleFunction(section: $0.section, offset: $0.offset, size: $0.size, name: $0.name)
                }
                plan.append(planned)
            } else if let found = kernel[name] {
                for dependency in found.dependencies { try add(dependency) }
                plan.append(
                    ModulePlan(
                        name: name, path: "\(GuestShare.programsFolder)/\(Self.kernelFolder)/\(found.path)"))
            } else {
                let known = built.map(\.module.name) + kernel.keys
                throw Failure(
                    .usage, "there is no module \(name)\(guess(for: name, among: known))",
                    details: kernel.isEmpty ? "the kernel has no modules of its own" : nil,
                    nextStep: "name a folder under `modules`, or an option of the kernel with =m in kernel.options")
            }
        }
        for name in names {
            if let module = built.first(where: { $0.module.name == name }) {
                for object in module.objects { try add(object.info.name) }
            } else {
                try add(Self.kernelName(name))
            }
        }
        return plan
    }

    /// The kernel's name of a module: a file's hyphens are underscores there.
    private static func kernelName(_ name: String) -> String { name.replacing("-", with: "_") }

    private struct KernelModule {
        /// The path below /lib/modules/RELEASE.
        var path: String
        /// The modules that it needs, directly or not, in the order in which they are loaded.
        var dependencies: [String]
    }

    /// The kernel's own modules by name, from depmod's list: `PATH: PATH PATH`, each module before those that need it
    /// read from the end (modules.dep(5)).
    private func kernelModules() throws -> [String: KernelModule] {
        guard let kernelTree else { return [:] }
        let file = kernelTree.appending("modules.dep")
        guard fileExists(file) else { return [:] }
        var modules: [String: KernelModule] = [:]
        for line in try readText(file).textLines() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let needed = line[line.index(after: colon)...].split(separator: " ").reversed()
            modules[Self.name(ofFile: line[..<colon])] = KernelModule(
                path: String(line[..<colon]), dependencies: needed.map(Self.name(ofFile:)))
        }
        return modules
    }

    private static func name(ofFile path: Substring) -> String {
        let file = path.split(separator: "/").last ?? ""
        return kernelName(String(file.prefix { $0 != "." }))
    }

    /// Puts the modules into the folder that the guest mounts.
    ///
    /// - Throws: `Failure` (`infrastructure`) when it cannot be written.
    func layOut(in share: FilePath) throws {
        for module in built {
            try createFolder(share.appending(Self.folder).appending(module.module.name))
            for object in module.objects {
                try GuestShare.place(object.file, at: share.appending(Self.folder).pushing(FilePath(object.guestPath)))
            }
        }
        if let kernelTree { try GuestShare.placeTree(kernelTree, at: share.appending(Self.kernelFolder)) }
    }
}

extension ProgramSet {
    /// The programs, each with the modules that its test asks for.
    ///
    /// - Throws: `Failure` (`usage`) for an unknown module.
    func loading(_ modules: ModuleSet, for project: Project) throws -> ProgramSet {
        var programs = self
        for index in programs.artifacts.indices {
            let names = programs.artifacts[index].testIndex.map { project.moduleNames(ofTest: $0) } ?? []
            programs.artifacts[index].planned.modules = try modules.plan(names)
        }
        return programs
    }
}
