// SPDX-License-Identifier: Apache-2.0
import Artifacts
import Diagnostics
import SystemPackage
import TextInput
import YAML
import Yams

extension RootFilesystemDefinition {
    /// Reads a definition from a YAML file. Host paths in it are relative to the file's folder.
    ///
    /// - Throws: `Failure` (`usage`) with file and line for a key that is unknown or given twice, a value of the
    ///   wrong type, or a guest path that is not absolute; also when the file cannot be read.
    public static func load(_ path: FilePath) throws(Failure) -> RootFilesystemDefinition {
        let text: String
        do {
            text = try TextInput(path.string, as: "a root file system definition").text(of: path)
        } catch {
            throw Failure(
                .usage, "cannot read the root file system definition \(path)", details: "\(error)",
                nextStep: "check `rootfs` in the project file")
        }
        return try DefinitionReader(file: path).read(text)
    }
}

/// Converts YAML to a definition, and reports file and line of each mistake.
struct DefinitionReader {
    let file: FilePath

    private static let keys = ["busybox", "files", "folders", "init", "links", "swift-runtime", "texts"]

    func read(_ text: String) throws(Failure) -> RootFilesystemDefinition {
        let root = try YAMLText.compose(text, file: file.string)
        var definition = RootFilesystemDefinition()
        guard let root, root != .init("", Tag(.null)) else { return definition }
        for (key, value) in try mapping(root, of: "the definition") {
            switch key.text {
            case "init": definition.initProgram = try hostPath(value, of: "init")
            case "busybox": definition.busybox = try hostPath(value, of: "busybox")
            case "swift-runtime":
                guard let flag = value.bool else { throw wrong(value, "swift-runtime is true or false") }
                definition.includesSwiftRuntime = flag
            case "folders":
                for (path, mode) in try mapping(value, of: "folders") {
                    definition.folders[try guestPath(path)] = try self.mode(mode)
                }
            case "links":
                for (path, target) in try mapping(value, of: "links") {
                    definition.links[try guestPath(path)] = try string(target, of: "a link's target")
                }
            case "files":
                for (path, value) in try mapping(value, of: "files") {
                    definition.files[try guestPath(path)] = try hostFile(value)
                }
            case "texts":
                for (path, value) in try mapping(value, of: "texts") {
                    definition.texts[try guestPath(path)] = try textFile(value)
                }
            default: throw unknown(key, allowed: Self.keys)
            }
        }
        return definition
    }

    /// A key and its place.
    private struct Key {
        var text: String
        var node: Node
    }

    private func hostFile(_ value: Node) throws(Failure) -> RootFilesystemDefinition.File {
        if value.scalar != nil { return .init(source: try hostPath(value, of: "a file's source")) }
        var source: FilePath?
        var mode: UInt32 = 0o755
        for (key, value) in try mapping(value, of: "a file") {
            switch key.text {
            case "source": source = try hostPath(value, of: "source")
            case "mode": mode = try self.mode(value)
            default: throw unknown(key, allowed: ["mode", "source"])
            }
        }
        guard let source else { throw wrong(value, "a file needs its source") }
        return .init(source: source, mode: mode)
    }

    private func textFile(_ value: Node) throws(Failure) -> RootFilesystemDefinition.Text {
        if value.scalar != nil { return .init(try string(value, of: "a text")) }
        var contents: String?
        var mode: UInt32 = 0o644
        for (key, value) in try mapping(value, of: "a text") {
            switch key.text {
            case "contents": contents = try string(value, of: "contents")
            case "mode": mode = try self.mode(value)
            default: throw unknown(key, allowed: ["contents", "mode"])
            }
        }
        guard let contents else { throw wrong(value, "a text needs its contents") }
        return .init(contents, mode: mode)
    }

    private func mapping(_ node: Node, of what: String) throws(Failure) -> [(Key, Node)] {
        if let scalar = node.scalar, scalar.string.isEmpty { return [] }
        guard let mapping = node.mapping else { throw wrong(node, "\(what) must be a mapping of keys to values") }
        var pairs: [(Key, Node)] = []
        for (key, value) in mapping {
            guard let text = key.scalar?.string else { throw wrong(key, "a key must be a word") }
            pairs.append((Key(text: text, node: key), value))
        }
        return pairs
    }

    private func string(_ node: Node, of what: String) throws(Failure) -> String {
        guard let text = node.scalar?.string, !text.isEmpty else { throw wrong(node, "\(what) must be a text") }
        return text
    }

    private func hostPath(_ node: Node, of what: String) throws(Failure) -> FilePath {
        let path = FilePath(try string(node, of: what))
        return path.isAbsolute ? path : file.removingLastComponent().pushing(path)
    }

    private func guestPath(_ key: Key) throws(Failure) -> String {
        guard let problem = GuestTree.problem(withPath: key.text) else { return key.text }
        throw wrong(key.node, "the guest path \(key.text) \(problem)")
    }

    /// Modes are octal with or without a leading 0 or 0o, so they are read as text, not as YAML's integers.
    private func mode(_ node: Node) throws(Failure) -> UInt32 {
        let text = try string(node, of: "a mode")
        let digits = text.hasPrefix("0o") ? String(text.dropFirst(2)) : text
        guard let mode = UInt32(digits, radix: 8), mode <= 0o7777 else {
            throw wrong(node, "\(text) is not a mode: write it in octal, such as 0755")
        }
        return mode
    }

    private func unknown(_ key: Key, allowed: [String]) -> Failure {
        var failure = wrong(key.node, "unknown key \(key.text)")
        failure.nextStep = "use one of \(allowed.joined(separator: ", "))"
        return failure
    }

    private func wrong(_ node: Node, _ message: String) -> Failure {
        let place = node.mark.map { "\(file):\($0.line)" } ?? "\(file)"
        return Failure(.usage, "\(place): \(message)")
    }
}
