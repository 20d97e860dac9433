// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Writes a Swift file whose constants are the contents of text files: `TemplateEmbedder OUTPUT ROOT PATH...`.
@main
enum TemplateEmbedder {
    static func main() throws {
        let arguments = CommandLine.arguments
        let output = URL(fileURLWithPath: arguments[1])
        let root = URL(fileURLWithPath: arguments[2])
        var text = "let carriedFiles: [(path: String, text: String)] = [\n"
        for path in arguments.dropFirst(3) {
            let contents = try String(contentsOf: root.appending(path: path), encoding: .utf8)
            // More number signs than follow quotation marks in any file. The newline before the closing ones is not
            // part of the text.
            text += "(\"\(path)\", #####\"\"\"\n\(contents)\n\"\"\"#####),\n"
        }
        try (text + "]\n").write(to: output, atomically: true, encoding: .utf8)
    }
}
