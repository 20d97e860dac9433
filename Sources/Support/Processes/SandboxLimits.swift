// SPDX-License-Identifier: Apache-2.0

extension Sandbox {
    /// The most that a command may use.
    public struct Limits: Sendable, Hashable {
        /// Seconds of one process's processor time; nil for no limit.
        public var cpuSeconds: Int?
        /// Bytes of one process's address space; nil for no limit.
        public var memoryBytes: Int?
        /// Bytes of one file.
        public var fileBytes = 4 << 30
        /// Processes and threads at one time.
        public var processes = 2048
        /// Seconds until the command is ended; nil for no limit.
        public var seconds: Int?
        /// Bytes in all writable folders together; nil for no limit.
        public var diskBytes: Int?
        /// Files in all writable folders together.
        public var files = 500_000
        /// Bytes that the command may print.
        public var outputBytes = 256 << 20

        /// The limits of a build. A kernel with every checker and debug information needs a tenth of them.
        public static let build = Limits(
            cpuSeconds: 3600, memoryBytes: 16 << 30, seconds: 2 * 3600, diskBytes: 24 << 30)
        /// The limits of a virtual machine. The session limits its time, and the command line its memory.
        public static let machine = Limits()
    }
}
