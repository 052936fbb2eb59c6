//! What is known of the settings of Nix: names of releases 2.3 to 2.35, aliases, kinds and fixed defaults
//! (`src/libstore/globals.hh`, `src/libutil/config.cc` and their like; `nix show-config --json` of 2.8 agrees, which a test proves).
//!
//! A name that is missing here is unknown to all of them; a name that is here may still be unknown to one release.

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    Integer,
    Text,
    /// In order, with repetitions.
    List,
    /// Sorted, without repetitions.
    Set,
    /// `name=value` each; may hold tokens and passwords.
    Map,
}

impl Kind {
    /// Whether `extra-NAME` adds to it.
    pub fn is_appendable(self) -> bool {
        matches!(self, Self::List | Self::Set | Self::Map)
    }
}

/// What holds where nothing sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// These tokens, in every release since 2.3.
    Known(&'static [&'static str]),
    /// Computed when Nix starts, different between releases, or of no matter here.
    Other,
}

/// Whose behaviour a setting changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The client's own, or every client may send it (`src/libstore/daemon.cc`, `ClientSettings::apply`).
    Client,
    /// A client sends it, and the daemon honours it only from trusted users.
    Daemon,
    /// The daemon's own file decides; what a client sends is of no effect.
    Server,
}

/// One setting.
#[derive(Debug, PartialEq, Eq)]
pub struct Known {
    /// The canonical name.
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    pub kind: Kind,
    pub default: Default,
    pub reach: Reach,
}

/// The setting of this name or alias.
pub fn lookup(name: &str) -> Option<&'static Known> {
    SETTINGS.iter().find(|known| known.name == name || known.aliases.contains(&name))
}

/// Whether values of this name are never kept: it holds credentials, or is unknown and sounds like it.
pub fn is_secret(name: &str) -> bool {
    const SOUNDS: [&str; 6] = ["token", "password", "passwd", "secret", "credential", "api-key"];
    match lookup(name) {
        Some(known) => known.kind == Kind::Map,
        None => SOUNDS.iter().any(|sound| name.to_ascii_lowercase().contains(sound)),
    }
}

use Kind::{Boolean, Integer, List, Map, Set, Text};
use Reach::{Client, Daemon, Server};

const fn plain(name: &'static str, kind: Kind, reach: Reach) -> Known {
    Known { name, aliases: &[], kind, default: Default::Other, reach }
}

impl Known {
    const fn or(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    const fn unless_set(self, tokens: &'static [&'static str]) -> Self {
        Self { default: Default::Known(tokens), ..self }
    }
}

