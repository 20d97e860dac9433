// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import Patching
import Testing

@testable import KernelConfig
@testable import KernelMake

@Suite(.timeLimit(.minutes(30)))
struct ConfigExpressionTests {
    private func parse(_ text: String) throws -> KconfigExpression {
        try #require(KconfigParser.expression(KconfigToken.tokens(of: text)))
    }

    private let config = ConfigFile(
        parsing: "CONFIG_Y=y\nCONFIG_M=m\nCONFIG_TEXT=\"abc\"\nCONFIG_NUMBER=12\nCONFIG_HEX=0x10\n")

    @Test(arguments: [
        ("Y", "y"), ("M", "m"), ("N", "n"), ("!Y", "n"), ("!M", "m"), ("!N", "y"), ("Y && M", "m"), ("Y || M", "y"),
        ("N || M", "m"), ("N && Y || Y", "y"), ("N && (Y || Y)", "n"), ("!(N || M)", "m"), ("y", "y"), ("n", "n"),
        ("M = m", "y"), ("M != y", "y"), ("Y=y", "y"), ("N = n", "y"), ("TEXT = \"abc\"", "y"), ("TEXT != \"x\"", "y"),
        ("NUMBER >= 12", "y"), ("NUMBER < 9", "n"), ("HEX = 16", "y"), ("NUMBER > 100", "n"), ("M = Y", "n"),
        ("Y && N = n", "y"),
    ])
    func evaluatesAsKconfigDoes(text: String, expected: String) throws {
        #expect(try parse(text).value(in: config)?.description == expected)
    }

    @Test func whatHangsOnAProgramIsUnknown() throws {
        #expect(try parse("$(cc-option,-fa=(b),c)").value(in: config) == nil)
        #expect(try parse("Y && $(cc-option,-x)").value(in: config) == nil)
        #expect(try parse("N && $(cc-option,-x)").value(in: config) == .no)
        #expect(try parse("Y || $(cc-option,-x)").value(in: config) == .yes)
    }

    @Test(arguments: [
        "A && B || C", "A && (B || C)", "!(A && B)", "A = \"x\" && B != y", "!A || B >= 12",
    ])
    func printsWithTheParenthesesThatItNeeds(text: String) throws {
        #expect(try parse(text).description == text)
        #expect(try parse(parse(text).description) == parse(text))
    }

    @Test func tokensEndAtAComment() {
        #expect(
            KconfigToken.tokens(of: "bool \"a # b\" if X # c") == [
                .word("bool"), .text("a # b"), .word("if"), .word("X"),
            ])
    }
}

@Suite(.timeLimit(.minutes(30)))
struct ConfigKconfigTests {
    private static let files = [
        "Kconfig": """
        mainmenu "Test"

        source "arch/$(SRCARCH)/Kconfig"

        config MODULES
        \tbool "Modules"
        \tmodules

        menu "Devices"
        \tdepends on HAS_IO

        config PCI
        \tbool "PCI"
        \tdepends on HAVE_PCI
        \thelp
        \t  A bus.

        \t  config NOT_AN_OPTION in a help text

        if PCI

        menuconfig VIRTIO_PCI
        \ttristate "Virtio" if EXPERT
        \tdepends on \\
        \t\tVIRTIO_MENU || FOO = "x"
        \tselect VIRTIO

        endif # PCI

        config VIRTIO
        \ttristate

        choice
        \tprompt "Compression"
        \tdefault GZIP

        config GZIP
        \tbool "gzip"

        config LZ4
        \tbool "lz4"

        endchoice

        config CPUS
        \tint "CPUs"
        \trange 2 LIMIT

        config LIMIT
        \tint
        \tdefault 64

        config KASAN
        \tbool "KASAN"
        \tdepends on $(cc-option,-fsanitize=kernel-address)

        config BTF
        \tbool "BTF"
        \tdepends on PAHOLE_VERSION >= 121

        config PAHOLE_VERSION
        \tint

        endmenu
        """,
        "arch/x86/Kconfig": """
        config HAVE_PCI
        \tdef_bool y
        config HAS_IO
        \tdef_bool y
        config X86
        \tdef_bool y
        \tselect HAVE_PCI if BOARD
        config BOARD
        \tbool "Board"
        config VIRTIO_MENU
        \tbool "Virtio drivers"
        config EXPERT
        \tbool "Expert"
        """,
    ]

