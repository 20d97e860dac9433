// SPDX-License-Identifier: Apache-2.0
import KernelConfig
import KernelMake
import SystemPackage
import Testing

@testable import Application
@testable import Project

@Suite("The output of a configuration, and the start of a new one", .timeLimit(.minutes(30)))
struct OutputOriginTests {
    private func request(_ text: String, base: ConfigBase = .smallest) throws -> ConfigRequest {
        .merge([try ConfigFragment(parsing: text, file: "a.config")], base: base)
    }

    private func project(_ text: String, check: String? = nil) throws -> Project {
        try Project.load(
            text: text, file: "/p/kbuild.yaml", profile: nil,
            overrides: check.map { [.init(key: "check", value: $0, flag: "--check")] } ?? [])
    }

    @Test("each configuration, architecture, compiler and set of checkers always has the same separate output")
    func names() throws {
        let plain = try project("{}\n")
        let options = "CONFIG_A=y\nCONFIG_B=y\n"
        var names = [
            KernelSteps.outputName(plain, try request(options), compiler: "1"),
            KernelSteps.outputName(plain, try request(options), compiler: "2"),
            KernelSteps.outputName(plain, try request("CONFIG_A=y\n"), compiler: "1"),
            KernelSteps.outputName(plain, try request("CONFIG_A=m\nCONFIG_B=y\n"), compiler: "1"),
            KernelSteps.outputName(plain, try request(options, base: .target("defconfig")), compiler: "1"),
            KernelSteps.outputName(
                plain, try request(options, base: .file(name: "c", text: "CONFIG_C=y\n")), compiler: "1"),
            KernelSteps.outputName(
                plain, try request(options, base: .file(name: "c", text: "CONFIG_D=y\n")), compiler: "1"),
            KernelSteps.outputName(try project("kernel: {debug-info: true}\n"), try request(options), compiler: "1"),
            KernelSteps.outputName(try project("{}\n", check: "memory"), try request(options), compiler: "1"),
            KernelSteps.outputName(
                try project("machine: {type: uml}\nkernel: {uml-config: [a]}\n"), try request(options), compiler: "1"),
        ]
        #expect(Set(names).count == names.count)
        #expect(names[8].hasPrefix("x86_64-memory-") && names[9].hasPrefix("um-"))
        // The order of options does not matter.
        names = ["a.config", "b.config"].map { file in
            let fragment = try? ConfigFragment(parsing: options, file: file)
            return KernelSteps.outputName(plain, .merge(fragment.map { [$0] } ?? []), compiler: "1")
        }
        #expect(names[0] == names[1])
    }

    private func description(_ options: [String], base: String = "tinyconfig") -> OutputDescription {
        OutputDescription(
            source: "s", tools: "t", architecture: "x86_64", hasDebugInfo: false, base: base, options: options)
    }

    @Test("outputs of another source, machine or tools are not used, nor those whose objects name their tree")
    func distances() {
        let wanted = description(["A", "B"])
        #expect(wanted.distance(to: wanted) == 0)
        #expect(description(["A", "C"]).distance(to: wanted) == 2)
        #expect(description(["A", "B"], base: "defconfig").distance(to: wanted) ?? 0 > 100)
        for change in 0..<4 {
            var other = wanted
            switch change {
            case 0: other.source = "x"
            case 1: other.tools = "x"
            case 2: other.architecture = "um"
            default: other.hasDebugInfo = true
            }
            #expect(other.distance(to: wanted) == nil && wanted.distance(to: other) == nil, "\(change)")
        }
    }

    @Test("the nearest configuration is preferred, then the tree's own output, then the most recently used one")
    func order() {
        func origin(_ folder: String, _ name: String, distance: Int, used: Int64 = 0) -> OutputOrigin {
            let folder = FilePath(folder)
            let make = KernelMake(tree: folder.appending("tree"), output: folder.appending(name))
            return OutputOrigin(make: make, folder: folder, distance: distance, used: used)
        }
        let sorted = OutputOrigin.sorted(
            [
                origin("/own", "far", distance: 9, used: 9), origin("/other", "near-old", distance: 1, used: 1),
                origin("/other", "near-new", distance: 1, used: 2), origin("/own", "near", distance: 1),
                origin("/other", "equal", distance: 0),
            ], for: "/own")
        #expect(
            sorted.compactMap { $0.output.lastComponent?.string } == ["equal", "near", "near-new", "near-old", "far"])
    }
}