/// Sorted by name.
pub const SETTINGS: &[Known] = &[
    plain("abort-on-warn", Boolean, Client),
    plain("accept-flake-config", Boolean, Client),
    plain("access-tokens", Map, Client),
    plain("allow-dirty", Boolean, Client),
    plain("allow-dirty-locks", Boolean, Client),
    plain("allow-import-from-derivation", Boolean, Client),
    plain("allow-new-privileges", Boolean, Daemon),
    plain("allow-symlinked-store", Boolean, Daemon),
    plain("allow-unsafe-native-code-during-evaluation", Boolean, Client),
    plain("allowed-impure-host-deps", Set, Daemon),
    plain("allowed-uris", List, Client),
    plain("allowed-users", List, Server).unless_set(&["*"]),
    plain("always-allow-substitutes", Boolean, Daemon),
    plain("auto-allocate-uids", Boolean, Daemon),
    plain("auto-optimise-store", Boolean, Daemon),
    plain("bash-prompt", Text, Client),
    plain("bash-prompt-prefix", Text, Client),
    plain("bash-prompt-suffix", Text, Client),
    plain("build-dir", Text, Daemon),
    plain("build-hook", Text, Daemon),
    plain("build-poll-interval", Integer, Client),
    plain("build-users-group", Text, Daemon),
    plain("builders", Text, Daemon),
    plain("builders-use-substitutes", Boolean, Daemon),
    plain("commit-lock-file-summary", Text, Client).or(&["commit-lockfile-summary"]),
    plain("compress-build-log", Boolean, Daemon).or(&["build-compress-log"]),
    plain("connect-timeout", Integer, Client),
    plain("cores", Integer, Client).or(&["build-cores"]),
    plain("debugger-on-trace", Boolean, Client),
    plain("debugger-on-warn", Boolean, Client),
    plain("diff-hook", Text, Daemon),
    plain("download-attempts", Integer, Daemon),
    plain("download-buffer-size", Integer, Daemon),
    plain("download-speed", Integer, Daemon),
    plain("enforce-determinism", Boolean, Daemon),
    plain("eval-cache", Boolean, Client),
    plain("eval-cores", Integer, Client),
    plain("eval-profile-file", Text, Client),
    plain("eval-profiler", Text, Client),
    plain("eval-profiler-frequency", Integer, Client),
    plain("eval-system", Text, Client),
    plain("experimental-features", Set, Client).unless_set(&[]),
    plain("external-builders", Text, Daemon),
    plain("extra-platforms", Set, Daemon),
    plain("fallback", Boolean, Client).or(&["build-fallback"]),
    plain("filetransfer-retry-attempts", Integer, Daemon),
    plain("filter-syscalls", Boolean, Daemon),
    plain("flake-registry", Text, Client),
    plain("fsync-metadata", Boolean, Daemon),
    plain("fsync-store-paths", Boolean, Daemon),
    plain("gc-reserved-space", Integer, Daemon),
    plain("hashed-mirrors", List, Daemon),
    plain("http-connections", Integer, Daemon).or(&["binary-caches-parallel-connections"]),
    plain("http2", Boolean, Daemon),
    plain("id-count", Integer, Daemon),
    plain("ignore-gc-delete-failure", Boolean, Daemon),
    plain("ignore-try", Boolean, Client),
    plain("ignored-acls", Set, Daemon),
    plain("impersonate-linux-26", Boolean, Daemon).or(&["build-impersonate-linux-26"]),
    plain("impure-env", Map, Daemon),
    plain("json-log-path", Text, Client),
    plain("keep-build-log", Boolean, Daemon).or(&["build-keep-log"]),
    plain("keep-derivations", Boolean, Daemon).or(&["gc-keep-derivations"]),
    plain("keep-env-derivations", Boolean, Daemon).or(&["env-keep-derivations"]),
    plain("keep-failed", Boolean, Client),
    plain("keep-going", Boolean, Client),
    plain("keep-outputs", Boolean, Daemon).or(&["gc-keep-outputs"]),
    plain("lazy-trees", Boolean, Client),
    plain("lint-absolute-path-literals", Text, Client),
    plain("lint-short-path-literals", Text, Client),
    plain("lint-url-literals", Text, Client),
    plain("log-lines", Integer, Client),
    plain("max-build-log-size", Integer, Daemon).or(&["build-max-log-size"]),
    plain("max-call-depth", Integer, Client),
    plain("max-free", Integer, Daemon),
    plain("max-jobs", Integer, Client).or(&["build-max-jobs"]),
    plain("max-silent-time", Integer, Client).or(&["build-max-silent-time"]),
    plain("max-substitution-jobs", Integer, Daemon).or(&["substitution-max-jobs"]),
    plain("min-free", Integer, Daemon),
    plain("min-free-check-interval", Integer, Daemon),
    plain("nar-buffer-size", Integer, Daemon),
    plain("narinfo-cache-meta-ttl", Integer, Daemon),
    plain("narinfo-cache-negative-ttl", Integer, Daemon),
    plain("narinfo-cache-positive-ttl", Integer, Daemon),
    plain("netrc-file", Text, Daemon),
    plain("nix-path", List, Client),
    plain("nix-shell-always-looks-for-shell-nix", Boolean, Client),
    plain("nix-shell-shebang-arguments-relative-to-script", Boolean, Client),
    plain("plugin-files", List, Client),
    plain("post-build-hook", Text, Daemon),
    plain("pre-build-hook", Text, Daemon),
    plain("preallocate-contents", Boolean, Daemon),
    plain("print-missing", Boolean, Client),
    plain("pure-eval", Boolean, Client),
    plain("repeat", Integer, Daemon).or(&["build-repeat"]),
    plain("repl-overlays", List, Client),
    plain("require-drop-supplementary-groups", Boolean, Daemon),
    plain("require-sigs", Boolean, Daemon),
    plain("restrict-eval", Boolean, Client),
    plain("run-diff-hook", Boolean, Daemon),
    plain("sandbox", Text, Daemon).or(&["build-use-chroot", "build-use-sandbox"]).unless_set(&["true"]),
    plain("sandbox-build-dir", Text, Daemon),
    plain("sandbox-dev-shm-size", Text, Daemon),
    plain("sandbox-fallback", Boolean, Daemon),
    plain("sandbox-paths", Set, Daemon).or(&["build-chroot-dirs", "build-sandbox-paths"]),
    plain("secret-key-files", List, Daemon).unless_set(&[]),
    plain("show-trace", Boolean, Client),
    plain("ssl-cert-file", Text, Daemon),
    plain("stalled-download-timeout", Integer, Daemon),
    plain("start-id", Integer, Daemon),
    plain("store", Text, Client),
    plain("substitute", Boolean, Client).or(&["build-use-substitutes"]),
    plain("substituters", List, Daemon).or(&["binary-caches"]).unless_set(&["https://cache.nixos.org/"]),
    plain("sync-before-registering", Boolean, Daemon),
    plain("system", Text, Daemon),
    plain("system-features", Set, Daemon),
    plain("tarball-ttl", Integer, Client),
    plain("timeout", Integer, Client).or(&["build-timeout"]),
    plain("trace-function-calls", Boolean, Client),
    plain("trace-import-from-derivation", Boolean, Client),
    plain("trace-verbose", Boolean, Client),
    plain("trust-tarballs-from-git-forges", Boolean, Client),
    plain("trusted-public-keys", List, Daemon)
        .or(&["binary-cache-public-keys"])
        .unless_set(&["cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="]),
    plain("trusted-substituters", Set, Server).or(&["trusted-binary-caches"]).unless_set(&[]),
    plain("trusted-users", List, Server).unless_set(&["root"]),
    plain("upgrade-nix-store-path-url", Text, Client),
    plain("use-case-hack", Boolean, Daemon),
    plain("use-cgroups", Boolean, Daemon),
    plain("use-registries", Boolean, Client),
    plain("use-sqlite-wal", Boolean, Daemon),
    plain("use-xdg-base-directories", Boolean, Client),
    plain("user-agent-suffix", Text, Daemon),
    plain("warn-dirty", Boolean, Client),
    plain("warn-large-path-threshold", Integer, Client),
    plain("warn-short-path-literals", Boolean, Client),
];

#[cfg(test)]
mod tests {
    use super::{SETTINGS, is_secret, lookup};

    #[test]
    fn an_alias_leads_to_the_canonical_name() {
        assert_eq!(lookup("build-use-sandbox").map(|known| known.name), Some("sandbox"));
    }

    #[test]
    fn no_name_stands_for_two_settings() {
        let mut names: Vec<_> =
            SETTINGS.iter().flat_map(|known| known.aliases.iter().chain(std::iter::once(&known.name))).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(SETTINGS.is_sorted_by_key(|known| known.name));
    }

    #[test]
    fn settings_that_hold_credentials_are_secret_and_paths_to_them_are_not() {
        assert!(is_secret("access-tokens") && is_secret("impure-env") && is_secret("my-plugin-password"));
        assert!(!is_secret("secret-key-files") && !is_secret("netrc-file"));
    }
}
