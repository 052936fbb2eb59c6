//! What container engines say over their API: names, images and labels of the running containers, and what they start processes in one with.
//!
//! The API only adds to what procfs shows; a socket that is not there is no source, one that refuses or does not answer in time is a note.
//! Of the labels only those of GitLab Runner and Compose are kept. A socket that belongs to neither root nor ourselves is not asked: it could
//! answer without end.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions};
use bollard::{ClientVersion, Docker};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use zeroize::Zeroize;

use crate::snapshot::ObjectId;
use crate::snapshot::secret::Secret;

/// How long one engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many questions an engine is asked at once.
const AT_ONCE: usize = 8;
/// Most containers that are taken from one engine.
const CAP: usize = 20_000;
/// The sockets that engines have by default.
pub const DEFAULT_SOCKETS: [&str; 2] = ["/var/run/docker.sock", "/run/podman/podman.sock"];
/// Prefixes of the labels that are kept.
const LABELS: [&str; 2] = ["com.gitlab.", "com.docker.compose."];

/// One container, as its engine names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without the leading slash.
    pub name: String,
    pub image: Option<String>,
    /// Those of GitLab Runner and Compose.
    pub labels: BTreeMap<String, String>,
    /// Source and destination of the directories and files of the engine's machine that are mounted into it; volumes with a name are none.
    pub binds: Vec<(String, String)>,
    /// When it was made, in seconds since 1970.
    pub created: Option<i64>,
    /// The process that listens at the engine's socket (`unix(7)`, `SO_PEERCRED`); behind a socket unit that is the service manager.
    pub server: Option<ObjectId>,
    /// The socket of the engine that was asked.
    pub socket: String,
}

/// What all engines said.
#[derive(Debug, Default)]
pub struct Engines {
    /// The containers, by id.
    pub containers: BTreeMap<String, Named>,
    /// Sources that could not be read.
    pub notes: Vec<String>,
}

/// Asks the engines at these sockets, one after the other; those that are the same socket once. `labels` are keys that are kept beside the usual
/// ones.
pub async fn ask(sockets: &[String], labels: &[String]) -> Engines {
    let mut engines = Engines::default();
    let mut asked = Vec::new();
    for socket in sockets {
        let metadata = match std::fs::metadata(socket) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                engines.notes.push(format!("{socket} could not be looked at ({})", error.kind()));
                continue;
            }
        };
        let identity = (metadata.dev(), metadata.ino());
        if asked.contains(&identity) {
            continue;
        }
        asked.push(identity);
        if metadata.uid() != 0 && metadata.uid() != rustix::process::geteuid().as_raw() {
            engines.notes.push(format!("{socket} belongs to uid {}: not asked for names", metadata.uid()));
            continue;
        }
        match tokio::time::timeout(PATIENCE, containers(socket, labels)).await {
            Ok(Ok(found)) => {
                let server = server(socket);
                let of_it = |named: Named| {
                    (named.id.clone(), Named { server: server.clone(), socket: socket.clone(), ..named })
                };
                engines.containers.extend(found.into_iter().map(of_it));
            }
            Ok(Err(error)) => engines.notes.push(format!("{socket} did not list its containers: {}", cause(&error))),
            Err(_) => engines.notes.push(format!("{socket} did not answer within {} s", PATIENCE.as_secs())),
        }
    }
    if asked.is_empty() && engines.notes.is_empty() {
        engines.notes.push(format!("no container engine: there is no {}", sockets.join(", no ")));
    }
    engines
}

/// The innermost error: the outer ones say that something with a client went wrong.
fn cause(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().unwrap_or(error).to_string()
}

/// Who listens there; none where that can't be said.
fn server(socket: &str) -> Option<ObjectId> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let stream = crate::sys::Root::open("/").ok()?.connect(socket).ok()?;
    let pid = crate::sys::peer::credentials(&stream).ok()?.pid;
    let ticks = crate::sys::process::start_ticks(&crate::sys::process::stat_of(pid).ok()?)?;
    Some(ObjectId::process(boot.trim(), pid, ticks))
}

/// What an engine says of one container.
pub struct Described {
    /// What it starts processes there with, as `docker exec` does: NUL-separated entries.
    pub environment: Arc<Secret>,
    /// Its first process, by the engine's pid.
    pub process: Option<u32>,
}

/// What the engines of these containers say of each, or why that is not known, by the container's id. `HOME` is in an environment only where somebody
/// set it; without it the runtime takes the one of `/etc/passwd`. One container of which its engine does not speak, as of one that it is about to stop,
/// takes no time from the others.
pub async fn describe(wanted: Vec<Named>) -> BTreeMap<String, Result<Described, String>> {
    let until = tokio::time::Instant::now() + PATIENCE;
    let late =
        |named: &Named| format!("{} did not describe {} within {} s", named.socket, named.name, PATIENCE.as_secs());
    let mut answers: BTreeMap<_, _> = wanted.iter().map(|named| (named.id.clone(), Err(late(named)))).collect();
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for named in wanted {
        let turns = Arc::clone(&turns);
        running.spawn(async move {
            let _turn = turns.acquire().await;
            let answer = described(&named.socket, &named.id).await;
            let failed = |error| format!("{} did not describe {}: {}", named.socket, named.name, cause(&error));
            (named.id.clone(), answer.map(Described::of).map_err(failed))
        });
    }
    while let Ok(Some(joined)) = tokio::time::timeout_at(until, running.join_next()).await {
        answers.extend(joined);
    }
    answers
}

