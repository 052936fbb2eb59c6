//! Which credentials a context would use: where each comes from, its public half, for which endpoint, and a fingerprint that only
//! this run can compare. Never the secret.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::secret::Fingerprint;
use crate::snapshot::{Fact, List};

/// Which credentials this context would use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Credentials {
    /// Keys for S3-like endpoints, from the environment, AWS profiles, `mc` aliases, and the configuration that a runner uses.
    pub s3: Fact<List<S3Key>>,
    /// What the AWS chain of this context decides.
    pub aws: AwsChain,
    /// Entries of the user's netrc and of Nix's netrc-file.
    pub netrc: Fact<List<NetrcEntry>>,
    /// Logins in Docker's client configuration.
    pub registries: Fact<List<RegistryLogin>>,
    /// The files that were looked at.
    pub files: Fact<List<CredentialFile>>,
}

/// One access key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct S3Key {
    /// `environment`, `profile`, `mc-alias`, `mc-environment`, `gitlab-runner` (the cache of a runner).
    pub provider: String,
    /// The profile's or alias' name; for the environment, the variable; for a runner, the public start of its token.
    pub name: String,
    /// The file and line, or the variable, in which it stands.
    pub origin: String,
    /// The access key id: the public half.
    pub access_key_id: Fact<String>,
    /// Fingerprint of the secret key.
    pub fingerprint: Fact<Fingerprint>,
    /// The endpoint it is for, normalised to `scheme://host:port`; absent when AWS itself is meant.
    pub endpoint: Fact<String>,
    /// The region; absent when none is set.
    pub region: Fact<String>,
    /// The account that `parallax.toml` says this key belongs to, by its endpoint (`[[account]]`); absent when it says none.
    pub account: Fact<String>,
    /// Whether an AWS client that is told nothing would use this one.
    pub chosen: Fact<bool>,
    /// Whether it is the placeholder that `mc` writes into a fresh configuration.
    pub placeholder: Fact<bool>,
}

/// The outcome of the AWS chain (environment, then profile).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AwsChain {
    /// `environment`, `profile`, `web-identity`, `container`, or absent when the chain ends in nothing that files and variables hold.
    pub provider: Fact<String>,
    /// The profile in effect: `AWS_PROFILE`, or `default`.
    pub profile: Fact<String>,
    /// Whether that profile exists in one of the files.
    pub profile_exists: Fact<bool>,
    /// The region in effect.
    pub region: Fact<String>,
    /// The endpoint in effect for S3; absent when AWS itself is meant.
    pub endpoint: Fact<String>,
    /// Whether a key id is set without its secret, or the reverse, in the provider that comes first.
    pub half: Fact<bool>,
}

/// One netrc entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NetrcEntry {
    /// The machine; `default` for the default entry.
    pub machine: String,
    /// The login; absent when the entry has none.
    pub login: Fact<String>,
    /// Fingerprint of the password; absent when the entry has none.
    pub fingerprint: Fact<Fingerprint>,
    /// The file and line.
    pub origin: String,
    /// Who reads it: `user` or `nix`.
    pub reader: String,
}

/// One registry login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryLogin {
    /// The registry as written.
    pub registry: String,
    /// The user name; absent when a helper or a token holds it.
    pub user: Fact<String>,
    /// Fingerprint of the password; absent when a helper holds it.
    pub fingerprint: Fact<Fingerprint>,
    /// The credential helper; absent when the file itself holds the login.
    pub helper: Fact<String>,
    /// The file.
    pub origin: String,
}

/// One file that may hold credentials.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CredentialFile {
    /// What it is for: `aws-credentials`, `aws-config`, `mc`, `mc-environment`, `netrc`, `nix-netrc`, `docker`.
    pub purpose: String,
    /// The path.
    pub path: String,
    /// What named the path: a variable, a setting, or `default`.
    pub named_by: String,
    /// Whether it exists.
    pub exists: Fact<bool>,
    /// Permission bits in octal.
    pub mode: Fact<String>,
    /// The owner's uid.
    pub owner: Fact<u32>,
    /// Whether this identity can read it.
    pub readable: Fact<bool>,
}
