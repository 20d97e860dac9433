// SPDX-License-Identifier: Apache-2.0
import CGuestfs
import Diagnostics
import Foundation

/// A libguestfs handle: see guestfs(3). Its calls block for seconds, so it needs a separate process.
final class GuestfsSession {
    private let handle: OpaquePointer
    /// The callback's context. It must outlive the handle, whose last events arrive while it is being closed.
    private let events: Events

    /// The receiver of events.
    final class Events {
        let log: FileHandle
        let onProgress: (_ done: Int, _ total: Int) -> Void

        init(log: FileHandle, onProgress: @escaping (_ done: Int, _ total: Int) -> Void) {
            self.log = log
            self.onProgress = onProgress
        }
    }

    /// Opens a handle that logs to, and reports progress through, `events`.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the library cannot make one.
    init(events: Events) throws(Failure) {
        // kbuild is not linked with it: each start would load its 60 libraries.
        if let reason = kbuild_guestfs_load() {
            throw Failure(
                .infrastructure, "libguestfs cannot be loaded", details: String(cString: reason),
                nextStep: "sudo apt-get install libguestfs0, or set rootfs: {type: initramfs}, which needs none")
        }
        guard let handle = kbuild_guestfs_create() else {
            throw Failure(
                .infrastructure, "libguestfs cannot create a handle", details: String(cString: strerror(errno)))
        }
        self.handle = handle
        self.events = events
        // guestfs_last_error returns errors; the library does not print them.
        kbuild_guestfs_set_error_handler(handle, nil, nil)
        let mask =
            UInt64(GUESTFS_EVENT_PROGRESS) | UInt64(GUESTFS_EVENT_APPLIANCE) | UInt64(GUESTFS_EVENT_LIBRARY)
            | UInt64(GUESTFS_EVENT_TRACE) | UInt64(GUESTFS_EVENT_WARNING)
        let callback: guestfs_event_callback = { _, opaque, event, _, _, buffer, length, array, arrayLength in
            guard let opaque else { return }
            let events = Unmanaged<Events>.fromOpaque(opaque).takeUnretainedValue()
            if event == UInt64(GUESTFS_EVENT_PROGRESS) {
                // Procedure, serial number, position, total.
                guard let array, arrayLength >= 4 else { return }
                events.onProgress(Int(clamping: array[2]), Int(clamping: array[3]))
            } else if let buffer, length > 0 {
                var data = Data(bytes: buffer, count: length)
                // The appliance sends pieces of lines; the library's own messages lack their newline.
                if event != UInt64(GUESTFS_EVENT_APPLIANCE) { data.append(UInt8(ascii: "\n")) }
                try? events.log.write(contentsOf: data)
            }
        }
        let context = Unmanaged.passUnretained(events).toOpaque()
        guard kbuild_guestfs_set_event_callback(handle, callback, mask, 0, context) >= 0 else {
            let reason = lastError
            kbuild_guestfs_close(handle)
            throw Failure(.infrastructure, "libguestfs takes no event callback", details: reason)
        }
    }

    deinit {
        kbuild_guestfs_close(handle)
        withExtendedLifetime(events) {}
    }

    /// The library's version, such as 1.48.6.
    var version: String {
        guard let version = kbuild_guestfs_version(handle) else { return "unknown" }
        defer { kbuild_guestfs_free_version(version) }
        return "\(version.pointee.major).\(version.pointee.minor).\(version.pointee.release)"
    }

    /// Calls a function of the library.
    ///
    /// - Parameter what: The action in the error, as in "cannot WHAT".
    /// - Throws: `Failure` (`infrastructure`) with the library's own message when the call does not return 0.
    func call(_ what: String, _ body: (OpaquePointer) -> Int32) throws(Failure) {
        guard body(handle) == 0 else {
            throw Failure(.infrastructure, "libguestfs cannot \(what)", details: lastError)
        }
    }

    /// Whether the appliance's file system has something at `path`.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the appliance does not answer.
    func exists(_ path: String) throws(Failure) -> Bool {
        let answer = kbuild_guestfs_exists(handle, path)
        guard answer >= 0 else {
            throw Failure(.infrastructure, "libguestfs cannot look at \(path)", details: lastError)
        }
        return answer == 1
    }

    private var lastError: String {
        kbuild_guestfs_last_error(handle).map { String(cString: $0) } ?? "no reason given"
    }
}

extension GuestfsSession {
    /// Configures the handle and starts the appliance.
    func launch(_ spec: ImageBuildSpec) throws {
        // Without libvirt's daemon, which containers and CI hosts do not run.
        try call("use its direct backend") { kbuild_guestfs_set_backend($0, "direct") }
        if spec.forcesTCG {
            try call("be kept from KVM") { kbuild_guestfs_set_backend_setting($0, "force_tcg", "1") }
        }
        try call("use its cache folder") { kbuild_guestfs_set_cachedir($0, spec.cacheFolder) }
        try call("use its temporary folder") { kbuild_guestfs_set_tmpdir($0, spec.temporaryFolder) }
        try call("trace its calls") { kbuild_guestfs_set_trace($0, 1) }
        try call("be verbose") { kbuild_guestfs_set_verbose($0, 0) }
        try spec.image.withCString { image in
            try "raw".withCString { raw in
                try "unsafe".withCString { unsafe in
                    // A host that crashes meanwhile publishes nothing, so the image need not be flushed.
                    var options = guestfs_add_drive_opts_argv()
                    options.bitmask = kbuild_guestfs_add_drive_format | kbuild_guestfs_add_drive_cachemode
                    options.format = raw
                    options.cachemode = unsafe
                    try call("add the image") { kbuild_guestfs_add_drive_opts_argv($0, image, &options) }
                }
            }
        }
        try call("start its appliance") { kbuild_guestfs_launch($0) }
    }

    /// Makes the file system: no journal, because it is mounted read-only, and no blocks reserved for root.
    func makeFilesystem(_ spec: ImageBuildSpec, on device: String) throws {
        try spec.uuid.withCString { uuid in
            try ImageBuildSpec.label.withCString { label in
                try "ext4".withCString { type in
                    var options = guestfs_mke2fs_argv()
                    options.bitmask =
                        kbuild_guestfs_mke2fs_blocksize | kbuild_guestfs_mke2fs_numberofinodes
                        | kbuild_guestfs_mke2fs_reserved | kbuild_guestfs_mke2fs_label
                        | kbuild_guestfs_mke2fs_fstype | kbuild_guestfs_mke2fs_uuid
                        | kbuild_guestfs_mke2fs_lazyitableinit | kbuild_guestfs_mke2fs_hasjournal
                    options.blocksize = Int64(ImageBuildSpec.blockSize)
                    options.numberofinodes = spec.inodes
                    options.reservedblockspercentage = 0
                    options.label = label
                    options.fstype = type
                    options.uuid = uuid
                    options.lazyitableinit = 0
                    options.hasjournal = 0
                    try call("make the file system") { kbuild_guestfs_mke2fs_argv($0, device, &options) }
                }
            }
        }
    }
}
