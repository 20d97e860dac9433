// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Foundation
import Processes
import ProjectFixture
import SystemPackage
import Testing

extension RunTests {
    @Test("doctor: this machine is ready, with the versions found; JSON")
    func doctorReady() async throws {
        let text = try await fixture.kbuild("doctor")
        #expect(text.status == .exited(0))
        #expect(text.output.contains(/\nok +make +\d+\.\d+/))
        #expect(text.output.hasSuffix("READY: kbuild run works here\n"))
        let json = try await fixture.kbuild("doctor", "--format", "json", "--machine", "uml")
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
        #expect(object["isReady"] as? Bool == true)
        let names = (object["findings"] as? [[String: Any]] ?? []).compactMap { $0["name"] as? String }
        #expect(names.contains("make"))
        #expect(!names.contains("qemu-system-x86_64"))
    }

    @Test("doctor: a missing requirement is exit 7 with the command that installs it; an optional one is a warning")
    func doctorMissing() async throws {
        // All the tools of this machine but some.
        let folder = fixture.project.appending("tools")
        try removeAll(folder)
        try createFolder(folder)
        defer { try? removeAll(folder) }
        for place in ["/usr/sbin", "/usr/bin"] {
            for name in try namesInFolder(FilePath(place)) where !["flex", "bison", "ccache"].contains(name) {
                symlink("\(place)/\(name)", folder.appending(name).string)
            }
        }
        let swift = try CommandRunner().locate("swiftc").removingLastComponent()
        let path = "\(folder):\(swift)"
        let all = try await fixture.kbuild("doctor", environment: ["PATH": path])
        #expect(all.status == .exited(7))
        #expect(all.output.contains(/\nmissing +flex +not on PATH/))
        #expect(all.output.contains(/\nwarning +ccache +not on PATH/))
        #expect(all.output.hasSuffix("NOT READY: flex, bison\nnext: apt-get install flex bison\n"))
        // Elsewhere doctor prints the way to it.
        try removeAll(folder.appending("qemu-system-x86_64"))
        let run = try await fixture.kbuild("run", environment: ["PATH": path])
        #expect(run.status == .exited(7))
        #expect(run.errors.contains("next: apt-get install qemu-system-x86; `kbuild doctor` looks for all"))
    }
}