    private let tree = KconfigTree(variables: KernelArchitecture.x86_64.kconfigVariables) { files[$0] }

    private func explain(_ line: String, _ config: String) throws -> [String] {
        let entry = try #require(try ConfigFragment(parsing: line, file: "f").entries.first)
        return ConfigCheck(tree: tree, config: ConfigFile(parsing: config)).explain(entry)
    }

    @Test func readsDefinitionsWithWhatEnclosesThem() throws {
        #expect(
            Set(tree.definitions.keys) == [
                "MODULES", "PCI", "VIRTIO_PCI", "VIRTIO", "GZIP", "LZ4", "CPUS", "LIMIT", "KASAN", "HAVE_PCI", "HAS_IO",
                "X86", "BOARD", "VIRTIO_MENU", "EXPERT", "BTF", "PAHOLE_VERSION",
            ])
        let virtio = try #require(tree.definitions["VIRTIO_PCI"]?.first)
        #expect(
            virtio.dependencies.map(\.description) == ["HAS_IO", "PCI", "VIRTIO_MENU || FOO = \"x\""])
        #expect(virtio.promptConditions.map(\.description) == ["EXPERT"])
        #expect(virtio.type == "tristate")
        #expect(virtio.place == "Kconfig:22")
        #expect(tree.definitions["VIRTIO"]?.first?.hasPrompt == false)
        #expect(tree.selections["VIRTIO"]?.map(\.by) == ["VIRTIO_PCI"])
        #expect(tree.definitions["LZ4"]?.first?.choice == tree.definitions["GZIP"]?.first?.choice)
        #expect(tree.definitions["CPUS"]?.first?.choice == nil)
    }

    @Test func namesTheUnmetDependenciesAndTheirValues() throws {
        #expect(
            try explain("CONFIG_VIRTIO_PCI=y", "CONFIG_HAS_IO=y\nCONFIG_EXPERT=y\nCONFIG_VIRTIO_MENU=y\n")
                == ["needs PCI, which is n", "(Kconfig:22)"])
        let reasons = try explain("CONFIG_VIRTIO_PCI=y", "CONFIG_HAS_IO=y\nCONFIG_EXPERT=y\nCONFIG_PCI=y\n")
        #expect(
            reasons.first
                == "needs VIRTIO_MENU || FOO = \"x\", but VIRTIO_MENU is n, FOO is n (this kernel has no such option)")
        #expect(
            try explain("CONFIG_PCI=y", "CONFIG_HAS_IO=y\n").first == "needs HAVE_PCI, which is n (selected by X86)")
        #expect(try explain("CONFIG_KASAN=y", "CONFIG_HAS_IO=y\n").first?.contains("$(cc-option") == true)
    }

    @Test func aPromptsConditionCounts() throws {
        let config = "CONFIG_HAS_IO=y\nCONFIG_PCI=y\nCONFIG_VIRTIO_MENU=y\n"
        #expect(try explain("CONFIG_VIRTIO_PCI=y", config).first == "needs EXPERT, which is n")
    }

    @Test func namesWhatIsNotTheUsersToSet() throws {
        #expect(
            try explain("CONFIG_VIRTIO=y", "CONFIG_HAS_IO=y\n") == [
                "it cannot be set, only selected by another option", "it is selected by CONFIG_VIRTIO_PCI",
            ])
        #expect(
            try explain("CONFIG_VIRTIO=n", "CONFIG_VIRTIO=y\nCONFIG_VIRTIO_PCI=y\n")
                == ["it is selected by CONFIG_VIRTIO_PCI"])
    }

    @Test func explainsUnknownOptionsChoicesRangesTypesAndModules() throws {
        let config = "CONFIG_HAS_IO=y\nCONFIG_GZIP=y\nCONFIG_LIMIT=64\nCONFIG_CPUS=64\n"
        #expect(
            try explain("CONFIG_VIRTIO_PIC=y", config).first?.hasPrefix(
                "this kernel has no such option; similar: CONFIG_VIRTIO_PCI") == true)
        #expect(
            try explain("CONFIG_LZ4=y", config) == ["it is one of a choice, and CONFIG_GZIP is the one that is chosen"])
        #expect(try explain("CONFIG_CPUS=1000", config) == ["its range is 2 to 64 (LIMIT)"])
        #expect(try explain("CONFIG_PCI=m", config) == ["the option is of type bool: its value is y or n"])
        #expect(try explain("CONFIG_CPUS=y", config) == ["the option is of type int: its value is a number"])
        #expect(
            try explain("CONFIG_VIRTIO_PCI=m", config + "CONFIG_VIRTIO_PCI=y\n") == ["m needs MODULES, which is n"])
    }

    @Test func theFailureSaysWhereWhatAndWhatToAdd() throws {
        let request = ConfigRequest.merge([
            try ConfigFragment(parsing: "CONFIG_BOARD=y\n\nCONFIG_VIRTIO_PCI=y\n# CONFIG_FOO is not set\n", file: "f")
        ])
        let config = ConfigFile(
            parsing: "CONFIG_BOARD=y\nCONFIG_HAS_IO=y\nCONFIG_EXPERT=y\nCONFIG_VIRTIO_MENU=y\n")
        let dropped = ConfigCheck.dropped(request, in: config)
        #expect(dropped.map(\.name) == ["VIRTIO_PCI"])
        let failure = ConfigCheck(tree: tree, config: config).failure(for: dropped)
        #expect(failure.code == .build)
        #expect(failure.details?.hasPrefix("f:3: CONFIG_VIRTIO_PCI=y is asked for; .config has n\n  needs PCI") == true)
        #expect(failure.nextStep == "add CONFIG_PCI=y to f, or remove the lines")
    }

    @Test func theAdviceIsCompleteWhenFollowedOnce() throws {
        let request = ConfigRequest.merge([try ConfigFragment(parsing: "CONFIG_VIRTIO_PCI=y\n", file: "f")])
        let config = ConfigFile(parsing: "CONFIG_HAS_IO=y\n")
        let failure = ConfigCheck(tree: tree, config: config).failure(for: request.entries)
        // PCI needs HAVE_PCI, which BOARD selects by way of X86; the prompt needs EXPERT.
        for option in ["CONFIG_PCI=y", "CONFIG_VIRTIO_MENU=y", "CONFIG_EXPERT=y"] {
            #expect(failure.nextStep?.contains(option) == true, "\(failure.nextStep ?? "")")
        }
    }

    @Test func aMissingToolIsNamedAndNotTheOptionThatItSets() throws {
        let config = ConfigFile(parsing: "CONFIG_HAS_IO=y\nCONFIG_PAHOLE_VERSION=0\n")
        let own = ConfigRequest.merge([try ConfigFragment(parsing: "CONFIG_BTF=y\n", file: "f")])
        let check = ConfigCheck(tree: tree, config: config)
        let failure = check.failure(for: own.entries)
        #expect(failure.details?.contains("pahole") == true)
        #expect(failure.nextStep == "apt-get install dwarves")
        #expect(own.entries.allSatisfy { !check.followsFromTools($0, own) })
        // In a whole configuration no fragment requested it.
        let whole = ConfigRequest.merge([
            try ConfigFragment(
                parsing: "CONFIG_CC_VERSION_TEXT=\"gcc 14\"\nCONFIG_PAHOLE_VERSION=125\nCONFIG_BTF=y\nCONFIG_PCI=y\n",
                file: "/boot/config")
        ])
        #expect(
            whole.entries.filter { check.followsFromTools($0, whole) }.map(\.name)
                == ["CC_VERSION_TEXT", "PAHOLE_VERSION", "BTF"])
        let dropped = ConfigCheck.dropped(whole, in: config)
        #expect(
            check.notes(on: whole, dropped: dropped).contains {
                $0.contains("CONFIG_BTF") && $0.contains("kernel.base")
            })
    }

    @Test func aFileThatSourcesItselfEnds() {
        let tree = KconfigTree(variables: [:]) { _ in "config A\n\tbool \"a\"\nsource \"Kconfig\"\n" }
        #expect(tree.definitions.keys.contains("A"))
    }
}
