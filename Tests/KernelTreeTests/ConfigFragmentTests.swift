// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Testing

@testable import KernelConfig

@Suite(.timeLimit(.minutes(30)))
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

    @Test func whatKbuildSetsOnItsOwnIsToldWithWhatItWas() throws {
        let guest = try ConfigFragment(parsing: "CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=y\n", file: "guest.config")
            .supported(isListed: true)
        let own = try ConfigFragment(parsing: "CONFIG_D=y\n", file: "--set").supported(isListed: false)
        let base = ConfigFile(parsing: "CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\n")
        let request = ConfigRequest.merge([guest, own], base: .file(name: ".config", text: ""))
        let config = ConfigFile(parsing: "CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=y\nCONFIG_D=y\n")
        #expect(
            request.changes(of: base, to: config) == [
                "guest.config: set in .config: CONFIG_B=y (it was m), CONFIG_C=y"
            ])
        // There is no note about options that were requested by name, or were there.
        #expect(request.changes(of: config, to: config).isEmpty)
        #expect(ConfigRequest.merge([own]).changes(of: base, to: config).isEmpty)
        // Whether kbuild adds what an option depends on makes another configuration.
        let plain = try ConfigFragment(parsing: "CONFIG_D=y\n", file: "--set")
        #expect(ConfigRequest.merge([plain]).text != ConfigRequest.merge([own]).text)
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
        let header = KernelConfigurator.header(request)
        #expect(header.contains("tinyconfig and configs/x.config"))
        #expect(header.split(separator: "\n").allSatisfy { $0.hasPrefix("#") })
    }

    @Test func anOptionalEntryIsBuiltInAndYieldsToADemand() throws {
        let own = try ConfigFragment(parsing: "CONFIG_A=m\n# CONFIG_B is not set\n", file: "own")
        let tree = try ConfigFragment(parsing: "CONFIG_A=y\nCONFIG_B=y\nCONFIG_C=m\n", file: "tree").optional
        let request = ConfigRequest.merge([own, tree])
        #expect(request.entries.map(\.value) == [.module, .no, .yes])
        #expect(request.entries.map(\.isOptional) == [false, false, true])
        // A demand that comes later holds as well, and what is demanded has another key than what is wished for.
        #expect(ConfigRequest.merge([tree, own]).entries.map(\.value) == [.module, .no, .yes])
        let demanded = ConfigRequest.merge([try ConfigFragment(parsing: "CONFIG_C=y\n", file: "f")])
        let wished = ConfigRequest.merge([try ConfigFragment(parsing: "CONFIG_C=y\n", file: "f").optional])
        #expect(demanded.text != wished.text)
    }

    @Test func theBaseIsPartOfTheRequestsText() throws {
        let fragment = try ConfigFragment(parsing: "CONFIG_B=y\n", file: "f")
        let bases: [ConfigBase] = [
            .smallest, .target("defconfig"), .file(name: "/boot/config", text: "CONFIG_A=y\n"),
            .file(name: "/boot/config", text: "CONFIG_A=m\n"),
            .localModules(name: "/boot/config", text: "CONFIG_A=m\n", modules: "ext4 0 0\n"),
            .localModules(name: "/boot/config", text: "CONFIG_A=m\n", modules: "xfs 0 0\n"),
        ]
        let texts = bases.map { ConfigRequest.merge([fragment], base: $0).text }
        #expect(Set(texts).count == bases.count)
        #expect(texts[0] == "CONFIG_B=y\n")
        // What is not an option is a comment to kconfig, whatever the file is called.
        let odd = ConfigRequest.merge([fragment], base: .file(name: "a\nCONFIG_C=y", text: "")).text
        #expect(odd.split(separator: "\n").filter { !$0.hasPrefix("#") } == ["CONFIG_B=y"])
        #expect(
            bases.map(\.targets) == [
                ["tinyconfig"], ["defconfig"], [], [], ["olddefconfig", "localmodconfig"],
                ["olddefconfig", "localmodconfig"],
            ])
    }

    @Test func aBuildsObstaclesAreNamedWithAWayOut() throws {
        let config = ConfigFile(
            parsing: """
                CONFIG_SYSTEM_TRUSTED_KEYS="debian/certs/debian-uefi-certs.pem"
                CONFIG_SYSTEM_REVOCATION_KEYS=""
                CONFIG_MODULE_SIG_KEY="certs/signing_key.pem"
                CONFIG_DEBUG_INFO_BTF=y
                """)
        func obstacles(files: [String] = [], tools: [String] = []) -> [ConfigObstacle] {
            ConfigObstacle.all(in: config, hasFile: { files.contains($0) }, hasTool: { tools.contains($0) })
        }
        #expect(obstacles().map(\.line) == ["CONFIG_SYSTEM_TRUSTED_KEYS=\"\"", "# CONFIG_DEBUG_INFO_BTF is not set"])
        #expect(obstacles(files: ["debian/certs/debian-uefi-certs.pem"], tools: ["pahole"]).isEmpty)
        let request = ConfigRequest.merge([
            try ConfigFragment(parsing: "\nCONFIG_DEBUG_INFO_BTF=y\n", file: "my.config"),
            try ConfigFragment(parsing: "CONFIG_SYSTEM_TRUSTED_KEYS=\"x\"\n", file: "certs.config"),
        ])
        let pahole = ConfigObstacle.failure(obstacles(files: ["debian/certs/debian-uefi-certs.pem"]), request)
        #expect(pahole.code == .build)
        #expect(pahole.message == "my.config:2: CONFIG_DEBUG_INFO_BTF needs pahole, which is not installed")
        #expect(pahole.nextStep == "apt-get install dwarves")
        let both = ConfigObstacle.failure(obstacles(), request)
        #expect(both.details?.contains("certs.config:1: CONFIG_SYSTEM_TRUSTED_KEYS names debian/certs") == true)
        #expect(both.nextStep?.contains("write CONFIG_SYSTEM_TRUSTED_KEYS=\"\" in the last fragment") == true)
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

@Suite(.timeLimit(.minutes(30))) struct ConfigLineEndTests {
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
