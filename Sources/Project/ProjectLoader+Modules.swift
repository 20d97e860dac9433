// SPDX-License-Identifier: Apache-2.0
import Diagnostics
import SystemPackage
import Yams

/// The kernel modules of a project.
extension ProjectLoader {
    /// Reads `modules`.
    func modules(_ node: Node?, path: (String) -> FilePath) throws(Failure) -> [Project.Module] {
        var modules: [Project.Module] = []
        for (index, entry) in (node?.sequence ?? []).enumerated() {
            guard let text = entry["path"]?.scalar?.string else {
                throw missing("path", in: "modules[\(index)]", entry)
            }
            let parameters = entry["parameters"]?.sequence?.compactMap(\.scalar?.string) ?? []
            let module = Project.Module(path: path(text), parameters: parameters)
            guard Self.isModuleName(module.name) else {
                throw error(
                    "modules[\(index)].path \(text) does not end in a name that a module can have: letters, digits, - and _",
                    at: entry["path"])
            }
            // The kernel takes - and _ for the same.
            if let other = modules.firstIndex(where: { Self.isSameModule($0.name, module.name) }) {
                throw error("modules[\(index)] has the name of modules[\(other)], \(module.name)", at: entry["path"])
            }
            for parameter in parameters where parameter.contains(where: \.isWhitespace) || !parameter.contains("=") {
                throw error(
                    "modules[\(index)].parameters has \(parameter), which is not NAME=VALUE without blanks",
                    at: entry["parameters"])
            }
            modules.append(module)
        }
        return modules
    }

    /// Finds tests whose modules cannot be loaded, or have no name.
    func checkModules(_ node: Node) throws(Failure) {
        for (index, test) in (node["tests"]?.sequence ?? []).enumerated() {
            for name in test["modules"]?.sequence?.compactMap(\.scalar?.string) ?? [] where !Self.isModuleName(name) {
                throw error(
                    "tests[\(index)].modules has \(name), which is not the name of a module", at: test["modules"])
            }
        }
    }

    /// Whether a module can have a name: init's plan and the kernel's command line have it as a word.
    private static func isModuleName(_ name: String) -> Bool {
        // MODULE_NAME_LEN of include/linux/module.h is 56 on 64 bits.
        !name.isEmpty && name.utf8.count < 56
            && name.utf8.allSatisfy { byte in
                (byte >= 0x61 && byte <= 0x7A) || (byte >= 0x41 && byte <= 0x5A) || (byte >= 0x30 && byte <= 0x39)
                    || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-")
            } && name.utf8.first != UInt8(ascii: "-")
    }

    private static func isSameModule(_ left: String, _ right: String) -> Bool {
        left.replacing("-", with: "_") == right.replacing("-", with: "_")
    }
}
