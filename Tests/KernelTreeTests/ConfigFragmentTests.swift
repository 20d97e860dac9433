// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Testing

@testable import KernelConfig

struct ConfigFragmentTests {
    @Test func readsEveryFormOfLine() throws {
        let text = """
            # A comment.

            CONFIG_A=y
            CONFIG_B=m
              CONFIG_C=n
            # CONFIG_D is not set
            CONFIG_E="a \\"quoted\\" text \\\\ #"
            CONFIG_F=-12
            CONFIG_G=0xfFf0
            CONFIG_9P_FS=y\r
            """
        let fragment = try ConfigFragment(parsing: text, file: "x.config")
        #expect(fragment.entries.map(\.name) == ["A", "B", "C", "D", "E", "F", "G", "9P_FS"])
        #expect(
            fragment.entries.map(\.value) == [
                .yes, .module, .no, .no, .string("a \"quoted\" text \\ #"), .number("-12"), .number("0xfFf0"), .yes,
            ])
        #expect(fragment.entries.map(\.line) == [3, 4, 5, 6, 7, 8, 9, 10])
    }

    @Test(arguments: [
        "CONFIG_A", "CONFIG_A=", "CONFIG_A = y", "CONFIG_A=yes", "CONFIG_A=y # why", "CONFIG_A=\"open", "A=y",
        "CONFIG_=y", "CONFIG_A-B=y", "CONFIG_A=0x", "CONFIG_A=12abc", "CONFIG_A=\"x\"y", "# CONFIG_A is not set.",
        "# CONFIG_A not set", "#CONFIG_A is unset",
    ])
    func aMalformedLineIsAUsageErrorWithItsPlace(line: String) {
        let failure = #expect(throws: Failure.self) {
            try ConfigFragment(parsing: "CONFIG_X=y\n\(line)\n", file: "configs/x.config")
        }
        #expect(failure?.code == .usage)
        #expect(failure?.message.hasPrefix("configs/x.config:2: ") == true)
    }

    @Test func commentsThatMentionOptionsAreComments() throws {
        let text = "#CONFIG_A=y\n# CONFIG_A is needed by the tests that follow, not by these\n"
        #expect(try ConfigFragment(parsing: text, file: "x").entries.isEmpty)
    }

    @Test func theLastOfSeveralFragmentsHolds() throws {
        let request = ConfigRequest.merge([
            try ConfigFragment(parsing: "CONFIG_A=y\nCONFIG_B=16\nCONFIG_C=y\n", file: "one"),
            try ConfigFragment(parsing: "# CONFIG_A is not set\nCONFIG_B=0x10\nCONFIG_D=y\n", file: "two"),
        ])
        #expect(request.text == "# CONFIG_A is not set\nCONFIG_B=0x10\nCONFIG_C=y\nCONFIG_D=y\n")
        #expect(request.notes == ["CONFIG_A=n (two:1) overrides =y (one:1)"])
    }

    @Test func aConfigFileReadsAsKconfigWroteIt() {
        let config = ConfigFile(
            parsing: "# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C=\"a=b\"\nCONFIG_D=0x1f\nCONFIG_E=-1\n")
        #expect(config["A"] == .no)
        #expect(config["B"] == .yes)
        #expect(config["C"] == .string("a=b"))
        #expect(config["D"].agrees(with: .number("31")))
        #expect(config["E"] == .number("-1"))
        #expect(config["NOWHERE"] == .no)
    }

    @Test func mergingDropsTheBasesOwnLines() throws {
        let base = "# Header\nCONFIG_A=y\n# CONFIG_AB is not set\n# CONFIG_B is not set\nCONFIG_C=3\n"
        let request = ConfigRequest.merge([try ConfigFragment(parsing: "CONFIG_B=y\nCONFIG_C=4\n", file: "x")])
        #expect(
            KernelConfigurator.merged(base, request)
                == "# Header\nCONFIG_A=y\n# CONFIG_AB is not set\nCONFIG_B=y\nCONFIG_C=4\n")
    }

    @Test func theHeaderNamesTheFragments() throws {
        let request = ConfigRequest.merge([try ConfigFragment(parsing: "CONFIG_B=y\n", file: "configs/x.config")])
        let header = KernelConfigurator.header("tinyconfig", request)
        #expect(header.contains("tinyconfig and configs/x.config"))
        #expect(header.split(separator: "\n").allSatisfy { $0.hasPrefix("#") })
    }

    @Test func onlyWhatKconfigReadsIsAnInput() {
        for path in ["Kconfig", "fs/ext4/Kconfig", "lib/Kconfig.debug", "scripts/gcc-version.sh", "arch/x86/Makefile"] {
            #expect(KernelConfigurator.reads(treeFile: path), "\(path)")
        }
        for path in ["kernel/sys.c", "kernel/Makefile", "include/linux/syscalls.h", "arch/x86/kernel/Makefile.c"] {
            #expect(!KernelConfigurator.reads(treeFile: path), "\(path)")
        }
    }
}

@Suite struct ConfigLineEndTests {
    @Test(arguments: ["\n", "\r\n"]) func readsEveryOptionWhateverEndsTheLines(end: String) throws {
        let lines = ["# made on another system", "CONFIG_64BIT=y", "# CONFIG_SMP is not set", "CONFIG_PRINTK=y"]
        let fragment = try ConfigFragment(parsing: lines.map { $0 + end }.joined(), file: "x.config")
        #expect(fragment.entries.map(\.text) == Array(lines.dropFirst()))
        #expect(fragment.entries.map(\.line) == [2, 3, 4])
    }

    @Test func readsMixedEndsAndMarks() throws {
        let text = "\u{FEFF}CONFIG_A=y\n# comment\r\nCONFIG_B=\"x y\"\r\n\r\nCONFIG_C=m"
        let fragment = try ConfigFragment(parsing: text, file: "x.config")
        #expect(fragment.entries.map(\.text) == ["CONFIG_A=y", "CONFIG_B=\"x y\"", "CONFIG_C=m"])
    }

    @Test func namesTheLineWithAReturnInIt() {
        #expect(throws: Failure.self) { try ConfigFragment(parsing: "CONFIG_A=y\n# b\rCONFIG_C=y\n", file: "x.config") }
    }
}
