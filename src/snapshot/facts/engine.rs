//! Facts about the container engine, where our process is one: where it listens, and what its configuration says of registries. Which socket a client
//! takes is told by `paths.sockets`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::{Fact, ObjectId};

/// The container engine, in its own context. It is the engine that reaches registries, from its own network and with its own certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// The socket that this engine listens at, if it is its own: one that belongs to the identity of our process. Absent in contexts that are no
    /// engine, and where there is no such socket.
    #[schemars(extend("x-disclosure" = "public"))]
    pub socket: Fact<ObjectId>,
    /// Whether our process is an engine (`dockerd`).
    #[schemars(extend("x-disclosure" = "public"))]
    pub is_engine: Fact<bool>,
    /// The file that this engine reads (`--config-file`, by default `/etc/docker/daemon.json`), whether it is there or not; absent in other contexts.
    pub config: Fact<String>,
    /// What it asks in place of Docker's own registry; absent in contexts that are no engine.
    pub mirrors: Fact<Vec<String>>,
    /// Registries that it takes without a trusted certificate and over plain HTTP, as written, beside those on loopback; absent in contexts that are no
    /// engine.
    pub insecure: Fact<Vec<String>>,
    /// Whether its configuration or its command line names a proxy, beside the variables of its environment; absent in contexts that are no engine.
    #[schemars(extend("x-disclosure" = "public"))]
    pub proxied: Fact<bool>,
}
