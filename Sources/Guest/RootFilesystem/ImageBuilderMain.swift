// SPDX-License-Identifier: Apache-2.0
import CGuestfs
import Diagnostics
import Foundation

/// The first argument that makes the kbuild executable drive libguestfs: `__build-image SPEC`.
public let imageBuilderArgument = "__build-image"

/// The process that drives libguestfs, whose calls may block forever: the parent can end it.
///
/// - Parameter arguments: The arguments after `__build-image`: the path of the build's JSON file.
/// - Returns: The process's exit code.
public func imageBuilderMain(arguments: [String]) -> Int32 {
    do {
        guard let path = arguments.first, arguments.count == 1 else {
            throw Failure(.usage, "\(imageBuilderArgument) takes the path of one file")
        }
        guard let data = FileManager.default.contents(atPath: path),
            let spec = try? JSONDecoder().decode(ImageBuildSpec.self, from: data)
        else { throw Failure(.usage, "\(path) is not an image description") }
        try buildImage(spec)
        return ExitStatus.success.rawValue
    } catch {
        let failure = error as? Failure ?? Failure(.infrastructure, "the image cannot be built", details: "\(error)")
        send(.failed(message: failure.message, details: failure.details ?? ""))
        return failure.code.rawValue
    }
}

private func buildImage(_ spec: ImageBuildSpec) throws {
    let manager = FileManager.default
    guard manager.createFile(atPath: spec.image, contents: nil), manager.createFile(atPath: spec.log, contents: nil),
        let log = FileHandle(forWritingAtPath: spec.log), let image = FileHandle(forWritingAtPath: spec.image)
    else { throw Failure(.infrastructure, "cannot write \(spec.image) or \(spec.log)") }
    // Only written blocks take space.
    try image.truncate(atOffset: UInt64(spec.size))
    try image.close()

    let events = GuestfsSession.Events(log: log) { done, total in send(.advance(done: done, total: total)) }
    let session = try GuestfsSession(events: events)
    send(.step("starting the libguestfs \(session.version) appliance"))
    try session.launch(spec)

    let device = "/dev/sda"
    send(.step("making the file system"))
    try session.makeFilesystem(spec, on: device)
    try session.call("mount the image") { kbuild_guestfs_mount($0, device, "/") }
    send(.step("copying files into the image"))
    for archive in spec.archives {
        try session.call("unpack \(archive)") { handle in
            var options = guestfs_tar_in_opts_argv()
            return kbuild_guestfs_tar_in_opts_argv(handle, archive, "/", &options)
        }
    }
    for path in spec.expected where try !session.exists(path) {
        throw Failure(.infrastructure, "the image lacks \(path) after it was written")
    }
    try session.call("unmount the image") { kbuild_guestfs_umount_all($0) }
    send(.step("checking the image"))
    try session.call("check the file system") { handle in
        var options = guestfs_e2fsck_argv()
        options.bitmask = kbuild_guestfs_e2fsck_correct
        options.correct = 1
        return kbuild_guestfs_e2fsck_argv(handle, device, &options)
    }
    try session.call("shut its appliance down") { kbuild_guestfs_shutdown($0) }
}

private func send(_ message: ImageBuildMessage) {
    // One write a line, so that lines of other processes on the same pipe do not tear it.
    FileHandle.standardOutput.write(Data((message.line + "\n").utf8))
}
