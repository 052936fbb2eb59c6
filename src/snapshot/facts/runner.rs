//! GitLab Runner: which configuration a context's runner uses, what each `[[runners]]` entry of it declares for jobs, and, in a job, what became of
//! that. Never a token or a key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::snapshot::secret::Fingerprint;
use crate::snapshot::{Fact, List, ObjectId};

/// GitLab Runner as this context has to do with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Runner {
    /// Whether the process of this context is a runner that takes jobs (`gitlab-runner run`).
    #[schemars(extend("x-disclosure" = "public"))]
    pub manager: Fact<bool>,
    /// The configuration file that it uses, or that `gitlab-runner` would use if it were started here (`commands/config_unix.go`); absent where there is
    /// neither a home nor an option.
    pub config: Fact<String>,
    /// What decided about that file: `--config`, `CONFIG_FILE`, `root` or `home`.
    #[schemars(extend("x-disclosure" = "public"))]
    pub config_named_by: Fact<String>,
    /// Every place at which this context could have a configuration.
    pub files: Fact<List<RunnerFile>>,
    /// The `[[runners]]` entries of `config`; absent where that file does not exist.
    pub entries: Fact<List<RunnerEntry>>,
    /// What the runner does not accept in `config`.
    pub problems: Fact<List<RunnerProblem>>,
    /// The bundles that a runner started here would find by itself: `certs/<host>.crt` in its configuration directory.
    pub bundles: Fact<List<RunnerBundle>>,
    /// The system id in `.runner_system_id` beside `config`; absent where there is none that the runner takes.
    #[schemars(extend("x-disclosure" = "public"))]
    pub system_id: Fact<String>,
    /// The system id that the machine id of this context gives (`commands/internal/configfile/system_id_state.go`); absent without a machine id.
    #[schemars(extend("x-disclosure" = "public"))]
    pub machine_system_id: Fact<String>,
    /// In a job, helper or service: the runner that made it, by the public start of its token; absent elsewhere.
    #[schemars(extend("x-disclosure" = "public"))]
    pub short: Fact<String>,
    /// In a job: what is mounted at the places for which its runner declares directories of the host; absent where nothing is declared.
    pub places: Fact<List<RunnerPlace>>,
    /// In a declared context: the directories of the host that the runner mounts into its jobs; absent elsewhere.
    pub volumes: Fact<List<RunnerVolume>>,
    /// In a declared context: what of the host's Nix these directories hold at the places where jobs look for it; absent elsewhere.
    pub given: Fact<List<RunnerGiven>>,
    /// In a declared context: the `sandbox` setting of a nix.conf that a volume puts into jobs; absent where none does, or none is set.
    pub sandbox: Fact<String>,
}

/// One place of a configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunnerFile {
    /// The path.
    pub path: String,
    /// What names it: `--config`, `CONFIG_FILE`, `root` or `home`.
    pub named_by: String,
    /// Whether it is the one in use.
    pub used: bool,
    /// Whether it exists.
    pub exists: Fact<bool>,
    /// Permission bits in octal.
    pub mode: Fact<String>,
    /// The owner's uid.
    pub owner: Fact<u32>,
}

