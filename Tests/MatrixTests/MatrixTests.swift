// SPDX-License-Identifier: Apache-2.0
import Processes
import ProjectFixture
import Testing

/// Every call on every kernel and machine: `make matrix` runs this and prints the table.
@Suite("matrix", .serialized, .matrix, .tags(.campaign), .costly, .timeLimit(.minutes(1200)))
struct MatrixTests {
    /// The project of the integration tests, whose kernels are used here too.
    private let fixture: Fixture
    /// Nil means the unchanged project file.
    private static let profiles: [String?] = [nil, "msgbox-strict"]

    init() throws {
        fixture = try Fixture()
    }

    @Test("the correct calls pass", arguments: Place.all, Self.profiles)
    func correct(place: Place, profile: String?) async throws {
        let run = try await fixture.report(
            ["run"] + place.arguments + (profile.map { ["--profile", $0] } ?? []))
        let rows = Matrix.rows(of: run, at: place)
        await Matrix.shared.add(rows)
        #expect(run.exitCode == 0)
        #expect(rows.count >= 9)
        for row in rows {
            #expect(row.passed > 0 && row.failed == 0, "\(row.folder)")
            #expect(row.skipped == 0 || place.machine == "UML", "\(row.folder): \(row.remark)")
        }
    }

    @Test("the correct calls pass in a kernel with every checker, and leak nothing", arguments: Place.kernels)
    func checked(kernel: String) async throws {
        let run = try await fixture.report("run", "--profile", "checks", "--kernel", "linux-source-\(kernel)")
        let rows = Matrix.rows(of: run, at: Place(kernel: kernel, machine: "checks"))
        await Matrix.shared.add(rows)
        #expect(run.exitCode == 0)
        #expect(Set(run.tests.values) == ["passed"])
        #expect(run.tests["LeakTests.LeakTests/failures()"] == "passed")
        #expect((run.json["crashes"] as? [[String: Any]] ?? []).isEmpty)
    }

    @Test("the calls as published get their verdict", arguments: PublishedCall.all, Place.all)
    func published(call: PublishedCall, place: Place) async throws {
        guard let codes = place.machine == "UML" ? call.umlCodes : call.codes else {
            let remark = "\(call.profile): \(call.umlReason)"
            await Matrix.shared.add([.init(folder: call.folder, place: place, skipped: 1, remark: remark)])
            return
        }
        let arguments = ["run", "--profile", call.profile] + place.arguments
        var run = try await fixture.report(arguments)
        // On a busy host the guest's CPUs may hardly run at the same time, and then a race is not run.
        for _ in 0..<4 where run.exitCode == 0 { run = try await fixture.report(arguments) }
        let titles = (run.json["crashes"] as? [[String: Any]] ?? []).compactMap { $0["title"] as? String }
        let statuses = Array(run.tests.values)
        let verdict = run.exitCode.map { "exit \($0)" } ?? "\(run.result.status)"
        let row = Matrix.Row(
            folder: call.folder, place: place, passed: statuses.count { $0 == "passed" },
            failed: statuses.count { !["passed", "skipped"].contains($0) },
            skipped: statuses.count { $0 == "skipped" },
            remark: (["\(call.profile): \(verdict)"] + titles.prefix(1)).joined(separator: ", "))
        await Matrix.shared.add([row])
        #expect(codes.contains(run.exitCode ?? -1))
        if let title = call.title, place.machine == "QEMU" {
            #expect(titles.contains { $0.contains(title) }, "\(titles)")
        }
    }
}

/// Prints the table after the suite's last test.
struct MatrixTrait: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await function()
        if CostTrait.isWanted(.campaign) { print("\n" + (await Matrix.shared.table) + "\n") }
    }
}

extension Trait where Self == MatrixTrait {
    static var matrix: Self { Self() }
}
