// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Authoring
import Diagnostics
import Project
import SystemPackage
import TextInput

/// The files of a new kernel module.
public struct CreatedModule: Sendable, Equatable {
    /// New files and changed files, relative to the project's folder, each with its purpose.
    public var files: [String]
    /// The next command to run.
    public var nextCommand: String
}

/// Adds a kernel module to a project.
public struct ModuleCreation: Sendable {
    private let project: Project

    /// Prepares the creation; nothing is written yet.
    public init(_ project: Project) { self.project = project }

    /// The folders of modules and of test programs. The scaffold's program includes the module's header by them.
    private static let folder = "modules"
    private static let programs = "Tests/programs"

    /// Writes the files of a module and adds it to the project: a folder with a Kbuild file and a C file, a test
    /// program, and a suite in the package of suites if the project has one. The tests pass without changes.
    ///
    /// - Parameters:
    ///   - name: The module's name.
    ///   - isDevice: Whether it is a character device, /dev/NAME.
    /// - Throws: `Failure` (`usage`) for a bad or taken name or files that exist, with nothing written.
    public func create(_ name: String, isDevice: Bool) throws -> CreatedModule {
        guard !project.isStandIn else {
            throw Failure(
                .usage, "there is no \(Project.fileName) to add a module to",
                nextStep: "make a project: kbuild init NAME; or name a module's folder with --module")
        }
        let scaffold = try ModuleScaffold(name: name, isDevice: isDevice)
        let place = "\(Self.folder)/\(name)"
        let program = "\(Self.programs)/\(name).c"
        for path in [place, program] where fileExists(project.folder.pushing(FilePath(path))) {
            throw Failure(
                .usage, "\(project.folder.pushing(FilePath(path))) exists already",
                nextStep: "choose another name, or remove it")
        }
        var edits = FileEdits(folder: project.folder)
        edits.write("\(place)/Kbuild", scaffold.kbuild, "what make builds")
        edits.write("\(place)/\(name).c", scaffold.source, isDevice ? "the device /dev/\(name)" : "the module")
        if let header = scaffold.header {
            edits.write("\(place)/\(name).h", header, "what programs need of it")
        }
        edits.write(program, scaffold.program, "its tests")
        try addSuite(scaffold, &edits)
        let text = try TextInput(project.file.string, as: "a project file").text(of: project.file)
        var yaml = ProjectFileEditor(file: project.file, text: text)
        try yaml.addModule(place, testedBy: program, named: name)
        edits.change(project.file, yaml.text, "\(place) among the modules, and its tests")
        try edits.save()
        return CreatedModule(files: edits.described, nextCommand: "kbuild test '^\(name)$'")
    }

    /// Adds a suite to the project's package of suites, if it has one.
    private func addSuite(_ scaffold: ModuleScaffold, _ edits: inout FileEdits) throws {
        let package = project.tests.lazy.compactMap { test in
            if case .swift(let package, _, _, _) = test { package } else { nil }
        }.first
        guard let package else { return }
        let manifest = package.appending("Package.swift")
        let target = scaffold.suite
        let file = package.appending("Tests").appending(target).appending("\(target).swift")
        guard fileExists(manifest) else { return }
        guard !fileExists(file) else {
            throw Failure(.usage, "\(file) exists already", nextStep: "choose another name, or remove the file")
        }
        edits.change(
            manifest, try TestManifest.adding(target, to: try readText(manifest), file: manifest),
            "the suite's target")
        edits.change(file, scaffold.tests, "its suite")
    }
}
