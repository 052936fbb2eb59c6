//! Who a context is: ids, passwd entry, home, capabilities, namespaces, host, process.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::{Fact, ObjectId};

/// Who a context is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// Effective user id inside the context's own user namespace (`proc_pid_status(5)`, Uid).
    #[schemars(extend("x-disclosure" = "public"))]
    pub uid: Fact<u32>,
    /// Effective group id inside the context's own user namespace.
    #[schemars(extend("x-disclosure" = "public"))]
    pub gid: Fact<u32>,
    /// Supplementary group ids inside the context's own user namespace, sorted.
    pub groups: Fact<Vec<u32>>,
    /// The user id as the host sees it, after the user namespace's map; what a Unix socket's peer sees.
    #[schemars(extend("x-disclosure" = "public"))]
    pub host_uid: Fact<u32>,
    /// The group id as the host sees it.
    #[schemars(extend("x-disclosure" = "public"))]
    pub host_gid: Fact<u32>,
    /// The passwd entry of `uid` in the context's own `/etc/passwd`.
    pub passwd: Passwd,
    /// The home directory that programs of this context use.
    pub home: Home,
    /// File mode creation mask in octal, such as `0022` (`proc_pid_status(5)`, Umask).
    #[schemars(extend("x-disclosure" = "public"))]
    pub umask: Fact<String>,
    /// Capability sets (`capabilities(7)`), names in lower case with `cap_`.
    pub capabilities: Capabilities,
    /// Whether `no_new_privs` is set (`prctl(2)`).
    #[schemars(extend("x-disclosure" = "public"))]
    pub no_new_privs: Fact<bool>,
    /// `disabled`, `strict` or `filter` (`proc_pid_status(5)`, Seccomp).
    #[schemars(extend("x-disclosure" = "public"))]
    pub seccomp: Fact<String>,
    /// The user namespace's uid map (`user_namespaces(7)`), as seen from the host.
    pub uid_map: Fact<Vec<IdRange>>,
    /// The user namespace's gid map.
    pub gid_map: Fact<Vec<IdRange>>,
    /// The namespaces.
    pub namespaces: Namespaces,
    /// The machine and the boot.
    pub host: HostIdentity,
    /// The representative process, for contexts that have one.
    pub process: Process,
}

/// A passwd entry (`passwd(5)`); all fields are absent where the uid has none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Passwd {
    /// Login name.
    pub name: Fact<String>,
    /// Primary group id.
    pub gid: Fact<u32>,
    /// Home directory.
    pub home: Fact<String>,
    /// Shell.
    pub shell: Fact<String>,
}

/// The home directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Home {
    /// `$HOME`, or the passwd entry's where the environment has none.
    pub path: Fact<String>,
    /// `environment` or `passwd`.
    pub source: Fact<String>,
    /// Whether it exists.
    #[schemars(extend("x-disclosure" = "public"))]
    pub exists: Fact<bool>,
    /// The uid that owns it.
    #[schemars(extend("x-disclosure" = "public"))]
    pub owner: Fact<u32>,
    /// Whether this identity can create files in it (`faccessat2(2)`, effective ids).
    #[schemars(extend("x-disclosure" = "public"))]
    pub writable: Fact<bool>,
}

/// Capability sets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Capabilities {
    /// What it has now.
    pub effective: Fact<Vec<String>>,
    /// What it may have.
    pub permitted: Fact<Vec<String>>,
    /// What it could ever gain by executing a file.
    pub bounding: Fact<Vec<String>>,
}

/// One line of a uid or gid map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdRange {
    /// First id inside the namespace.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// Namespace identities (`namespaces(7)`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Namespaces {
    /// Mounts.
    #[schemars(extend("x-disclosure" = "public"))]
    pub mnt: Fact<ObjectId>,
    /// Network.
    #[schemars(extend("x-disclosure" = "public"))]
    pub net: Fact<ObjectId>,
    /// Process ids.
    #[schemars(extend("x-disclosure" = "public"))]
    pub pid: Fact<ObjectId>,
    /// User and group ids.
    #[schemars(extend("x-disclosure" = "public"))]
    pub user: Fact<ObjectId>,
    /// Host name.
    #[schemars(extend("x-disclosure" = "public"))]
    pub uts: Fact<ObjectId>,
    /// System V IPC.
    #[schemars(extend("x-disclosure" = "public"))]
    pub ipc: Fact<ObjectId>,
    /// Control groups.
    #[schemars(extend("x-disclosure" = "public"))]
    pub cgroup: Fact<ObjectId>,
}

/// The machine and the boot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HostIdentity {
    /// `/proc/sys/kernel/random/boot_id`: equal in all contexts of one running kernel.
    #[schemars(extend("x-disclosure" = "public"))]
    pub boot_id: Fact<String>,
    /// An application-specific form of `/etc/machine-id` (`sd_id128_get_machine_app_specific(3)`): the id itself stays here.
    pub machine: Fact<String>,
    /// The kernel's release, as `uname -r`.
    #[schemars(extend("x-disclosure" = "public"))]
    pub kernel: Fact<String>,
}

/// The representative process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Process {
    /// Whether there is a live process to look at.
    #[schemars(extend("x-disclosure" = "public"))]
    pub live: Fact<bool>,
    /// Which process, across the reuse of its pid.
    #[schemars(extend("x-disclosure" = "host"))]
    pub identity: Fact<ObjectId>,
    /// When it started, in milliseconds since 1970 (`proc_pid_stat(5)`, field 22, in ticks since boot).
    #[schemars(extend("x-disclosure" = "public"))]
    pub started: Fact<i64>,
    /// Its executable, as `/proc/PID/exe` names it.
    pub executable: Fact<String>,
    /// Whether that executable was replaced or deleted since it started.
    #[schemars(extend("x-disclosure" = "public"))]
    pub replaced: Fact<bool>,
    /// Where its environment was read: `process`, what it was started with (`proc_pid_environ(5)`); or `engine`, what its engine says that it starts
    /// processes there with, for the process has written over its own (`setproctitle(3)`).
    #[schemars(extend("x-disclosure" = "public"))]
    pub environment: Fact<String>,
    /// The systemd unit, by its control group.
    pub unit: Fact<String>,
}
