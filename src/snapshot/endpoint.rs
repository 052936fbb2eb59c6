//! Endpoints as configuration names them: who names what, before anything is resolved or connected.
//!
//! Collected by the probes that read configuration (Nix settings, credentials, environment) and handed to the network
//! probe, which says where each one stands. A URL kept here has lost its userinfo and its query.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One endpoint that a context's configuration names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct NamedEndpoint {
    /// The URL without userinfo, query and fragment.
    pub url: String,
    /// What names it, such as `nix substituters`, `AWS_ENDPOINT_URL`, `mc alias cache`, `DOCKER_HOST`, `proxy https_proxy`.
    pub named_by: String,
    /// The file and line, or the variable, in which it stands.
    pub origin: String,
}
