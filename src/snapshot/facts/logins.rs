//! Facts about what the endpoints themselves say of this context's credentials. Never the secret, and nothing that was signed with it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::{Fact, List};

/// What the credentials' own endpoints say of them, asked from this context.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Logins {
    /// One element per access key and use whose endpoint this context's own configuration names; unobserved where no credential may be used.
    pub s3: Fact<List<S3Answer>>,
    /// One element per registry for which Docker's configuration holds a login.
    pub registries: Fact<List<RegistryAnswer>>,
}

/// What an object store says of one access key. One request that reads is sent, signed with the key (AWS Signature Version 4).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct S3Answer {
    /// What uses the key: `environment AWS_ACCESS_KEY_ID`, `profile ci`, `mc-alias cache`, `nix substituters`.
    pub used_by: String,
    /// Where the key stands; for one that is missing, where the use stands.
    pub origin: String,
    /// The endpoint, `scheme://host:port`.
    pub endpoint: String,
    /// Its host as written, lower case.
    pub host: String,
    /// Its port, given or by the scheme.
    pub port: u16,
    /// The account that `parallax.toml` says the keys for this endpoint belong to; absent when it says none.
    pub account: Fact<String>,
    /// The public half of the key; absent where the use has no key.
    pub access_key_id: Fact<String>,
    /// The bucket that the configuration names; absent where it names none, and the buckets were asked for.
    pub bucket: Fact<String>,
    /// The region that was signed for.
    pub region: Fact<String>,
    /// What was answered: `accepted`, `denied` (the key is known and may not), `unknown-key`, `wrong-secret`, `disabled`, `expired`, `skewed`
    /// (the clocks differ too much), `wrong-region`, `no-bucket`, `redirected`, `refused` (another error), `not-s3`, `no-key` (it
    /// refuses whoever has none), `unsigned` (the same, where the machine itself may have a role that lets the client in); or what kept it from being
    /// asked: `placeholder`, `unreachable`, `untrusted` (no certificate that this context trusts).
    #[schemars(extend("x-disclosure" = "public"))]
    pub outcome: Fact<String>,
    /// The code in the answer (`<Code>`, "Error responses" in the Amazon S3 API reference); absent without one.
    #[schemars(extend("x-disclosure" = "public"))]
    pub code: Fact<String>,
    /// The status of the answer.
    #[schemars(extend("x-disclosure" = "public"))]
    pub status: Fact<u16>,
    /// Who answered, by its headers and the words of its errors: `aws`, `minio`, `garage`, `r2`; absent when that can't be told.
    #[schemars(extend("x-disclosure" = "public"))]
    pub answered_by: Fact<String>,
    /// The region that the answer names as the right one.
    pub expected_region: Fact<String>,
    /// How far the endpoint's clock is ahead of this machine's, in milliseconds, by the `Date` of the answer.
    #[schemars(extend("x-disclosure" = "public"))]
    pub clock_ahead_ms: Fact<i64>,
}

/// What a registry says of one login.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryAnswer {
    /// The registry as written.
    pub registry: String,
    /// The file in which the login stands.
    pub origin: String,
    /// The user name; absent where a helper or a token holds it.
    pub user: Fact<String>,
    /// What was answered: `accepted`, `refused`, `open` (it asks for no login), `not-a-registry`; or what kept it from being asked:
    /// `unreachable`, `untrusted`, `held-by-helper` and `held-as-token` (the file has no user and password).
    #[schemars(extend("x-disclosure" = "public"))]
    pub outcome: Fact<String>,
    /// The status of the answer to the login.
    #[schemars(extend("x-disclosure" = "public"))]
    pub status: Fact<u16>,
    /// Who decides about logins, `scheme://host:port`, where the registry names somebody (`WWW-Authenticate`, `realm`).
    pub realm: Fact<String>,
}
