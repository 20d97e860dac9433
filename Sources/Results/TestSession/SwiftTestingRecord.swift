// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A record of Swift Testing's event stream, version 6.3: the fields that kbuild reads.
struct SwiftTestingRecord: Decodable {
    struct Location: Decodable {
        var fileID: String?
        var filePath: String?
        var line: Int?
    }

    struct Payload: Decodable {
        struct Instant: Decodable {
            /// Seconds of the guest's monotonic clock.
            var absolute: Double
        }
        struct Issue: Decodable {
            var isKnown: Bool?
            var isFailure: Bool?
            var severity: String?
            var sourceLocation: Location?
        }
        struct Message: Decodable {
            var symbol: String
            var text: String
        }
        var kind: String
        var id: String?
        var displayName: String?
        var name: String?
        /// For a test: whether it runs once for each of its arguments.
        var isParameterized: Bool?
        var sourceLocation: Location?
        var instant: Instant?
        var testID: String?
        var issue: Issue?
        var messages: [Message]?
    }

    var kind: String
    var payload: Payload

    /// The kinds of event that Swift 6.3 writes. An event of another kind may mean that a test did not do its work, so
    /// kbuild does not ignore it.
    static let eventKinds: Set<String> = [
        "runStarted", "testStarted", "testCaseStarted", "issueRecorded", "valueAttached", "testCaseCancelled",
        "testCaseEnded", "testCancelled", "testSkipped", "testEnded", "runEnded",
    ]
}

/// The name of a test as `--list-tests` prints it: an event's test ID without the source location at its end.
///
/// An ID reads `Module.Suite/function()/File.swift:LINE:COLUMN`.
func listedName(ofTestID id: String) -> String {
    guard let slash = id.lastIndex(of: "/") else { return id }
    let location = id[id.index(after: slash)...].split(separator: ":")
    guard location.count == 3, Int(location[1]) != nil, Int(location[2]) != nil else { return id }
    return String(id[..<slash])
}
