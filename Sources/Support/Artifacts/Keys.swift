// SPDX-License-Identifier: Apache-2.0
/// The trust in the code that determined an artifact's contents. It is part of every key, so that neither trusted work
/// nor work confined under another name uses the results of a confined build.
public enum TrustLevel: Sendable, Hashable, CustomStringConvertible {
    /// The tools ran outside a sandbox, on code that the user trusts.
    case trusted
    /// The tools ran in a sandbox. Builds of projects and users with the same name may read each other's results.
    case confined(as: String)

    /// "trusted", or "confined as NAME".
    public var description: String {
        switch self {
        case .trusted: "trusted"
        case .confined(let name): "confined as \(name)"
        }
    }
}

/// The key of an artifact: the step that makes it, and the digest of all inputs.
///
/// Only a `KeyBuilder` makes a key, and it requires the level of trust.
public struct ArtifactKey: Sendable, Hashable {
    /// The step, which names a folder of the store.
    public let step: String
    /// The trust in the code that makes it.
    public let trust: TrustLevel
    /// The digest of all parts.
    public let digest: Digest
    /// The parts of the key by name: texts, or digests.
    let parts: [ContentDigest.Part]

    /// The first 16 digits.
    public var short: String { digest.short }
    /// The names of the key's parts.
    public var inputs: [String] { parts.map(\.name) }

    /// The same key with further parts.
    func adding(_ further: (inout ContentDigest) -> Void) -> ArtifactKey {
        var content = ContentDigest(parts: parts)
        further(&content)
        return ArtifactKey(step: step, trust: trust, content: content)
    }

    /// The key under which the store keeps the recorded tool inputs of artifacts of this key.
    var ofRecords: ArtifactKey {
        ArtifactKey(step: step + "-reads", trust: trust, content: ContentDigest(parts: parts))
    }

    fileprivate init(step: String, trust: TrustLevel, content: ContentDigest) {
        self.step = step
        self.trust = trust
        digest = content.digest
        parts = content.parts
    }

    /// Two keys are equal when their digests are.
    public static func == (left: ArtifactKey, right: ArtifactKey) -> Bool {
        left.step == right.step && left.digest == right.digest
    }

    /// Hashes the digest.
    public func hash(into hasher: inout Hasher) { hasher.combine(digest) }

    /// The name of a part in which two keys differ; nil when they do not.
    public func difference(from other: ArtifactKey) -> String? {
        for (own, its) in zip(parts, other.parts) where own != its { return own.name }
        return parts.count == other.parts.count ? nil : "the number of inputs"
    }
}

/// Builds the key of an artifact from everything that its contents depend on. Each part has a name, so that the same
/// bytes in different roles give different keys.
public struct KeyBuilder: Sendable {
    private let step: String
    private let trust: TrustLevel
    private var content: ContentDigest

    /// Starts a key for version `version` of the step `step`. Raise the version when the step's own code changes
    /// what it produces.
    ///
    /// - Parameter trust: The trust in the code that makes the artifact.
    public init(step: String, version: Int, trust: TrustLevel) {
        self.step = step
        self.trust = trust
        content = ContentDigest(of: step, version: version)
        content.add("trust", trust.description)
    }

    /// Adds a value under a name.
    public mutating func add(_ name: String, _ value: String) { content.add(name, value) }

    /// Adds a digest under a name.
    public mutating func add(_ name: String, _ digest: Digest) { content.add(name, digest) }

    /// The key.
    public var key: ArtifactKey { ArtifactKey(step: step, trust: trust, content: content) }
}

/// The digest of a value with named parts, by contents alone and without the trust. It is not a key of the store.
public struct ContentDigest: Sendable {
    struct Part: Sendable, Hashable {
        var name: String
        var value: String
    }

    private(set) var parts: [Part] = []

    fileprivate init(parts: [Part]) { self.parts = parts }

    /// Starts the digest of a kind of value. Raise the version when the parts change their meaning.
    public init(of kind: String, version: Int) {
        add("step", kind)
        add("version", String(version))
    }

    /// Adds a value under a name. Lengths are part of the encoding, so no two sequences of parts collide.
    public mutating func add(_ name: String, _ value: String) {
        parts.append(Part(name: name, value: value))
    }

    /// Adds a digest under a name.
    public mutating func add(_ name: String, _ digest: Digest) {
        add(name, digest.hex)
    }

    /// The digest.
    public var digest: Digest {
        .of(
            parts.map { "\($0.name.utf8.count):\($0.name)\($0.value.utf8.count):\($0.value)" }
                .joined(separator: "\n"))
    }
}
