//! Facts about the container engine: which one a client here drives, and, where our process is one, what its configuration says of registries.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::{Fact, ObjectId};

/// The container engine of this context. It is the engine that reaches registries, from its own network and with its own certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// Where Docker's client here finds its engine, such as `unix:///var/run/docker.sock` or `tcp://docker:2376`; absent where nothing names one
    /// and no socket is at the default place.
    pub host: Fact<String>,
    /// What named it: `DOCKER_HOST`, `DOCKER_CONTEXT`, `context NAME` of the client's configuration, or `default`.
    #[schemars(extend("x-disclosure" = "public"))]
    pub host_named_by: Fact<String>,
    /// Which object its socket is, for the engine itself the one that it listens at; absent for one over TCP, and where there is no socket.
    #[schemars(extend("x-disclosure" = "public"))]
    pub socket: Fact<ObjectId>,
    /// Whether this identity can write to that socket, and so have the engine do what it does; absent where there is no socket.
    #[schemars(extend("x-disclosure" = "public"))]
    pub usable: Fact<bool>,
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
