// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import SystemPackage
import Testing

@testable import Application
@testable import Project

@Suite("kselftest", .timeLimit(.minutes(30)))
struct KselftestUnitTests {
    @Test(
        "a collection can only be a folder below the selftests",
        arguments: [
            ("openat2", true), ("futex/functional", true), ("clone3", true), ("", false), ("..", false),
            ("a/../b", false),
            ("/etc", false), ("a b", false), ("-C", false), ("a/", false), ("$(x)", false),
        ])
    func collections(name: String, isCollection: Bool) {
        #expect(KernelTestName.isCollection(name) == isCollection)
        #expect((Kselftests.collection(namedBy: "kselftest:\(name)") == name) == isCollection)
    }

    @Test("with a collection on the command line only that collection runs, with the project's limit if there is one")
    func selecting() throws {
        let text = "tests: [{kselftest: pidfd, timeout: 7}, {program: /x}]"
        let project = try Project.load(text: text, file: "/p/kbuild.yaml", profile: nil, overrides: [])
        #expect(project.tests.first == .kselftest(collection: "pidfd", timeout: 7))
        #expect(project.selecting("kselftest:pidfd").project.tests == [.kselftest(collection: "pidfd", timeout: 7)])
        #expect(project.selecting("kselftest:kcmp").project.tests == [.kselftest(collection: "kcmp", timeout: nil)])
        #expect(project.selecting("kselftest:kcmp").filter == nil)
        #expect(project.selecting("x|y") == ProjectSelection(project: project, filter: "x|y"))
        #expect(project.rendered().contains("- {kselftest: pidfd, timeout: 7}"))
        #expect(throws: Failure.self) {
            try Project.load(
                text: "tests: [{kselftest: ../x}]", file: "/p/kbuild.yaml", profile: nil, overrides: [])
        }
    }

    @Test("--add-config adds the options of each collection once")
    func addedOptions() throws {
        let text =
            "kernel: {config: [a, 'kselftest:pidfd']}\ntests: [{kselftest: pidfd}, {kselftest: close_range}, {program: /x}]"
        let project = try Project.load(text: text, file: "/p/kbuild.yaml", profile: nil, overrides: [])
            .addingTestOptions()
        #expect(project.kernel.config == [.file("/p/a"), .kselftest("pidfd"), .kselftest("core")])
        #expect(project.kernel.umlConfig == [.kselftest("pidfd"), .kselftest("core")])
    }

    @Test("--add-config asks for what suites expect when programs of LTP run, which name no options")
    func suites() throws {
        let text =
            "kernel: {config: [a]}\ntests: [{program: /x, protocol: ltp}, {program: /y, protocol: ltp}, {program: /z}]"
        let project = try Project.load(text: text, file: "/p/kbuild.yaml", profile: nil, overrides: [])
        #expect(project.addingTestOptions().kernel.config == [.file("/p/a"), .kbuild("suites")])
        #expect(
            project.selecting("kselftest:kcmp").project.addingTestOptions().kernel.config.last == .kselftest("kcmp"))
        #expect(SupportFolder.fragmentNames == ["suites"])
        #expect(SupportFolder.fragment(named: "suites")?.contains("CONFIG_CGROUPS=y") == true)
        // What a project is founded on is a file of its own, whole and checked.
        #expect(["base", "guest", "uml", "none", ""].allSatisfy { SupportFolder.fragment(named: $0) == nil })
    }

    @Test("the options of a collection are compared with the kernel's; a built-in option satisfies a module")
    func options() {
        let wanted = "# for tests\nCONFIG_A=y\nCONFIG_B=m\nCONFIG_C=m\nCONFIG_D=y\nCONFIG_E=\"x\"\n"
        let config = "CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=m\n# CONFIG_D is not set\nCONFIG_E=\"x\"\n"
        #expect(Kselftests.missingOptions(wanted: wanted, in: config) == ["CONFIG_D=y"])
    }
}
