// SPDX-License-Identifier: Apache-2.0
import SystemPackage

/// The contents of a guest's root file system, as a `rootfs/*.yaml` file defines them.
///
/// Guest paths are absolute; modes are permission bits. Everything belongs to root.
public struct RootFilesystemDefinition: Sendable, Equatable {
    /// A file copied from the host.
    public struct File: Sendable, Equatable {
        /// The host's file.
        public var source: FilePath
        /// The permission bits in the guest.
        public var mode: UInt32

        /// Creates a file.
        public init(source: FilePath, mode: UInt32 = 0o755) {
            self.source = source
            self.mode = mode
        }
    }

    /// A file whose contents are in the definition.
    public struct Text: Sendable, Equatable {
        /// The whole contents.
        public var contents: String
        /// The permission bits in the guest.
        public var mode: UInt32

        /// Creates a text file.
        public init(_ contents: String, mode: UInt32 = 0o644) {
            self.contents = contents
            self.mode = mode
        }
    }

    /// The program that the kernel starts, on the host; nil when the caller provides it, or busybox is init.
    public var initProgram: FilePath?
    /// A static busybox on the host, installed with a link for each of its applets; nil for none.
    public var busybox: FilePath?
    /// Whether the shared libraries that a Swift Testing bundle needs are installed.
    public var includesSwiftRuntime: Bool
    /// Folders and their modes. Folders above an entry are added automatically, with mode 0755.
    public var folders: [String: UInt32]
    /// Symbolic links and their targets.
    public var links: [String: String]
    /// Files from the host.
    public var files: [String: File]
    /// Files whose contents are in the definition.
    public var texts: [String: Text]

    /// Creates a definition.
    public init(
        initProgram: FilePath? = nil, busybox: FilePath? = nil, includesSwiftRuntime: Bool = false,
        folders: [String: UInt32] = [:], links: [String: String] = [:], files: [String: File] = [:],
        texts: [String: Text] = [:]
    ) {
        self.initProgram = initProgram
        self.busybox = busybox
        self.includesSwiftRuntime = includesSwiftRuntime
        self.folders = folders
        self.links = links
        self.files = files
        self.texts = texts
    }
}
