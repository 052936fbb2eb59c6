//! Facts about binary caches: which keys this context trusts, what the caches that it names serve it, and who signed that.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::{Fact, List};

/// The binary caches of this context.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Caches {
    /// The public keys by which Nix here judges signatures: those of `trusted-public-keys`, then the public halves of `secret-key-files`
    /// that can be read (`src/libstore/crypto.cc`, getDefaultPublicKeys).
    pub keys: Fact<List<TrustedKey>>,
    /// One element per substituter (http, https, s3, file) that a configuration here sets, asked from here; unobserved where the round of
    /// questions was left out.
    pub served: Fact<List<ServedCache>>,
    /// The servers in the configuration of attic's client.
    pub attic: Fact<List<AtticServer>>,
    /// What those servers say of the caches that are set as substituters here; unobserved where the round of questions was left out.
    pub attic_caches: Fact<List<AtticCache>>,
    /// The client of cachix that is configured here, if there is one: at most one element.
    pub cachix: Fact<List<CachixClient>>,
    /// The keys by which that client signs what it uploads; the server signs what is uploaded without one.
    pub cachix_signers: Fact<List<CachixSigner>>,
    /// What its server says of the caches that have a key here or are set as substituters here; unobserved where the round of questions was
    /// left out.
    pub cachix_caches: Fact<List<CachixCache>>,
}

/// One public key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrustedKey {
    /// The name, which is all by which Nix finds it; absent where the text is no key.
    #[schemars(extend("x-disclosure" = "public"))]
    pub name: Fact<String>,
    /// `name:base64`; of a text that is no key, what stands before its colon.
    #[schemars(extend("x-disclosure" = "public"))]
    pub text: String,
    /// `trusted-public-keys`, or the file that holds the secret half.
    pub origin: String,
    /// Whether it is a key; with one that is none, Nix stops ("public key is not valid").
    #[schemars(extend("x-disclosure" = "public"))]
    pub valid: bool,
    /// Whether it decides: of several keys of one name Nix takes the first.
    #[schemars(extend("x-disclosure" = "public"))]
    pub in_use: bool,
}

/// One binary cache, asked from here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServedCache {
    /// The URL, without userinfo, query and last slash; of a bucket `s3://NAME?endpoint=SCHEME://HOST:PORT`.
    pub url: String,
    /// Under which names other findings know it: its host, its host and port, and the setting with its value.
    pub known_as: Vec<String>,
    /// Where it is set: file and line, or the variable.
    pub origin: String,
    /// Whether its URL says `trusted=true`, with which Nix asks for no signature.
    #[schemars(extend("x-disclosure" = "public"))]
    pub exempt: bool,
    /// Whether something answered at all: HTTP, for `s3://` the endpoint, for `file://` a directory.
    #[schemars(extend("x-disclosure" = "public"))]
    pub answers: Fact<bool>,
    /// `attic`, `cachix`, `harmonia` or `nix-cache`, by its own answer; `s3` for a cache in a bucket; `http` for what is no cache; absent without an answer.
    #[schemars(extend("x-disclosure" = "public"))]
    pub kind: Fact<String>,
    /// The status of `nix-cache-info` asked without a login; absent for `file://`, for a bucket that is
    /// asked with a key at once, and without an answer.
    #[schemars(extend("x-disclosure" = "public"))]
    pub status: Fact<u16>,
    /// Where the login stands that Nix here would show this host: the netrc-file and line, the setting whose URL holds it, or
    /// for a bucket the place of the access key; absent when there is none.
    pub login: Fact<String>,
    /// The status with that login; absent where none was needed or there is none.
    #[schemars(extend("x-disclosure" = "public"))]
    pub login_status: Fact<u16>,
    /// Whether it lets this context read, with the login that it has: 401 and 403 are no, 200 is yes; of a bucket, what its store's
    /// answer means (`logins.s3.outcome`). Absent where nobody answers, the status says something else, or the
    /// machine itself may have a role for it (`unsigned`); unobserved where the server is busy or broken (429, 5xx).
    #[schemars(extend("x-disclosure" = "public"))]
    pub admitted: Fact<bool>,
    /// The store directory of its paths (`nix-cache-info`); Nix refuses a cache of another one. Absent where it says none.
    pub store_dir: Fact<String>,
    /// Its priority; absent where it says none.
    #[schemars(extend("x-disclosure" = "public"))]
    pub priority: Fact<i32>,
    /// Whether it wants to be asked for many paths at once; absent where it does not say.
    #[schemars(extend("x-disclosure" = "public"))]
    pub mass_query: Fact<bool>,
    /// How many paths it was asked for: those that `parallax.toml` names, those that profiles lead to, and some of the store directory.
    pub asked: u32,
    /// The first of them that it serves; absent when it serves none of them, which says nothing of others.
    pub paths: Fact<List<ServedPath>>,
}

/// One path that a cache serves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServedPath {
    /// The store path.
    pub path: String,
    /// Whether its content address gives this very path, so that no signature is needed.
    #[schemars(extend("x-disclosure" = "public"))]
    pub content_addressed: Fact<bool>,
    /// Its signatures, in order.
    pub signatures: Vec<PathSignature>,
    /// In one word, the best: `content-addressed`, `trusted` (signed by a key in use here), `other-bytes` (the key of that name here has other
    /// bytes), `unknown-key`, `malformed`, `unsigned`.
    #[schemars(extend("x-disclosure" = "public"))]
    pub standing: String,
    /// Whether Nix with the keys of this context takes it, where signatures are required (`src/libstore/path-info.cc`, checkSignatures).
    #[schemars(extend("x-disclosure" = "public"))]
    pub acceptable: Fact<bool>,
}

