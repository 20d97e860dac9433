// SPDX-License-Identifier: Apache-2.0
import Artifacts
import SystemPackage

extension Pipeline {
    /// Whose code decides what a build under `rules` makes: part of the key of whatever it publishes.
    ///
    /// Two projects never share what their confined builds make, since their authors differ; within a project the keys hold
    /// all inputs that came from outside.
    func trust(under rules: Confinement.Rules?) -> TrustLevel {
        TrustLevel(under: rules, in: projectCache)
    }
}

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
