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

/// Sorted by name.
pub const SETTINGS: &[Known] = &[
    Known { name: "abort-on-warn", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Client },
    Known {
        name: "accept-flake-config",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known { name: "access-tokens", aliases: &[], kind: Kind::Map, default: Default::Other, reach: Reach::Client },
    Known { name: "allow-dirty", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Client },
    Known {
        name: "allow-dirty-locks",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known {
        name: "allow-import-from-derivation",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known {
        name: "allow-new-privileges",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known {
        name: "allow-symlinked-store",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known {
        name: "allow-unsafe-native-code-during-evaluation",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known {
        name: "allowed-impure-host-deps",
        aliases: &[],
        kind: Kind::Set,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "allowed-uris", aliases: &[], kind: Kind::List, default: Default::Other, reach: Reach::Client },
    Known {
        name: "allowed-users",
        aliases: &[],
        kind: Kind::List,
        default: Default::Known(&["*"]),
        reach: Reach::Server,
    },
    Known {
        name: "always-allow-substitutes",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known {
        name: "auto-allocate-uids",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known {
        name: "auto-optimise-store",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "bash-prompt", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Client },
    Known { name: "bash-prompt-prefix", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Client },
    Known { name: "bash-prompt-suffix", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Client },
    Known { name: "build-dir", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Daemon },
    Known { name: "build-hook", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Daemon },
    Known {
        name: "build-poll-interval",
        aliases: &[],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known { name: "build-users-group", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Daemon },
    Known { name: "builders", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Daemon },
    Known {
        name: "builders-use-substitutes",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known {
        name: "commit-lock-file-summary",
        aliases: &["commit-lockfile-summary"],
        kind: Kind::Text,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known {
        name: "compress-build-log",
        aliases: &["build-compress-log"],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "connect-timeout", aliases: &[], kind: Kind::Integer, default: Default::Other, reach: Reach::Client },
    Known {
        name: "cores",
        aliases: &["build-cores"],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known {
        name: "debugger-on-trace",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known {
        name: "debugger-on-warn",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known { name: "diff-hook", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Daemon },
    Known {
        name: "download-attempts",
        aliases: &[],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known {
        name: "download-buffer-size",
        aliases: &[],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "download-speed", aliases: &[], kind: Kind::Integer, default: Default::Other, reach: Reach::Daemon },
    Known {
        name: "enforce-determinism",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "eval-cache", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Client },
    Known { name: "eval-cores", aliases: &[], kind: Kind::Integer, default: Default::Other, reach: Reach::Client },
    Known { name: "eval-profile-file", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Client },
    Known { name: "eval-profiler", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Client },
    Known {
        name: "eval-profiler-frequency",
        aliases: &[],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known { name: "eval-system", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Client },
    Known {
        name: "experimental-features",
        aliases: &[],
        kind: Kind::Set,
        default: Default::Known(&[]),
        reach: Reach::Client,
    },
    Known { name: "external-builders", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Daemon },
    Known { name: "extra-platforms", aliases: &[], kind: Kind::Set, default: Default::Other, reach: Reach::Daemon },
    Known {
        name: "fallback",
        aliases: &["build-fallback"],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known {
        name: "filetransfer-retry-attempts",
        aliases: &[],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "filter-syscalls", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Daemon },
    Known { name: "flake-registry", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Client },
    Known { name: "fsync-metadata", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Daemon },
    Known {
        name: "fsync-store-paths",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known {
        name: "gc-reserved-space",
        aliases: &[],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "hashed-mirrors", aliases: &[], kind: Kind::List, default: Default::Other, reach: Reach::Daemon },
    Known {
        name: "http-connections",
        aliases: &["binary-caches-parallel-connections"],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "http2", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Daemon },
    Known { name: "id-count", aliases: &[], kind: Kind::Integer, default: Default::Other, reach: Reach::Daemon },
    Known {
        name: "ignore-gc-delete-failure",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "ignore-try", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Client },
    Known { name: "ignored-acls", aliases: &[], kind: Kind::Set, default: Default::Other, reach: Reach::Daemon },
    Known {
        name: "impersonate-linux-26",
        aliases: &["build-impersonate-linux-26"],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "impure-env", aliases: &[], kind: Kind::Map, default: Default::Other, reach: Reach::Daemon },
    Known { name: "json-log-path", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Client },
    Known {
        name: "keep-build-log",
        aliases: &["build-keep-log"],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known {
        name: "keep-derivations",
        aliases: &["gc-keep-derivations"],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known {
        name: "keep-env-derivations",
        aliases: &["env-keep-derivations"],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "keep-failed", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Client },
    Known { name: "keep-going", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Client },
    Known {
        name: "keep-outputs",
        aliases: &["gc-keep-outputs"],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "lazy-trees", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Client },
    Known {
        name: "lint-absolute-path-literals",
        aliases: &[],
        kind: Kind::Text,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known {
        name: "lint-short-path-literals",
        aliases: &[],
        kind: Kind::Text,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known { name: "lint-url-literals", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Client },
    Known { name: "log-lines", aliases: &[], kind: Kind::Integer, default: Default::Other, reach: Reach::Client },
    Known {
        name: "max-build-log-size",
        aliases: &["build-max-log-size"],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "max-call-depth", aliases: &[], kind: Kind::Integer, default: Default::Other, reach: Reach::Client },
    Known { name: "max-free", aliases: &[], kind: Kind::Integer, default: Default::Other, reach: Reach::Daemon },
    Known {
        name: "max-jobs",
        aliases: &["build-max-jobs"],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known {
        name: "max-silent-time",
        aliases: &["build-max-silent-time"],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known {
        name: "max-substitution-jobs",
        aliases: &["substitution-max-jobs"],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "min-free", aliases: &[], kind: Kind::Integer, default: Default::Other, reach: Reach::Daemon },
    Known {
        name: "min-free-check-interval",
        aliases: &[],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "nar-buffer-size", aliases: &[], kind: Kind::Integer, default: Default::Other, reach: Reach::Daemon },
    Known {
        name: "narinfo-cache-meta-ttl",
        aliases: &[],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known {
        name: "narinfo-cache-negative-ttl",
        aliases: &[],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known {
        name: "narinfo-cache-positive-ttl",
        aliases: &[],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "netrc-file", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Daemon },
    Known { name: "nix-path", aliases: &[], kind: Kind::List, default: Default::Other, reach: Reach::Client },
    Known {
        name: "nix-shell-always-looks-for-shell-nix",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known {
        name: "nix-shell-shebang-arguments-relative-to-script",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known { name: "plugin-files", aliases: &[], kind: Kind::List, default: Default::Other, reach: Reach::Client },
    Known { name: "post-build-hook", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Daemon },
    Known { name: "pre-build-hook", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Daemon },
    Known {
        name: "preallocate-contents",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "print-missing", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Client },
    Known { name: "pure-eval", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Client },
    Known {
        name: "repeat",
        aliases: &["build-repeat"],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "repl-overlays", aliases: &[], kind: Kind::List, default: Default::Other, reach: Reach::Client },
    Known {
        name: "require-drop-supplementary-groups",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "require-sigs", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Daemon },
    Known { name: "restrict-eval", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Client },
    Known { name: "run-diff-hook", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Daemon },
    Known {
        name: "sandbox",
        aliases: &["build-use-chroot", "build-use-sandbox"],
        kind: Kind::Text,
        default: Default::Known(&["true"]),
        reach: Reach::Daemon,
    },
    Known { name: "sandbox-build-dir", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Daemon },
    Known {
        name: "sandbox-dev-shm-size",
        aliases: &[],
        kind: Kind::Text,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known {
        name: "sandbox-fallback",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known {
        name: "sandbox-paths",
        aliases: &["build-chroot-dirs", "build-sandbox-paths"],
        kind: Kind::Set,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known {
        name: "secret-key-files",
        aliases: &[],
        kind: Kind::List,
        default: Default::Known(&[]),
        reach: Reach::Daemon,
    },
    Known { name: "show-trace", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Client },
    Known { name: "ssl-cert-file", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Daemon },
    Known {
        name: "stalled-download-timeout",
        aliases: &[],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "start-id", aliases: &[], kind: Kind::Integer, default: Default::Other, reach: Reach::Daemon },
    Known { name: "store", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Client },
    Known {
        name: "substitute",
        aliases: &["build-use-substitutes"],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known {
        name: "substituters",
        aliases: &["binary-caches"],
        kind: Kind::List,
        default: Default::Known(&["https://cache.nixos.org/"]),
        reach: Reach::Daemon,
    },
    Known {
        name: "sync-before-registering",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Daemon,
    },
    Known { name: "system", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Daemon },
    Known { name: "system-features", aliases: &[], kind: Kind::Set, default: Default::Other, reach: Reach::Daemon },
    Known { name: "tarball-ttl", aliases: &[], kind: Kind::Integer, default: Default::Other, reach: Reach::Client },
    Known {
        name: "timeout",
        aliases: &["build-timeout"],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known {
        name: "trace-function-calls",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known {
        name: "trace-import-from-derivation",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known { name: "trace-verbose", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Client },
    Known {
        name: "trust-tarballs-from-git-forges",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known {
        name: "trusted-public-keys",
        aliases: &["binary-cache-public-keys"],
        kind: Kind::List,
        default: Default::Known(&["cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="]),
        reach: Reach::Daemon,
    },
    Known {
        name: "trusted-substituters",
        aliases: &["trusted-binary-caches"],
        kind: Kind::Set,
        default: Default::Known(&[]),
        reach: Reach::Server,
    },
    Known {
        name: "trusted-users",
        aliases: &[],
        kind: Kind::List,
        default: Default::Known(&["root"]),
        reach: Reach::Server,
    },
    Known {
        name: "upgrade-nix-store-path-url",
        aliases: &[],
        kind: Kind::Text,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known { name: "use-case-hack", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Daemon },
    Known { name: "use-cgroups", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Daemon },
    Known { name: "use-registries", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Client },
    Known { name: "use-sqlite-wal", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Daemon },
    Known {
        name: "use-xdg-base-directories",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known { name: "user-agent-suffix", aliases: &[], kind: Kind::Text, default: Default::Other, reach: Reach::Daemon },
    Known { name: "warn-dirty", aliases: &[], kind: Kind::Boolean, default: Default::Other, reach: Reach::Client },
    Known {
        name: "warn-large-path-threshold",
        aliases: &[],
        kind: Kind::Integer,
        default: Default::Other,
        reach: Reach::Client,
    },
    Known {
        name: "warn-short-path-literals",
        aliases: &[],
        kind: Kind::Boolean,
        default: Default::Other,
        reach: Reach::Client,
    },
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
