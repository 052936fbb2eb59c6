//! The Nix store as one context sees it: where it is, who may write it, which store Nix would choose here and why, and
//! who answers at the daemon's socket.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::{Fact, List, ObjectId};

/// The Nix store as this context sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Whether anything here uses Nix: a client on PATH, a `NIX_*` variable, or the daemon itself.
    #[schemars(extend("x-disclosure" = "public"))]
    pub used: Fact<bool>,
    /// The store directory, `/nix/store` unless `NIX_STORE_DIR` says otherwise.
    pub dir: Place,
    /// The state directory, `/nix/var/nix` unless `NIX_STATE_DIR` says otherwise.
    pub state: Place,
    /// The database file, `db/db.sqlite` below the state directory.
    pub db: Place,
    /// The garbage collector's roots.
    pub gcroots: Place,
    /// The profiles.
    pub profiles: Place,
    /// The daemon's socket.
    pub socket: Place,
    /// What the database says of itself, and who holds it.
    pub database: Database,
    /// Which store Nix would choose here.
    pub chosen: Chosen,
    /// Who answers at the socket.
    pub daemon: Daemon,
    /// The client on PATH.
    pub client: Client,
}

/// One place in the filesystem, as this context reaches it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Place {
    /// The path in this context.
    pub path: Fact<String>,
    /// Whether it exists.
    #[schemars(extend("x-disclosure" = "public"))]
    pub exists: Fact<bool>,
    /// `directory`, `file`, `socket`, `fifo`, `device`, `symlink` (one that dangles).
    #[schemars(extend("x-disclosure" = "public"))]
    pub kind: Fact<String>,
    /// Which object it is.
    #[schemars(extend("x-disclosure" = "public"))]
    pub identity: Fact<ObjectId>,
    /// Permission bits in octal, such as `0755`.
    #[schemars(extend("x-disclosure" = "public"))]
    pub mode: Fact<String>,
    /// The owner's uid, as this context sees it.
    #[schemars(extend("x-disclosure" = "public"))]
    pub owner: Fact<u32>,
    /// The group's gid, as this context sees it.
    #[schemars(extend("x-disclosure" = "public"))]
    pub group: Fact<u32>,
    /// The mount it lies on.
    pub mount: Mount,
    /// Whether this identity can write it (`faccessat2(2)` with `AT_EACCESS`); a read-only mount says no.
    #[schemars(extend("x-disclosure" = "public"))]
    pub writable: Fact<bool>,
    /// Whether it can be read and written by the *real* ids (`access(2)`), which is what Nix asks before it chooses a store.
    #[schemars(extend("x-disclosure" = "public"))]
    pub real_read_write: Fact<bool>,
}

/// The mount that a place lies on (`proc_pid_mountinfo(5)`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mount {
    /// The mount point.
    pub point: Fact<String>,
    /// The filesystem type.
    #[schemars(extend("x-disclosure" = "public"))]
    pub filesystem: Fact<String>,
    /// Per-mount options, sorted.
    pub options: Fact<Vec<String>>,
    /// Whether the mount, or its filesystem, is read-only.
    #[schemars(extend("x-disclosure" = "public"))]
    pub read_only: Fact<bool>,
    /// For a bind mount: the path within its filesystem that is mounted here.
    pub bind_source: Fact<String>,
}

/// The database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// The number in the `schema` file beside it.
    #[schemars(extend("x-disclosure" = "public"))]
    pub schema: Fact<u32>,
    /// `wal` or `rollback`, from bytes 18 and 19 of the file's header; the database is never opened through SQLite.
    #[schemars(extend("x-disclosure" = "public"))]
    pub journal: Fact<String>,
    /// Whether this identity could write the database as Nix does: the file, its `big-lock` and the directory around them; absent
    /// without a database.
    #[schemars(extend("x-disclosure" = "public"))]
    pub writable: Fact<bool>,
    /// Who holds locks on the database or on its `big-lock` (`proc_locks(5)`), as the host sees it.
    #[schemars(extend("x-disclosure" = "host"))]
    pub lock_holders: Fact<List<LockHolder>>,
}

/// One holder of a lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LockHolder {
    /// The file's name.
    pub file: String,
    /// `read` or `write`.
    pub mode: String,
    /// The process.
    #[schemars(extend("x-disclosure" = "host"))]
    pub process: Fact<ObjectId>,
    /// Its pid in the host's view.
    #[schemars(extend("x-disclosure" = "host"))]
    pub pid: u32,
}

/// The store that Nix would choose here, by Nix's own rule (`src/libstore/store-api.cc`, openFromNonUri).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Chosen {
    /// `local`, `daemon` (any Unix socket), `chroot` (a store below the home directory), or the scheme of another one; absent where Nix would choose
    /// none and stop.
    #[schemars(extend("x-disclosure" = "public"))]
    pub kind: Fact<String>,
    /// As `nix store info` prints it: `local`, `daemon`, `unix:///path`, …
    pub url: Fact<String>,
    /// The setting that decided, such as `auto` or `daemon`.
    pub setting: Fact<String>,
    /// Where that setting stands: `default`, `NIX_REMOTE`, or a file and line.
    pub origin: Fact<String>,
    /// The rule that led here, in words.
    pub because: Fact<String>,
}

/// What the daemon's handshake says (`src/libstore/worker-protocol.hh`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Daemon {
    /// Whether the handshake came to its end.
    #[schemars(extend("x-disclosure" = "public"))]
    pub answers: Fact<bool>,
    /// What went wrong: an errno such as `ECONNREFUSED`, or words such as `the connection was closed`, which is how a daemon treats a user
    /// that it does not admit; absent when it answers.
    pub failure: Fact<String>,
    /// The daemon's Nix version; absent when its protocol is older than 1.33.
    #[schemars(extend("x-disclosure" = "public"))]
    pub version: Fact<String>,
    /// The protocol that the daemon offers, such as `1.34`.
    #[schemars(extend("x-disclosure" = "public"))]
    pub protocol: Fact<String>,
    /// `trusted`, `untrusted` or `unknown`, as the daemon sees this identity; absent when its protocol is older than 1.35.
    #[schemars(extend("x-disclosure" = "public"))]
    pub trust: Fact<String>,
    /// The process that listens at the socket (`SO_PEERCRED` of the connected end); behind a socket unit that is the service manager.
    #[schemars(extend("x-disclosure" = "host"))]
    pub server: Fact<ObjectId>,
}

/// The Nix client on PATH.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Client {
    /// Its path; absent when PATH has none.
    pub path: Fact<String>,
    /// Its version, from its store path or its package; it is not run.
    #[schemars(extend("x-disclosure" = "public"))]
    pub version: Fact<String>,
}
