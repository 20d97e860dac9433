// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Foundation
import Testing
import Yams

@testable import kbuild

/// The examples in docs/ci are of their formats, and name flags that there are.
@Suite("CI examples", .timeLimit(.minutes(30)))
struct ContinuousIntegrationTests {
    private static let github = "github-actions.yml"
    private static let gitlab = "gitlab-ci.yml"

    private func example(_ name: String) throws -> Node {
        try #require(try Yams.compose(yaml: text("docs/ci/\(name)")))
    }

    private func text(_ path: String) throws -> String {
        let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try String(contentsOf: repository.appending(path: path), encoding: .utf8)
    }

    /// Checks that a map has keys of a set alone.
    private func check(_ node: Node?, _ keys: Set<String>, at place: String) {
        guard let mapping = node?.mapping else {
            Issue.record("\(place) is no map")
            return
        }
        for key in mapping.keys.compactMap(\.string) { #expect(keys.contains(key), "\(place).\(key)") }
    }

    /// docs.github.com: Workflow syntax for GitHub Actions.
    @Test("the workflow has GitHub's keys, and every step is an action or a script")
    func githubKeys() throws {
        let root = try example(Self.github)
        check(
            root, ["name", "run-name", "on", "permissions", "env", "defaults", "concurrency", "jobs"], at: "workflow")
        check(root["concurrency"], ["group", "cancel-in-progress"], at: "concurrency")
        let jobs = try #require(root["jobs"]?.mapping)
        for (name, job) in jobs {
            let place = "jobs.\(name.string ?? "")"
            check(
                job,
                [
                    "name", "permissions", "needs", "if", "runs-on", "environment", "concurrency", "outputs", "env",
                    "defaults", "steps", "timeout-minutes", "strategy", "continue-on-error", "container", "services",
                ], at: place)
            #expect(job["runs-on"] != nil)
            for (index, step) in (job["steps"]?.sequence.map(Array.init) ?? []).enumerated() {
                check(
                    step,
                    [
                        "id", "if", "name", "uses", "run", "shell", "with", "env", "continue-on-error",
                        "timeout-minutes", "working-directory",
                    ], at: "\(place).steps[\(index)]")
                #expect((step["uses"] == nil) != (step["run"] == nil), "\(place).steps[\(index)]")
            }
        }
    }

    /// docs.gitlab.com: CI/CD YAML syntax reference.
    @Test("the pipeline has GitLab's keys, and its stages exist")
    func gitlabKeys() throws {
        let root = try example(Self.gitlab)
        let global: Set<String> = ["default", "include", "stages", "variables", "workflow", "spec"]
        let stages = root["stages"]?.sequence?.compactMap(\.string) ?? []
        for (name, job) in try #require(root.mapping) where !global.contains(name.string ?? "") {
            let place = name.string ?? ""
            check(
                job,
                [
                    "after_script", "allow_failure", "artifacts", "before_script", "cache", "coverage", "dependencies",
                    "environment", "extends", "id_tokens", "image", "inherit", "interruptible", "needs", "parallel",
                    "release", "resource_group", "retry", "rules", "script", "secrets", "services", "stage", "tags",
                    "timeout", "trigger", "variables", "when",
                ], at: place)
            #expect(stages.contains(job["stage"]?.string ?? ""))
            #expect(job["script"]?.sequence?.isEmpty == false)
            check(
                job["cache"], ["paths", "key", "untracked", "unprotect", "when", "policy", "fallback_keys"],
                at: "\(place).cache")
            check(job["cache"]?["key"], ["files", "prefix"], at: "\(place).cache.key")
            // GitLab takes two at most.
            #expect((job["cache"]?["key"]?["files"]?.sequence?.count ?? 0) <= 2)
            check(
                job["artifacts"],
                [
                    "paths", "exclude", "expire_in", "expose_as", "name", "public", "access", "reports", "untracked",
                    "when",
                ], at: "\(place).artifacts")
            for rule in job["rules"]?.sequence.map(Array.init) ?? [] {
                check(
                    rule, ["if", "changes", "exists", "when", "allow_failure", "variables", "needs", "interruptible"],
                    at: "\(place).rules")
            }
        }
    }

    /// All scalars of a document.
    private func scalars(_ node: Node) -> [String] {
        switch node {
        case .scalar(let scalar): [scalar.string]
        case .sequence(let sequence): sequence.flatMap(scalars)
        case .mapping(let mapping): mapping.values.flatMap(scalars)
        default: []
        }
    }

    @Test("every kbuild command in them parses", arguments: [github, gitlab])
    func commands(name: String) throws {
        let commands = scalars(try example(name)).flatMap { $0.split(separator: "\n") }
            .filter { $0.hasPrefix("kbuild ") }
        #expect(commands.count >= 2)
        for command in commands {
            let words = command.split(separator: " ").dropFirst().map(String.init)
            #expect(throws: Never.self, "\(command)") { try Kbuild.parseAsRoot(words) }
        }
    }

    @Test("their artifacts are in the folder of --ci, and they cache only what a restored cache may contain")
    func places() throws {
        for name in [Self.github, Self.gitlab] {
            let text = try text("docs/ci/\(name)")
            #expect(text.contains("kbuild run --ci"))
            #expect(text.contains("kbuild-report"))
            #expect(text.contains(".kbuild-cache/store"))
            #expect(!text.contains(".kbuild-cache/sources"))
        }
        let root = try example(Self.gitlab)
        #expect(root["kernel"]?["artifacts"]?["reports"]?["junit"]?.string == "kbuild-report/junit.xml")
    }
}
