// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import RootFilesystem

@Suite("libguestfs", .timeLimit(.minutes(30)))
struct GuestfsTests {
    @Test("kbuild loads the library when it makes an image, with all the calls that it uses, and can open a handle")
    func loading() throws {
        let session = try GuestfsSession(
            events: GuestfsSession.Events(log: FileHandle.nullDevice, onProgress: { _, _ in }))
        #expect(session.version.first?.isNumber == true)
        // An appliance that was never started answers no call, and the library says so.
        let failure = #expect(throws: (any Error).self) { try session.exists("/") }
        #expect("\(String(describing: failure))".contains("libguestfs cannot look at /"))
    }
}
