// SPDX-License-Identifier: Apache-2.0
import Artifacts
import SystemPackage

extension TrustLevel {
    /// The level of a build under `rules` for the project whose part of the cache is `projectCache`.
    init(under rules: Confinement.Rules?, in projectCache: FilePath) {
        guard let rules else {
            self = .trusted
            return
        }
        let user = rules.user.map { "user \($0)" } ?? "the user"
        self = .confined(as: "\(user) for \(projectCache.lastComponent?.string ?? "a project")")
    }
}
