//! A container that is made for one run, as a runner would make it for a job, and removed after it: the one place of parallax that creates anything.
//!
//! Asked of the engine over its API. Nothing of the image is executed: the container's only program is parallax itself, copied into the container's own
//! layer, waiting. It ends by itself after a time, and the engine removes it then, so that nothing stays behind when parallax is killed.
//! The engine is told the runner's variables, as the runner would tell it; they are in no argument and in no message here.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, DeviceMapping, HealthConfig, HostConfig, NetworkCreateRequest};
use bollard::query_parameters::{
    CreateContainerOptions, CreateImageOptions, InspectContainerOptions, ListNetworksOptions, RemoveContainerOptions,
    StartContainerOptions, UploadToContainerOptions,
};
use bollard::{ClientVersion, Docker};
use hyper::body::Bytes;
use secrecy::ExposeSecret;

use crate::formats::gitlab_runner::JobContainer;
use crate::sys::process;

/// The argument with which parallax waits inside; it is no subcommand for people.
pub const HOLD: &str = "hold-a-container";
/// The name of the copy inside.
const HOLDER: &str = "/.parallax-hold";
/// Marks what was made here.
const LABEL: &str = "parallax.throwaway";
/// How long the engine may take for one answer, a pull aside.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long pulling an image may take.
const PULL: Duration = Duration::from_secs(600);

/// What to make.
pub struct Wanted<'a> {
    /// What the runner's configuration says.
    pub job: JobContainer<'a>,
    /// The public start of the runner's token.
    pub short: &'a str,
    /// The server that the runner's jobs come from.
    pub server: Option<&'a str>,
    /// The image.
    pub image: &'a str,
    /// Whether an image that is not there may be pulled.
    pub pull: bool,
    /// How long it waits before it ends by itself.
    pub lasts: Duration,
}

/// Why it could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ThrowawayError {
    /// The engine is on another machine, or named in a way that is not known here.
    #[error("the runner's engine is {0}, and only an engine behind a Unix socket of this host is asked")]
    ElsewhereEngine(String),
    /// It is not there, and may not be pulled.
    #[error("the image {0} is not on this host; --pull fetches it, --image takes another")]
    NoImage(String),
    /// A directory that is mounted is missing: the engine would make it on the host, and leave it there.
    #[error("{0}, which the runner's jobs mount, is not on this host; the engine would make it")]
    NoSource(String),
    /// Its own program could not be read.
    #[error("parallax could not read itself to put it into the container: {0}")]
    Itself(std::io::Error),
    /// The engine refused.
    #[error("the engine at {socket} {what}: {detail}")]
    Engine { socket: String, what: &'static str, detail: String },
}

/// A container that is being made, or was.
#[derive(Debug, Clone)]
pub struct Throwaway {
    engine: Docker,
    socket: String,
    /// Its name.
    pub name: String,
    network: Option<String>,
    /// Named volumes that were not there before.
    volumes: Vec<String>,
}

impl Throwaway {
    /// Asks the engine whether it can be made. Nothing is made yet, but for an image that may be pulled.
    pub async fn prepare(wanted: &Wanted<'_>) -> Result<Self, ThrowawayError> {
        let socket = socket(wanted.job.host)?;
        let version = ClientVersion { major_version: 1, minor_version: 41 };
        let refused = refusal(&socket);
        let engine = Docker::connect_with_unix(&socket, PATIENCE.as_secs(), &version)
            .map_err(|error| refused("could not be asked", &error))?;
        let engine = engine.negotiate_version().await.map_err(|error| refused("does not answer", &error))?;
        sweep(&engine).await;
        have_image(&engine, &socket, wanted).await?;
        let name = format!("parallax-job-{}-{}", tidy(wanted.short), std::process::id());
        let volumes = new_volumes(&engine, &wanted.job).await?;
        let network = wanted.job.network_per_job.then(|| name.clone());
        Ok(Self { engine, socket, name, network, volumes })
    }

