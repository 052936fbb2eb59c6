//! Paths that one context names and another must see: files of Nix settings, sockets, roots of the garbage collector, sources of volumes. What a path
//! leads to is said by the kernel; no content is read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::{Fact, List, ObjectId};

/// Paths that this context's configuration names, and what is here at those that others name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Paths {
    /// The files that Nix settings name here (`netrc-file`, `ssl-cert-file`, hooks, keys), those of built-in defaults left out.
    pub files: Fact<List<NamedFile>>,
    /// The engine sockets that variables and Docker's client configuration name here, and the one that Docker's client takes by itself, where it
    /// is there.
    pub sockets: Fact<List<NamedSocket>>,
    /// In the Nix daemon: the paths that its clients registered as roots of the garbage collector (`gcroots/auto` below the state directory,
    /// `nix-store(1)`, `--add-root`); absent elsewhere.
    pub registered: Fact<List<String>>,
    /// The directories that a job works in: `CI_PROJECT_DIR` and `CI_BUILDS_DIR`, where they are absolute.
    pub workplaces: Fact<Vec<String>>,
    /// What is mounted here from the machine of the engine, by the engine's word; absent where no engine lists this container.
    pub binds: Fact<List<BindSource>>,
    /// What is here at the paths that contexts linked with this one name. Of the roots of a daemon, its clients hold only those where something is.
    pub seen: Fact<List<SeenPath>>,
}

/// A file that a Nix setting names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NamedFile {
    /// The setting.
    #[schemars(extend("x-disclosure" = "public"))]
    pub setting: String,
    /// The path.
    pub path: String,
    /// Where the line stands: `file:line` or `NIX_CONFIG:line`.
    pub origin: String,
    /// `system` (a client never sends it to the daemon), `user` or `environment`.
    #[schemars(extend("x-disclosure" = "public"))]
    pub level: String,
    /// Whether it exists here.
    #[schemars(extend("x-disclosure" = "public"))]
    pub exists: Fact<bool>,
    /// Whether this identity can read it; absent where there is none.
    #[schemars(extend("x-disclosure" = "public"))]
    pub readable: Fact<bool>,
    /// Which object it is; absent where there is none.
    #[schemars(extend("x-disclosure" = "public"))]
    pub identity: Fact<ObjectId>,
}

/// A socket of a container engine, as this context reaches it. It is connected to and nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NamedSocket {
    /// `DOCKER_HOST`, `CONTAINER_HOST`, `docker context`, or `docker` for the place that Docker's client takes when nothing names one.
    #[schemars(extend("x-disclosure" = "public"))]
    pub named_by: String,
    /// The path.
    pub path: String,
    /// Whether something is there.
    #[schemars(extend("x-disclosure" = "public"))]
    pub exists: Fact<bool>,
    /// `socket`, `directory`, `file`, …; absent where nothing is.
    #[schemars(extend("x-disclosure" = "public"))]
    pub kind: Fact<String>,
    /// Which object it is; absent where nothing is.
    #[schemars(extend("x-disclosure" = "public"))]
    pub identity: Fact<ObjectId>,
    /// The gid of its group as this context sees it; absent where nothing is.
    #[schemars(extend("x-disclosure" = "public"))]
    pub group: Fact<u32>,
    /// Whether something is mounted at this very place, and not on a directory above it.
    #[schemars(extend("x-disclosure" = "public"))]
    pub mounted: Fact<bool>,
    /// Whether a connection comes about (`connect(2)`).
    #[schemars(extend("x-disclosure" = "public"))]
    pub connects: Fact<bool>,
    /// Why none does: `ENOENT` (nothing is there), `ECONNREFUSED` (nobody listens), `EACCES` (no right to), `not a socket`, or another errno; absent
    /// where one does.
    #[schemars(extend("x-disclosure" = "public"))]
    pub failure: Fact<String>,
    /// The process that listens (`SO_PEERCRED` of the connected end); behind a socket unit that is the service manager. Absent without a connection.
    #[schemars(extend("x-disclosure" = "host"))]
    pub server: Fact<ObjectId>,
}

/// A directory or file that an engine mounted from its machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BindSource {
    /// The path on the engine's machine.
    pub source: String,
    /// Where it is here.
    pub destination: String,
    /// Which object is here; absent where nothing is.
    #[schemars(extend("x-disclosure" = "public"))]
    pub identity: Fact<ObjectId>,
}

/// What is here at a path that another context names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SeenPath {
    /// The path.
    pub path: String,
    /// What it is named as: `root` of the garbage collector, `file` of a setting, `volume`.
    #[schemars(extend("x-disclosure" = "public"))]
    pub named_as: String,
    /// For a volume: the id of the context that has it mounted; absent for others.
    #[schemars(extend("x-disclosure" = "public"))]
    pub mounted_by: Fact<String>,
    /// Whether something is there: of a root the link itself counts, of others what it leads to.
    #[schemars(extend("x-disclosure" = "public"))]
    pub exists: Fact<bool>,
    /// Of a root: where its link points, as written; absent where there is no link.
    pub target: Fact<String>,
    /// Of a root: whether it is a link to an object of the store that is there. One that this identity may not look at is none of its own.
    #[schemars(extend("x-disclosure" = "public"))]
    pub live: Fact<bool>,
    /// Whether this identity can read it; absent where there is nothing.
    #[schemars(extend("x-disclosure" = "public"))]
    pub readable: Fact<bool>,
    /// Which object it leads to; absent where there is nothing.
    #[schemars(extend("x-disclosure" = "public"))]
    pub identity: Fact<ObjectId>,
    /// Whether it lies in the layers of a container's own image, and so nowhere else at this path: on the overlay that is mounted at `/`. Absent
    /// where there is nothing.
    #[schemars(extend("x-disclosure" = "public"))]
    pub layered: Fact<bool>,
}
