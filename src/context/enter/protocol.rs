//! What parent and child say to each other: one request on the child's standard input, records line by line on its standard output.
//!
//! Never in arguments or the environment, which other processes can read. The key of the run and a handed-over environment travel as base64 through
//! the pipe and are wiped on both ends.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::snapshot::Reason;
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::secret::{RunKey, Secret};
use crate::sys::entry::Plan;

/// The argument that makes parallax the child; it is no subcommand for people.
pub const ARGUMENT: &str = "look-from-within";

/// What to look at, from where and as whom.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Where to go and as whom.
    pub plan: Plan,
    /// Whether the process of the plan is the context's own.
    pub live: bool,
    /// Where the context's environment comes from.
    pub environment: EnvironmentSource,
    /// Boot id of the running kernel.
    pub boot: String,
    /// The key of this run.
    #[serde(with = "key_bytes", default)]
    pub key: Option<Arc<RunKey>>,
    /// What the caller wants looked at, as the probes define it.
    pub wishes: Value,
    /// The host's `/proc/locks`, read once for all; without it the child reads its own. Each reading makes every processor report to the kernel
    /// (`percpu_down_write` in `fs/locks.c`), which takes longer than all else that a child does.
    #[serde(default)]
    pub locks: Option<String>,
    /// How long entering, and each probe, may take, in milliseconds.
    pub probe_deadline_ms: u64,
}

/// Where a context's environment comes from.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnvironmentSource {
    /// `/proc/PID/environ` of the process of the plan.
    OfProcess,
    /// The caller's own, in the same form. The child is started with an empty one.
    HandedOver(#[serde(with = "secret_bytes")] Arc<Secret>),
    /// What the container's engine says that it starts processes there with.
    OfEngine(#[serde(with = "secret_bytes")] Arc<Secret>),
    /// Nobody knows it: a user without a process.
    Unobserved,
}

impl EnvironmentSource {
    /// Hands over variables, as [`std::env::vars_os`] yields them.
    pub fn handed_over(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut bytes = Vec::new();
        for (name, value) in variables {
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(b'=');
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(0);
        }
        Self::HandedOver(Arc::new(Secret::new(bytes)))
    }
}

/// What an earlier child of the same context found, for the next one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resume {
    /// Facts by family; these are not looked at again.
    pub known: BTreeMap<String, Value>,
    /// The endpoints that their configuration names.
    pub endpoints: Vec<NamedEndpoint>,
    /// Families that are given up, and why.
    pub given_up: BTreeMap<String, Reason>,
}

/// A request as it is written.
#[derive(Serialize)]
pub(super) struct Outgoing<'a> {
    pub request: &'a Request,
    pub resume: &'a Resume,
}

/// A request as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incoming {
    /// The request.
    pub request: Request,
    /// What is known already.
    #[serde(default)]
    pub resume: Resume,
}

impl Incoming {
    /// Reads the child's standard input, which has to end.
    pub fn read(mut input: impl std::io::Read) -> std::io::Result<Self> {
        // Large enough for most requests, so that growing leaves no copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(256 * 1024));
        input.read_to_end(&mut text)?;
        serde_json::from_slice(&text).map_err(Into::into)
    }
}

/// One line of the child.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// It is inside, and these are the limits.
    Entered { limits: Vec<String> },
    /// It could not enter; nothing follows.
    Failed(Reason),
    /// It begins with a family.
    Begin(String),
    /// It has looked at a family.
    Family { name: String, facts: Value },
    /// The endpoints that the configuration names.
    Endpoints(Vec<NamedEndpoint>),
    /// It stands as a beacon, on these ports of its loopback, as the probe writes them.
    Standing(Value),
    /// It has looked at everything.
    Done,
}

impl Record {
    /// Writes it as one line.
    pub fn write(&self, mut output: impl std::io::Write) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        output.write_all(&line)?;
        output.flush()
    }
}

mod key_bytes {
    use super::*;

    pub fn serialize<S: Serializer>(key: &Option<Arc<RunKey>>, serializer: S) -> Result<S::Ok, S::Error> {
        let text = key.as_ref().map(|key| Zeroizing::new(STANDARD.encode(key.expose())));
        text.as_deref().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Arc<RunKey>>, D::Error> {
        let text = Option::<&str>::deserialize(deserializer)?;
        text.map(|text| decode(text).map(|bytes| Arc::new(RunKey::new(bytes)))).transpose()
    }
}

mod secret_bytes {
    use super::*;

    pub fn serialize<S: Serializer>(secret: &Arc<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
        Zeroizing::new(STANDARD.encode(secret.expose())).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Secret>, D::Error> {
        decode(<&str>::deserialize(deserializer)?).map(|bytes| Arc::new(Secret::new(bytes)))
    }
}

/// The error names no byte of the text.
fn decode<E: serde::de::Error>(text: &str) -> Result<Vec<u8>, E> {
    STANDARD.decode(text).map_err(|_| E::custom("not base64"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::entry::TakeOn;

    #[test]
    fn key_and_environment_arrive_as_they_were_sent() {
        let request = Request {
            locks: None,
            plan: Plan { process: None, namespaces: [].into(), credentials: TakeOn::Own, locks_known: false },
            live: true,
            environment: EnvironmentSource::handed_over([("A".into(), "b=c".into())]),
            boot: "boot".into(),
            key: Some(Arc::new(RunKey::new(vec![0, 255, 7]))),
            wishes: Value::Null,
            probe_deadline_ms: 5,
        };
        let text = serde_json::to_vec(&Outgoing { request: &request, resume: &Resume::default() }).expect("json");
        let read = Incoming::read(text.as_slice()).expect("it can be read").request;
        assert_eq!(read.key.expect("a key").expose(), [0, 255, 7]);
        let EnvironmentSource::HandedOver(environment) = read.environment else { panic!("another source") };
        assert_eq!(environment.expose(), b"A=b=c\0");
    }
}