    /// Makes it and starts it. Whatever this comes to, [`Throwaway::remove`] clears up.
    pub async fn begin(&self, wanted: &Wanted<'_>) -> Result<(), ThrowawayError> {
        let socket = self.socket.clone();
        let refused = refusal(&socket);
        if self.network.is_some() {
            let labels = HashMap::from([(LABEL.to_owned(), owner())]);
            let request = NetworkCreateRequest { name: self.name.clone(), labels: Some(labels), ..Default::default() };
            self.engine.create_network(request).await.map_err(|error| refused("made no network", &error))?;
        }
        let options = CreateContainerOptions { name: Some(self.name.clone()), ..Default::default() };
        let body = body(wanted, self.network.as_deref());
        self.engine
            .create_container(Some(options), body)
            .await
            .map_err(|error| refused("made no container", &error))?;
        let options = UploadToContainerOptions { path: "/".into(), ..Default::default() };
        let program = bollard::body_full(archive().map_err(ThrowawayError::Itself)?);
        self.engine
            .upload_to_container(&self.name, Some(options), program)
            .await
            .map_err(|error| refused("did not take the waiting program", &error))?;
        self.engine
            .start_container(&self.name, None::<StartContainerOptions>)
            .await
            .map_err(|error| refused("did not start the container", &error))?;
        let state = self
            .engine
            .inspect_container(&self.name, None::<InspectContainerOptions>)
            .await
            .map_err(|error| refused("lost the container", &error))?;
        match state.state.and_then(|state| state.running) {
            Some(true) => Ok(()),
            _ => Err(ThrowawayError::Engine {
                socket,
                what: "started the container, and it ended",
                detail: "at once".into(),
            }),
        }
    }

    /// Removes it, its volumes and its network.
    pub async fn remove(&self) -> Result<(), ThrowawayError> {
        let refused = refusal(&self.socket);
        let options = RemoveContainerOptions { force: true, v: true, ..Default::default() };
        let container = self.engine.remove_container(&self.name, Some(options)).await;
        if let Some(network) = &self.network {
            match self.engine.remove_network(network).await {
                Ok(()) | Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {}
                Err(error) => return Err(refused("did not remove the network", &error)),
            }
        }
        for volume in &self.volumes {
            // One that was never made, or that somebody took into use meanwhile, stays as it is.
            let _ = self.engine.remove_volume(volume, None::<bollard::query_parameters::RemoveVolumeOptions>).await;
        }
        match container {
            // It may have ended by itself, and the engine is removing it already.
            Ok(()) | Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(refused("did not remove the container", &error)),
        }
    }
}

/// Which process made something: its pid and, as pids are used again, when it started.
fn owner() -> String {
    let pid = std::process::id();
    format!("{pid}:{}", started(pid).unwrap_or_default())
}

fn started(pid: u32) -> Option<u64> {
    process::start_ticks(&process::stat_of(pid).ok()?)
}

/// Removes the networks of runs that were killed. Their containers end by themselves, and the engine removes those.
async fn sweep(engine: &Docker) {
    let filters = HashMap::from([("label".to_owned(), vec![LABEL.to_owned()])]);
    let options = ListNetworksOptions { filters: Some(filters) };
    for network in engine.list_networks(Some(options)).await.unwrap_or_default() {
        let labels = network.labels.unwrap_or_default();
        let Some((pid, start)) = labels.get(LABEL).and_then(|owner| owner.split_once(':')) else { continue };
        let is_there = pid.parse().ok().and_then(started).is_some_and(|started| started.to_string() == start);
        if let Some(name) = network.name.filter(|_| !is_there) {
            // One that is still in use is removed the next time.
            let _ = engine.remove_network(&name).await;
        }
    }
}

fn refusal(socket: &str) -> impl Fn(&'static str, &bollard::errors::Error) -> ThrowawayError + use<> {
    let socket = socket.to_owned();
    move |what, error| ThrowawayError::Engine { socket: socket.clone(), what, detail: error.to_string() }
}

fn socket(host: Option<&str>) -> Result<String, ThrowawayError> {
    match host {
        None => Ok("/var/run/docker.sock".to_owned()),
        Some(host) => {
            let path = host.strip_prefix("unix://").map(str::to_owned);
            path.ok_or_else(|| {
                ThrowawayError::ElsewhereEngine(host.split('@').next_back().unwrap_or_default().to_owned())
            })
        }
    }
}

async fn have_image(engine: &Docker, socket: &str, wanted: &Wanted<'_>) -> Result<(), ThrowawayError> {
    let refused = refusal(socket);
    match engine.inspect_image(wanted.image).await {
        Ok(_) => return Ok(()),
        Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {}
        Err(error) => return Err(refused("could not be asked for the image", &error)),
    }
    if !wanted.pull {
        return Err(ThrowawayError::NoImage(wanted.image.to_owned()));
    }
    let options = CreateImageOptions { from_image: Some(wanted.image.to_owned()), ..Default::default() };
    let pull = async {
        use futures_util::StreamExt;
        let mut steps = std::pin::pin!(engine.create_image(Some(options), None, None));
        while let Some(step) = steps.next().await {
            step?;
        }
        Ok::<(), bollard::errors::Error>(())
    };
    match tokio::time::timeout(PULL, pull).await {
        Ok(pulled) => pulled.map_err(|error| refused("did not pull the image", &error)),
        Err(_) => Err(ThrowawayError::Engine {
            socket: socket.to_owned(),
            what: "did not pull the image",
            detail: format!("no end within {} s", PULL.as_secs()),
        }),
    }
}

