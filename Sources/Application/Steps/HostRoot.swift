// SPDX-License-Identifier: Apache-2.0
import Artifacts
import FileSystem
import Project
import RootFilesystem
import SystemPackage
import VirtualMachine

/// The host's root as the guest's root.
///
/// The guest boots from a small archive with init, which mounts the host's root over 9p, read-only, mounts a file
/// system in memory over it, hides secrets and continues there. The guest writes to its memory.
enum HostRoot {
    /// The hidden files in each home: keys, tokens, passwords, histories, and browsers' folders.
    static let secretsOfHomes = [
        ".ssh", ".gnupg", ".password-store", ".pki", ".local/share/keyrings", ".local/share/kwalletd", ".netrc",
        ".git-credentials", ".config/git/credentials", ".config/gh", ".config/hub", ".config/glab-cli", ".aws",
        ".azure",
        ".config/gcloud", ".kube", ".docker", ".config/containers/auth.json", ".terraform.d", ".vault-token",
        ".config/op", ".npmrc", ".pypirc", ".cargo/credentials", ".cargo/credentials.toml", ".gem/credentials",
        ".m2/settings.xml", ".gradle/gradle.properties", ".pgpass", ".my.cnf", ".config/rclone", ".bash_history",
        ".zsh_history", ".python_history", ".local/share/fish/fish_history", ".mozilla", ".thunderbird",
        ".config/google-chrome", ".config/chromium", ".config/BraveSoftware", ".config/microsoft-edge",
        ".config/vivaldi", ".config/opera", ".config/Signal", ".config/Slack", ".cache/mozilla", ".cache/google-chrome",
        ".cache/chromium",
    ]
    /// The hidden files elsewhere.
    static let secretsOfSystem = [
        "/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/ssl/private", "/etc/krb5.keytab",
        "/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ed25519_key",
        "/etc/NetworkManager/system-connections", "/etc/wireguard", "/var/lib/sss",
    ]

    /// The file of the archive that lists the paths for init to hide: on each line `d` or `f` and the path.
    static let hiddenList = "/etc/kbuild-hidden"

    /// The existing secrets of this host, with links resolved.
    ///
    /// - Parameter home: The user's home, in addition to /root and the folders of /home.
    static func secrets(home: String?) -> [FilePath] {
        let others = ((try? namesInFolder("/home")) ?? []).sorted().map { FilePath("/home").appending($0) }
        let homes = [home.map { FilePath($0) }, "/root"].compactMap { $0 } + others
        let places =
            homes.flatMap { home in secretsOfHomes.map { home.pushing(FilePath($0)) } }
            + secretsOfSystem.map { FilePath($0) }
        var found: [FilePath] = []
        for place in places {
            // A missing file needs no hiding, and init's list has one path on each line.
            guard let real = resolvedPath(place), !real.string.contains("\n"), !found.contains(real) else { continue }
            found.append(real)
        }
        return found
    }

    /// The archive from which the guest boots.
    static func definition(hiding secrets: [FilePath]) -> RootFilesystemDefinition {
        let lines = secrets.map { "\(isFolder($0) ? "d" : "f") \($0)\n" }
        var folders: [String: UInt32] = [:]
        for folder in [
            "/dev", "/etc", "/kbuild/host", "/kbuild/layer", "/kbuild/root", "/proc", "/run", "/sys", "/tmp",
        ] {
            folders[folder] = 0o755
        }
        return RootFilesystemDefinition(folders: folders, texts: [hiddenList: .init(lines.joined())])
    }

    /// The share that init mounts.
    static func shares(of project: Project) -> [Share] {
        guard project.rootfsType == .host else { return [] }
        return [Share(tag: MachineConfiguration.hostRootTag, path: "/", isReadOnly: true)]
    }

    /// The variables of the user's environment that a shell or a command in the guest gets, in addition to TERM and
    /// PATH.
    private static let variables = ["HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "SHELL", "USER"]

    /// Sets the first folder and the environment of a shell in a guest of the project.
    static func prepare(_ request: ShellRequest, project: Project, environment: [String: String]) -> ShellRequest {
        var request = request
        request.directory = project.shellFolder
        guard project.rootfsType == .host else { return request }
        request.directory = project.shellFolder ?? project.place.string
        request.path = environment["PATH"]
        request.environment = variables.compactMap { name in environment[name].map { "\(name)=\($0)" } }
        return request
    }
}