/// One signature of a path (ed25519 over the fingerprint of the path, its NAR and its references).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PathSignature {
    /// The name of the key that is said to have made it.
    #[schemars(extend("x-disclosure" = "public"))]
    pub key: String,
    /// `trusted`, `other-bytes`, `unknown-key` or `malformed`, by the keys in use here.
    #[schemars(extend("x-disclosure" = "public"))]
    pub standing: String,
    /// The keys of that name, of those that any context of the run has, that made it.
    #[schemars(extend("x-disclosure" = "public"))]
    pub made_by: Fact<List<String>>,
    /// The keys of that name that did not.
    #[schemars(extend("x-disclosure" = "public"))]
    pub not_by: Vec<String>,
}

/// One server of attic (`~/.config/attic/config.toml`), and the public half of the token for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AtticServer {
    /// Its name in the file.
    pub name: String,
    /// Its URL, without userinfo and query.
    pub endpoint: String,
    /// The file.
    pub origin: String,
    /// Whether a cache without a server's name is on this one.
    pub is_default: bool,
    /// The file that holds the token; absent when there is none.
    pub token: Fact<String>,
    /// Whom the token says it was made for (`sub`); absent where it does not say.
    pub subject: Fact<String>,
    /// When it ends (`exp`), in milliseconds since 1970; absent where it does not say.
    pub expires: Fact<i64>,
    /// Whether it holds at this instant by this machine's clock (`nbf`, `exp`); absent without a token.
    #[schemars(extend("x-disclosure" = "public"))]
    pub current: Fact<bool>,
    /// Caches, or patterns of them, from which the token lets pull.
    pub pull: Fact<Vec<String>>,
    /// Those to which it lets push.
    pub push: Fact<Vec<String>>,
}

/// One cache of an attic server, that is set as a substituter here, as its server describes it to this context.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AtticCache {
    /// The substituter.
    pub url: String,
    /// The server's name in the configuration of attic's client.
    pub server: String,
    /// The cache's name.
    pub cache: String,
    /// The status of its description, asked with the token of this context where there is one; absent when nobody answers.
    #[schemars(extend("x-disclosure" = "public"))]
    pub status: Fact<u16>,
    /// Whether the token says that it lets pull from this cache; absent without a token.
    #[schemars(extend("x-disclosure" = "public"))]
    pub may_pull: Fact<bool>,
    /// Whether everybody may pull; absent where the server does not say.
    #[schemars(extend("x-disclosure" = "public"))]
    pub public: Fact<bool>,
    /// The public key by which the server signs; absent where it does not say.
    #[schemars(extend("x-disclosure" = "public"))]
    pub public_key: Fact<String>,
    /// Whether that key is in use here.
    #[schemars(extend("x-disclosure" = "public"))]
    pub key_trusted: Fact<bool>,
    /// Where the server sends Nix; absent where it does not say.
    pub substituter_endpoint: Fact<String>,
    /// Whether that has the scheme, host and port that are configured here.
    #[schemars(extend("x-disclosure" = "public"))]
    pub same_address: Fact<bool>,
}

/// The client of cachix (`cachix.dhall`, `CACHIX_AUTH_TOKEN`), and the public half of its token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CachixClient {
    /// The URL of its server, without userinfo and query.
    pub endpoint: String,
    /// The file, or the variable, in which it is configured.
    pub origin: String,
    /// The file or the variable that holds the token; absent when there is none.
    pub token: Fact<String>,
    /// When the token ends (`exp`), in milliseconds since 1970; absent where it does not say.
    pub expires: Fact<i64>,
    /// Whether it holds at this instant by this machine's clock (`nbf`, `exp`); absent without a token, and for one that says nothing of time.
    #[schemars(extend("x-disclosure" = "public"))]
    pub current: Fact<bool>,
}

/// A key by which uploads to a cache of cachix are signed here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CachixSigner {
    /// The cache; absent for the key of `CACHIX_SIGNING_KEY`, which is for whatever cache the command names.
    pub cache: Fact<String>,
    /// Where Nix fetches from that cache, `https://CACHE.HOST`; absent without a cache.
    pub url: Fact<String>,
    /// The name that its signatures have, `CACHE.HOST-1`; absent without a cache.
    #[schemars(extend("x-disclosure" = "public"))]
    pub key_name: Fact<String>,
    /// The public half, `name:base64`; without a cache, base64 alone.
    #[schemars(extend("x-disclosure" = "public"))]
    pub public_key: Fact<String>,
    /// The file, or the variable.
    pub origin: String,
    /// Whether it decides: where `CACHIX_SIGNING_KEY` is set, no key of the file signs.
    #[schemars(extend("x-disclosure" = "public"))]
    pub in_use: Fact<bool>,
}

/// One cache of cachix, as its server describes it to this context.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CachixCache {
    /// The cache's name.
    pub cache: String,
    /// Where Nix fetches from it.
    pub url: String,
    /// The status of its description, asked with the token of this context where there is one; absent when nobody answers.
    #[schemars(extend("x-disclosure" = "public"))]
    pub status: Fact<u16>,
    /// Whether everybody may read it; absent where the server does not say.
    #[schemars(extend("x-disclosure" = "public"))]
    pub public: Fact<bool>,
    /// What the token permits, in the server's word: `Read`, `Write`, `Admin`; absent where it does not say.
    #[schemars(extend("x-disclosure" = "public"))]
    pub permission: Fact<String>,
    /// The public keys by which consumers are to judge its signatures, as the server gives them to `cachix use`; absent where it does not say.
    #[schemars(extend("x-disclosure" = "public"))]
    pub public_keys: Fact<Vec<String>>,
    /// The public half of the key in use here for uploads to it; absent where none is, and the server signs.
    #[schemars(extend("x-disclosure" = "public"))]
    pub signer: Fact<String>,
}