/// The named volumes that the engine would make for this job. A directory that it would make on the host is refused instead.
async fn new_volumes(engine: &Docker, job: &JobContainer<'_>) -> Result<Vec<String>, ThrowawayError> {
    let mut new = Vec::new();
    for source in job.volumes.iter().filter_map(|volume| volume.source.as_deref()) {
        if source.starts_with('/') {
            if std::fs::symlink_metadata(source).is_err() {
                return Err(ThrowawayError::NoSource(source.to_owned()));
            }
        } else if let Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) =
            engine.inspect_volume(source).await
        {
            new.push(source.to_owned());
        }
    }
    Ok(new)
}

/// What the engine is asked for. The labels are the runner's own, without the one by which the runner's housekeeping knows its containers.
fn body(wanted: &Wanted<'_>, network: Option<&str>) -> ContainerCreateBody {
    let job = &wanted.job;
    let owned = |texts: &[String]| Some(texts.to_vec()).filter(|texts| !texts.is_empty());
    let text = |text: Option<&str>| text.map(str::to_owned);
    let pairs = |pairs: &[(&str, &str)]| {
        let map: HashMap<String, String> = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Some(map).filter(|map| !map.is_empty())
    };
    let devices = job.devices.iter().map(|device| DeviceMapping {
        path_on_host: Some(device.host.clone()),
        path_in_container: Some(device.container.clone()),
        cgroup_permissions: Some(device.permissions.clone()),
    });
    let owner = owner();
    let labels = [
        (LABEL, owner.as_str()),
        ("com.gitlab.gitlab-runner.type", "build"),
        ("com.gitlab.gitlab-runner.runner.id", wanted.short),
    ];
    ContainerCreateBody {
        hostname: text(job.hostname),
        user: text(job.user),
        env: Some(environment(wanted)),
        entrypoint: Some(vec![HOLDER.into(), HOLD.into(), wanted.lasts.as_secs().to_string()]),
        cmd: Some(Vec::new()),
        // The image may bring a check of its own, which the engine would run.
        healthcheck: Some(HealthConfig { test: Some(vec!["NONE".into()]), ..Default::default() }),
        image: Some(wanted.image.to_owned()),
        volumes: owned(&job.managed),
        labels: pairs(&labels),
        host_config: Some(HostConfig {
            binds: owned(&job.binds),
            privileged: Some(job.privileged),
            devices: Some(devices.collect()),
            cap_add: owned(job.cap_add),
            cap_drop: owned(job.cap_drop),
            security_opt: owned(job.security_opt),
            group_add: owned(job.group_add),
            extra_hosts: Some(job.extra_hosts.iter().map(|host| (*host).to_owned()).collect()),
            dns: owned(job.dns),
            dns_search: owned(job.dns_search),
            links: owned(job.links),
            volumes_from: owned(job.volumes_from),
            tmpfs: pairs(&job.tmpfs),
            sysctls: pairs(&job.sysctls),
            shm_size: job.shm_size,
            network_mode: text(network.or(job.network_mode)),
            userns_mode: text(job.userns_mode),
            pid_mode: text(job.pid_mode),
            ipc_mode: text(job.ipc_mode),
            runtime: text(job.runtime),
            volume_driver: text(job.volume_driver),
            auto_remove: Some(true),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The runner's variables, after those that GitLab gives to every job and that are known without one.
fn environment(wanted: &Wanted<'_>) -> Vec<String> {
    let mut variables = vec!["CI=true".to_owned(), "GITLAB_CI=true".to_owned()];
    variables.push(format!("CI_RUNNER_SHORT_TOKEN={}", wanted.short));
    variables.extend(wanted.server.map(|server| format!("CI_SERVER_URL={server}")));
    variables.extend(wanted.job.environment.iter().map(|(name, value)| format!("{name}={}", value.expose_secret())));
    variables
}

/// Our own program as an archive (`tar(5)`), to be unpacked at the container's root. It belongs to root, and everybody may execute it.
fn archive() -> std::io::Result<Bytes> {
    let program = std::fs::read("/proc/self/exe")?;
    let mut header = tar::Header::new_gnu();
    header.set_size(u64::try_from(program.len()).unwrap_or(u64::MAX));
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    let mut archive = tar::Builder::new(Vec::with_capacity(program.len() + 4096));
    archive.append_data(&mut header, HOLDER.trim_start_matches('/'), program.as_slice())?;
    archive.into_inner().map(Bytes::from)
}

/// A short token as it can stand in a container's name.
fn tidy(short: &str) -> String {
    short.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-').take(20).collect()
}

/// Waits inside the container until its time is over; the kernel ends it with the container. Reads and writes nothing.
pub fn hold(seconds: Option<&str>) {
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(60_u64).min(3600);
    std::thread::sleep(Duration::from_secs(seconds));
}
