// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Diagnostics
import Glibc
import SystemPackage

/// A SHA-256 digest.
public struct Digest: Sendable, Hashable, Codable, CustomStringConvertible {
    /// The 64 lower-case hexadecimal digits.
    public let hex: String

    /// Creates a digest from its digits; nil when they are not 64 hexadecimal digits.
    public init?(hex: String) {
        guard hex.utf8.count == 64, hex.allSatisfy(\.isHexDigit) else { return nil }
        self.hex = hex.lowercased()
    }

    fileprivate init(_ bytes: [UInt8]) {
        let digits = Array("0123456789abcdef".utf8)
        hex = String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// The 32 bytes that the digits stand for.
    public var bytes: [UInt8] {
        let values = hex.utf8.map { UInt8($0 < 0x61 ? $0 - 0x30 : $0 - 0x61 + 10) }
        return stride(from: 0, to: values.count, by: 2).map { values[$0] << 4 | values[$0 + 1] }
    }

    /// The digest of some bytes.
    public static func of(_ bytes: some Sequence<UInt8>) -> Digest {
        let hash = SHA256()
        let bytes = Array(bytes)
        bytes.withUnsafeBytes { hash.update($0) }
        return hash.digest()
    }

    /// The digest of a text's UTF-8.
    public static func of(_ text: String) -> Digest {
        of(Array(text.utf8))
    }

    /// The digest of a file's contents, read in pieces.
    ///
    /// - Throws: `Failure` (`infrastructure`) when the file cannot be read.
    public static func ofFile(_ path: FilePath) throws -> Digest {
        do {
            let file = try openRegularFile(path)
            return try file.closeAfter {
                let hash = SHA256()
                let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)
                defer { buffer.deallocate() }
                while case let count = try file.read(into: buffer), count > 0 {
                    hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                }
                return hash.digest()
            }
        } catch let error as Errno {
            throw Failure(.infrastructure, "cannot read \(path)", details: "\(error)")
        }
    }

    /// The first 16 digits: enough to name a folder, short enough to read.
    public var short: String { String(hex.prefix(16)) }

    /// The digits.
    public var description: String { hex }
}

/// A SHA-256 computation, which OpenSSL carries out (EVP_DigestInit(3)).
private final class SHA256 {
    private let context: OpaquePointer?
    /// Whether every call so far succeeded. Calls fail only without memory, or where OpenSSL's configuration forbids
    /// SHA-256.
    private var isGood: Bool

    init() {
        context = EVP_MD_CTX_new()
        isGood = context != nil && EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1
    }

    deinit { EVP_MD_CTX_free(context) }

    func update(_ bytes: UnsafeRawBufferPointer) {
        isGood = isGood && EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1
    }

    func digest() -> Digest {
        var bytes = [UInt8](repeating: 0, count: 32)
        var count: UInt32 = 0
        isGood = isGood && EVP_DigestFinal_ex(context, &bytes, &count) == 1 && count == 32
        // With a wrong digest one artifact would be taken for another, and kbuild cannot work without digests.
        precondition(isGood, "OpenSSL cannot compute SHA-256")
        return Digest(bytes)
    }
}
