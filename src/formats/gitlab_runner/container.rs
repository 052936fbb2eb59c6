//! The container that a runner of the docker executor makes for a job, as far as its configuration decides it (`executors/docker/docker.go`,
//! `createContainerConfig` and `createHostConfig`). Pure: nothing is created, and nothing of the host is looked at.

use secrecy::SecretString;

use super::{Docker, Runner, Volume};

/// What a job's container is made of. Borrowed from the configuration, so that no secret is copied.
#[derive(Debug)]
pub struct JobContainer<'a> {
    /// The image of jobs that name none; a job's own `image` comes before it.
    pub image: Option<&'a str>,
    /// The engine; none for the runner's `DOCKER_HOST`, or the default socket.
    pub host: Option<&'a str>,
    /// Directories of the engine's machine, and its named volumes, as `HostConfig.Binds` takes them.
    pub binds: Vec<String>,
    /// The same, taken apart.
    pub volumes: &'a [Volume],
    /// Places for which the runner makes volumes of its own: `/cache` and its like, and the directory of the sources.
    pub managed: Vec<String>,
    /// The runner's `environment`, in order; a job's own variables come after it.
    pub environment: Vec<(&'a str, &'a SecretString)>,
    /// The network; none for the engine's default bridge.
    pub network_mode: Option<&'a str>,
    /// Whether each job gets a network of its own (`FF_NETWORK_PER_BUILD`, where no network is named).
    pub network_per_job: bool,
    pub hostname: Option<&'a str>,
    pub runtime: Option<&'a str>,
    /// For the job alone; its helper runs as its image says.
    pub user: Option<&'a str>,
    pub userns_mode: Option<&'a str>,
    pub pid_mode: Option<&'a str>,
    pub ipc_mode: Option<&'a str>,
    pub volume_driver: Option<&'a str>,
    pub privileged: bool,
    pub devices: Vec<Device>,
    pub cap_add: &'a [String],
    pub cap_drop: &'a [String],
    pub security_opt: &'a [String],
    pub group_add: &'a [String],
    pub extra_hosts: Vec<&'a str>,
    pub dns: &'a [String],
    pub dns_search: &'a [String],
    pub links: &'a [String],
    pub volumes_from: &'a [String],
    pub tmpfs: Vec<(&'a str, &'a str)>,
    pub sysctls: Vec<(&'a str, &'a str)>,
    pub shm_size: Option<i64>,
    /// The first is tried first; empty for `always`.
    pub pull_policy: &'a [String],
}

/// One element of `devices`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub host: String,
    pub container: String,
    /// Some of `rwm`.
    pub permissions: String,
}

/// Where sources lie when nothing else is said (`executors/docker/docker.go`, `DefaultBuildsDir`).
const BUILDS: &str = "/builds";

impl<'a> JobContainer<'a> {
    /// For a runner of the docker executor; none for another, or without `[runners.docker]`.
    pub fn of(runner: &'a Runner) -> Option<Self> {
        let docker = runner.docker.as_ref().filter(|_| runner.is_docker())?;
        let filled = |text: &'a Option<String>| text.as_deref().filter(|text| !text.is_empty());
        let network_mode =
            docker.network_mode.as_ref().map(|written| written.value.as_str()).filter(|mode| !mode.is_empty());
        Some(Self {
            image: filled(&docker.image),
            host: docker.host.as_ref().map(|written| written.value.as_str()).filter(|host| !host.is_empty()),
            binds: docker.volumes.iter().filter_map(Volume::bind).collect(),
            volumes: &docker.volumes,
            managed: managed(runner, docker),
            environment: runner.environment.iter().map(|one| (one.name.as_str(), &one.value)).collect(),
            network_mode,
            network_per_job: network_mode.is_none() && runner.feature_flags.get("FF_NETWORK_PER_BUILD") == Some(&true),
            hostname: filled(&docker.hostname),
            runtime: filled(&docker.runtime),
            user: filled(&docker.user),
            userns_mode: filled(&docker.userns_mode),
            pid_mode: filled(&docker.pid_mode),
            ipc_mode: filled(&docker.ipc_mode),
            volume_driver: filled(&docker.volume_driver),
            privileged: docker.privileged.as_ref().is_some_and(|written| written.value),
            devices: docker.devices.iter().map(|device| Device::of(device)).collect(),
            cap_add: &docker.cap_add,
            cap_drop: &docker.cap_drop,
            security_opt: &docker.security_opt,
            group_add: &docker.group_add,
            extra_hosts: docker.extra_hosts.iter().map(|written| written.value.as_str()).collect(),
            dns: &docker.dns,
            dns_search: &docker.dns_search,
            links: &docker.links,
            volumes_from: &docker.volumes_from,
            tmpfs: docker.tmpfs.iter().map(|(place, options)| (place.as_str(), options.as_str())).collect(),
            sysctls: docker.sysctls.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            shm_size: docker.shm_size,
            pull_policy: &docker.pull_policy,
        })
    }
}

/// The entries without a source, and the directory of the sources where no entry covers it.
fn managed(runner: &Runner, docker: &Docker) -> Vec<String> {
    let own = docker.volumes.iter().filter(|volume| volume.source.is_none()).map(|volume| volume.destination.clone());
    let builds =
        runner.builds_dir.clone().filter(|directory| !directory.is_empty()).unwrap_or_else(|| BUILDS.to_owned());
    let is_covered = docker.volumes.iter().any(|volume| covers(&volume.destination, &builds));
    own.chain((!is_covered).then_some(builds)).collect()
}

/// Whether a path is this directory or lies below it.
fn covers(directory: &str, path: &str) -> bool {
    path.strip_prefix(directory.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Device {
    /// `host[:container[:permissions]]`, as the engine's client reads it.
    fn of(text: &str) -> Self {
        let mut pieces = text.splitn(3, ':');
        let host = pieces.next().unwrap_or_default().to_owned();
        let container = pieces.next().filter(|path| !path.is_empty()).map_or_else(|| host.clone(), str::to_owned);
        let permissions = pieces.next().filter(|permissions| !permissions.is_empty()).unwrap_or("rwm").to_owned();
        Self { host, container, permissions }
    }
}
