// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import Patching
import Processes
import SystemPackage
import Testing

@testable import KernelSource

@Suite(.timeLimit(.minutes(30)))
struct SourceParsingTests {
    private func parse(_ text: String, sha256: String? = nil) throws -> KernelSource {
        try KernelSource(parsing: text, sha256: sha256, relativeTo: "/project")
    }

    @Test func readsEachForm() throws {
        #expect(try parse("linux-source-6.1") == .debianPackage("linux-source-6.1"))
        #expect(try parse("./linux") == .directory("/project/linux"))
        #expect(try parse("../linux") == .directory("/linux"))
        #expect(try parse("/src/linux") == .directory("/src/linux"))
        #expect(try parse("linux-6.1.tar.xz") == .tarball("/project/linux-6.1.tar.xz", sha256: nil))
        #expect(try parse("git+../linux#v6.1") == .git(repository: "/linux", ref: "v6.1"))
        #expect(
            try parse("git+https://example.org/linux.git#main")
                == .git(repository: "https://example.org/linux.git", ref: "main"))
        #expect(try parse("git+user@host:linux#main") == .git(repository: "user@host:linux", ref: "main"))
    }

    @Test func aTarballNamedLikeAPackageIsATarball() throws {
        #expect(
            try parse("linux-source-6.1.tar.xz") == .tarball("/project/linux-source-6.1.tar.xz", sha256: nil))
    }

    @Test func takesADigestFromEitherPlace() throws {
        let digest = Digest.of("x")
        #expect(try parse("a.tar#sha256=\(digest)") == .tarball("/project/a.tar", sha256: digest))
        #expect(try parse("a.tgz", sha256: digest.hex.uppercased()) == .tarball("/project/a.tgz", sha256: digest))
    }

    @Test(arguments: [
        "", "linux", "6.1", "git+", "git+/linux", "git+#main", "git+/linux#", "git+--upload-pack=x#main",
        "git+/linux#--all", "linux-source-6.1;reboot", "a.tar#sha256=12", "a.tar#md5=12",
    ])
    func refusesMalformedSourcesAsUsageErrors(text: String) {
        let failure = #expect(throws: Failure.self) { try parse(text) }
        #expect(failure?.code == .usage)
        #expect(failure?.nextStep?.contains("linux-source-6.1") == true)
    }

    @Test func aDigestGoesWithATarballOnly() {
        for text in ["linux-source-6.1", "./linux", "git+/linux#main"] {
            #expect(throws: Failure.self) { try parse(text, sha256: Digest.of("x").hex) }
        }
    }

    @Test func describesWhatItReads() throws {
        for text in ["linux-source-6.12", "/src/linux", "/a.tar.zst#sha256=\(Digest.of("x"))", "git+/linux#v6.1"] {
            #expect(try parse(text).description == text)
        }
    }

    @Test func unpacksWithTheDecompressorOfTheName() {
        func arguments(_ name: String) -> [String] {
            SourceCache.unpackCommand(FilePath(name), into: "/tmp/x").arguments
        }
        #expect(arguments("a.tar.xz").contains("--use-compress-program=xz -T0"))
        #expect(arguments("a.tar.gz").contains("--gzip"))
        #expect(arguments("a.tgz").contains("--gzip"))
        #expect(arguments("a.tar.zst").contains("--zstd"))
        #expect(arguments("a.tar").contains("--fsize=1073741824"))
        #expect(
            Array(arguments("a.tar").drop { $0 != "tar" }) == [
                "tar", "--extract", "--file=a.tar", "--directory=/tmp/x", "--no-same-owner",
            ])
    }

    @Test func picksTheCommitThatGitWould() {
        let id = { (digit: Character) in String(repeating: digit, count: 40) }
        let listing = """
            \(id("a"))\trefs/heads/v1
            \(id("b"))\trefs/tags/v1
            \(id("c"))\trefs/tags/v1^{}
            \(id("d"))\trefs/heads/topic/v1
            \(id("e"))\trefs/heads/main

            """
        #expect(GitRepository.commit(named: "v1", inListing: listing) == id("c"))
        #expect(GitRepository.commit(named: "refs/heads/v1", inListing: listing) == id("a"))
        #expect(GitRepository.commit(named: "main", inListing: listing) == id("e"))
        #expect(GitRepository.commit(named: "topic", inListing: listing) == nil)
    }

    @Test func gitSeesNoRepositoryOfTheEnvironment() {
        let command = GitRepository.command(["status"], in: "/linux")
        #expect(command.environment["GIT_DIR"] == .some(nil))
        #expect(command.environment["GIT_INDEX_FILE"] == .some(nil))
        let withIndex = GitRepository.command(["status"], in: "/linux", index: "/tmp/index")
        #expect(withIndex.environment["GIT_INDEX_FILE"] == "/tmp/index")
    }
}
