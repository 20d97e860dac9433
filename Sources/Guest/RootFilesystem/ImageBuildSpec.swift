// SPDX-License-Identifier: Apache-2.0
import Foundation

/// The instructions for the process that drives libguestfs, passed as a JSON file.
struct ImageBuildSpec: Codable, Equatable {
    /// The archives with everything that goes into the image, in the order in which they are unpacked.
    var archives: [String]
    /// The image to write. It does not exist yet.
    var image: String
    /// The image's size in bytes, a multiple of `blockSize`.
    var size: Int64
    /// How many inodes the file system gets.
    var inodes: Int64
    /// The file system's UUID.
    var uuid: String
    /// Whether the appliance must not use KVM.
    var forcesTCG: Bool
    /// The folder of the appliance that libguestfs makes from the host's files.
    var cacheFolder: String
    /// The folder for libguestfs's temporary files.
    var temporaryFolder: String
    /// The file for all messages of the library and the appliance.
    var log: String
    /// Paths that must exist in the finished file system.
    var expected: [String]

    /// The file system's block size in bytes: Linux's page size, so that a page is one block.
    static let blockSize = 4096
    /// The file system's label.
    static let label = "kbuild-root"
}

/// The messages of that process to its parent: one line each on standard output.
enum ImageBuildMessage: Codable, Equatable {
    /// The step that begins.
    case step(String)
    /// The progress of the step, in its own units.
    case advance(done: Int, total: Int)
    /// It failed: one sentence, and the library's own message.
    case failed(message: String, details: String)

    private static let prefix = "kbuild-image "

    /// The line, without a newline.
    var line: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        guard let json = try? encoder.encode(self) else { return Self.prefix + "{}" }
        return Self.prefix + String(decoding: json, as: UTF8.self)
    }

    /// Parses a line; nil for another line, such as a message of libguestfs or QEMU on standard error.
    init?(line: String) {
        guard line.hasPrefix(Self.prefix),
            let message = try? JSONDecoder().decode(
                ImageBuildMessage.self, from: Data(line.dropFirst(Self.prefix.count).utf8))
        else { return nil }
        self = message
    }
}