/// One `[[runners]]` entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunnerEntry {
    /// The public start of its token, by which labels and `CI_RUNNER_SHORT_TOKEN` name it.
    #[schemars(extend("x-disclosure" = "public"))]
    pub short: String,
    /// The file and line.
    pub origin: String,
    /// Fingerprint of its token; absent without one.
    #[schemars(extend("x-disclosure" = "never"))]
    pub fingerprint: Fact<Fingerprint>,
    /// The server, without userinfo.
    pub url: Fact<String>,
    /// The server's host name, without a port.
    pub host: Fact<String>,
    /// What jobs clone from, where that is set.
    pub clone_url: Fact<String>,
    /// `docker`, `shell`, …
    #[schemars(extend("x-disclosure" = "public"))]
    pub executor: Fact<String>,
    /// The image of jobs that name none.
    pub image: Fact<String>,
    /// The image of helpers, where it is set.
    pub helper_image: Fact<String>,
    /// Whether jobs are privileged.
    #[schemars(extend("x-disclosure" = "public"))]
    pub privileged: Fact<bool>,
    /// Capabilities that jobs get beside the engine's, as written.
    #[schemars(extend("x-disclosure" = "public"))]
    pub cap_add: Fact<Vec<String>>,
    /// The network that jobs are put into; absent for the engine's default.
    #[schemars(extend("x-disclosure" = "public"))]
    pub network_mode: Fact<String>,
    /// The user of jobs; absent where the image decides.
    #[schemars(extend("x-disclosure" = "public"))]
    pub user: Fact<String>,
    /// Devices of the host that jobs get, as written.
    pub devices: Fact<Vec<String>>,
    /// `name:address` lines for jobs.
    pub extra_hosts: Fact<Vec<String>>,
    /// Name servers for jobs.
    pub dns: Fact<Vec<String>>,
    /// `always`, `if-not-present`, `never`, in the order tried; empty for the default.
    #[schemars(extend("x-disclosure" = "public"))]
    pub pull_policy: Fact<Vec<String>>,
    /// The engine, where it is set.
    pub engine: Fact<String>,
    /// Volumes, as written.
    pub volumes: Fact<Vec<String>>,
    /// Variables that jobs get, sorted by name; the value of one that may hold a secret is withheld.
    pub environment: Fact<List<RunnerVariable>>,
    /// The bundle that the server's certificate is held against: what `tls-ca-file` says, else `certs/<host>.crt` of the runner's configuration directory;
    /// absent for a server without TLS.
    pub bundle: Fact<String>,
    /// Whether that bundle exists; absent for a server without TLS.
    pub bundle_exists: Fact<bool>,
    /// The S3 cache, as `scheme://host:port`; absent without one, or for AWS itself.
    pub cache: Fact<String>,
    /// The bucket of the cache.
    pub cache_bucket: Fact<String>,
    /// Whether runners share the cache.
    #[schemars(extend("x-disclosure" = "public"))]
    pub cache_shared: Fact<bool>,
    /// Feature flags that are on, sorted.
    #[schemars(extend("x-disclosure" = "public"))]
    pub feature_flags: Fact<Vec<String>>,
}

/// One variable that a runner gives to its jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunnerVariable {
    /// Its name.
    pub name: String,
    /// Its value, without userinfo.
    pub value: Fact<String>,
}

/// Something that the runner does not accept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunnerProblem {
    /// The file and line.
    pub origin: String,
    /// The key.
    pub key: String,
    /// What is wrong, without any text of the value.
    pub detail: String,
}

/// One bundle of certificates that a runner finds by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunnerBundle {
    /// The server's host name.
    pub host: String,
    /// The path.
    pub path: String,
}

/// What a job sees at a place for which its runner declares a directory of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunnerPlace {
    /// The runner, by the public start of its token.
    pub runner: String,
    /// The place.
    pub destination: String,
    /// Whether something is mounted at this very place.
    pub mounted: Fact<bool>,
    /// Whether that mount is read-only.
    pub read_only: Fact<bool>,
    /// Which object is seen there; absent when there is none.
    pub identity: Fact<ObjectId>,
}

/// Something of the host's Nix that a volume gives to jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunnerGiven {
    /// `store`, `database` or `socket`.
    #[schemars(extend("x-disclosure" = "public"))]
    pub what: String,
    /// Where jobs have it.
    pub path: String,
    /// Which object it is.
    #[schemars(extend("x-disclosure" = "public"))]
    pub identity: Fact<ObjectId>,
    /// Whether it is mounted read-only.
    #[schemars(extend("x-disclosure" = "public"))]
    pub read_only: Fact<bool>,
}

/// A directory of the host that a runner mounts into its jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunnerVolume {
    /// The runner, by the public start of its token.
    pub runner: String,
    /// The file and line.
    pub origin: String,
    /// The directory or file on the machine of the engine.
    pub source: String,
    /// Where jobs have it.
    pub destination: String,
    /// Whether it is mounted read-only.
    pub read_only: bool,
    /// Which object the source is; absent when there is none.
    pub identity: Fact<ObjectId>,
}