impl Described {
    fn of(answer: ContainerInspectResponse) -> Self {
        let mut text = Vec::new();
        for mut entry in answer.config.and_then(|config| config.env).unwrap_or_default() {
            text.extend_from_slice(entry.as_bytes());
            text.push(0);
            entry.zeroize();
        }
        let process = answer.state.and_then(|state| u32::try_from(state.pid?).ok());
        Self { environment: Arc::new(Secret::new(text)), process: process.filter(|pid| *pid != 0) }
    }
}

async fn described(socket: &str, id: &str) -> Result<ContainerInspectResponse, Error> {
    let wanted = None::<InspectContainerOptions>;
    match engine(socket, OLD)?.inspect_container(id, wanted.clone()).await {
        Err(error) if is_about_the_version(&error) => engine(socket, NEW)?.inspect_container(id, wanted).await,
        answer => answer,
    }
}

async fn containers(socket: &str, labels: &[String]) -> Result<Vec<Named>, Error> {
    let wanted = None::<ListContainersOptions>;
    let summaries = match engine(socket, OLD)?.list_containers(wanted.clone()).await {
        Err(error) if is_about_the_version(&error) => engine(socket, NEW)?.list_containers(wanted).await?,
        answer => answer?,
    };
    Ok(summaries.into_iter().take(CAP).filter_map(|summary| named(summary, labels)).collect())
}

/// Engines refuse versions that they do not know yet or no more; these two are known to all since Docker 20.10.
const OLD: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };
const NEW: ClientVersion = ClientVersion { major_version: 1, minor_version: 44 };

fn is_about_the_version(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 400, .. })
}

fn engine(socket: &str, version: ClientVersion) -> Result<Docker, Error> {
    Docker::connect_with_unix(socket, PATIENCE.as_secs(), &version)
}

fn named(summary: bollard::models::ContainerSummary, wanted: &[String]) -> Option<Named> {
    let id = summary.id.filter(|id| crate::formats::cgroup::is_container_id(id))?;
    let name = summary.names.unwrap_or_default().into_iter().next();
    let name = name.map(|name| name.trim_start_matches('/').to_owned()).filter(|name| !name.is_empty());
    let labels = summary.labels.unwrap_or_default().into_iter();
    let binds = summary.mounts.unwrap_or_default().into_iter().filter(|mount| mount.typ.as_deref() == Some("bind"));
    let kept = |key: &String| wanted.contains(key) || LABELS.iter().any(|prefix| key.starts_with(prefix));
    Some(Named {
        name: name.unwrap_or_else(|| id.chars().take(12).collect()),
        image: summary.image,
        labels: labels.filter(|(key, _)| kept(key)).collect(),
        binds: binds.filter_map(|mount| Some((mount.source?, mount.destination?))).collect(),
        created: summary.created,
        server: None,
        socket: String::new(),
        id,
    })
}

#[cfg(test)]
mod tests {
    use super::{ask, describe, named};
    use bollard::models::ContainerSummary;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn only_the_labels_of_the_runner_and_of_compose_are_kept() {
        let labels =
            [("com.gitlab.gitlab-runner.type", "build"), ("token", "secret"), ("com.docker.compose.service", "db")];
        let summary = ContainerSummary {
            id: Some("a".repeat(64)),
            names: Some(vec!["/web".into()]),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ContainerSummary::default()
        };
        let named = named(summary, &[]).expect("a container");
        assert_eq!((named.name.as_str(), named.labels.len()), ("web", 2));
        assert!(!named.labels.contains_key("token"));
    }

    #[tokio::test]
    async fn an_engine_that_never_answers_is_a_note_and_no_hang() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("docker.sock");
        let _silent = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
        let begun = std::time::Instant::now();
        let engines = ask(&[path.to_string_lossy().into_owned()], &[]).await;
        assert!(begun.elapsed().as_secs() < 5);
        assert!(engines.notes[0].contains("did not"), "{:?}", engines.notes);
    }

    /// Stands in for an engine that hangs over one container, which no real one can be brought to.
    async fn engine_that_hangs_over(id: String, listener: tokio::net::UnixListener) {
        let body = r#"{"Config":{"Env":["PATH=/bin","A=b"]},"State":{"Pid":7}}"#;
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let count = stream.read(&mut request).await.unwrap_or_default();
            if !String::from_utf8_lossy(&request[..count]).contains(&id) {
                let _ = stream.write_all(answer.as_bytes()).await;
            }
            kept.push(stream);
        }
    }

    #[tokio::test]
    async fn a_container_that_its_engine_hangs_over_takes_no_environment_from_another() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("docker.sock");
        let listener = tokio::net::UnixListener::bind(&path).expect("a socket");
        let of = |digit: &str| {
            let summary = ContainerSummary { id: Some(digit.repeat(64)), ..ContainerSummary::default() };
            let named = named(summary, &[]).expect("a container");
            super::Named { socket: path.to_string_lossy().into_owned(), ..named }
        };
        tokio::spawn(engine_that_hangs_over("a".repeat(64), listener));
        let answers = describe(vec![of("a"), of("b")]).await;
        let known = answers[&"b".repeat(64)].as_ref().expect("an environment");
        assert_eq!((known.environment.expose(), known.process), (b"PATH=/bin\0A=b\0".as_slice(), Some(7)));
        let reason = answers[&"a".repeat(64)].as_ref().err().expect("a reason");
        assert!(reason.contains("did not describe aaaaaaaaaaaa within 2 s"), "{reason}");
    }

    #[tokio::test]
    async fn a_host_without_an_engine_s_socket_is_told_so_in_one_note() {
        let notes = ask(&["/nonexistent/docker.sock".into()], &[]).await.notes;
        assert_eq!(notes, ["no container engine: there is no /nonexistent/docker.sock"]);
    }
}
