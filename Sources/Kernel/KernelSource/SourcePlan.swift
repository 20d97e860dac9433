// SPDX-License-Identifier: Apache-2.0
import Processes

/// What `SourceCache.prepare(_:)` has to do for a source.
public enum SourcePlan: Sendable {
    /// Nothing: this is in the cache.
    case present(KernelSourceArtifact)
    /// These commands make it, or kbuild itself does, as the remark says.
    case absent(commands: [Command], remark: String?)
}
