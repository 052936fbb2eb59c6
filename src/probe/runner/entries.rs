//! The `[[runners]]` entries as facts, and the endpoints that they name.

use secrecy::ExposeSecret;

use super::{Read, Target, fact, incomplete};
use crate::formats::endpoint_url::EndpointUrl;
use crate::formats::gitlab_runner::{Docker, Runner, S3, Variable, Volume};
use crate::formats::store_reference::without_secrets;
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::{RunnerEntry, RunnerVariable};
use crate::snapshot::secret::Secret;
use crate::snapshot::{Fact, List, Reason};
use crate::sys::LookError;

/// Variables whose values hold no secret.
const PLAIN: [&str; 16] = [
    "NIX_STORE_DIR",
    "NIX_STATE_DIR",
    "NIX_CONF_DIR",
    "NIX_DAEMON_SOCKET_PATH",
    "NIX_SSL_CERT_FILE",
    "SSL_CERT_FILE",
    "GIT_SSL_CAINFO",
    "PATH",
    "HOME",
    "USER",
    "TMPDIR",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "DOCKER_TLS_CERTDIR",
    "no_proxy",
];
/// Variables that name an endpoint, of which scheme, host and port are kept.
const ENDPOINTS: [&str; 9] = [
    "DOCKER_HOST",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
];

/// All entries of the file that was read.
pub(super) fn all(target: &Target<'_>, read: &Fact<Read>, directory: &Fact<String>) -> Fact<List<RunnerEntry>> {
    read.as_ref().map(|read| {
        let items = read.configuration.runners.iter().map(|runner| entry(target, read, runner, directory)).collect();
        // Where the runner stops at something, an entry may say more than was understood.
        let more = read.configuration.problems.first().map(|problem| Reason::Malformed {
            path: read.path.clone(),
            line: Some(problem.line),
            detail: format!("{}: {}", problem.key, problem.detail),
        });
        List { items, more }
    })
}

fn entry(target: &Target<'_>, read: &Read, runner: &Runner, directory: &Fact<String>) -> RunnerEntry {
    let none = Docker::default();
    let docker = runner.docker.as_ref().unwrap_or(&none);
    let s3 = runner.cache.as_ref().and_then(|cache| cache.s3.as_ref());
    let filled = |text: Option<&String>| Fact::from(text.filter(|text| !text.is_empty()).cloned());
    let url = |url: Option<&String>| filled(url).map(|url| EndpointUrl::parse(&url).origin());
    let token = runner.token.as_ref().filter(|token| !token.expose_secret().is_empty());
    let (bundle, bundle_exists) = bundle(target, runner, directory);
    RunnerEntry {
        short: runner.short.clone(),
        origin: format!("{}:{}", read.path, runner.line),
        fingerprint: match (token, target.key) {
            (None, _) => Fact::Absent,
            (Some(_), None) => Fact::Unobserved(Reason::Withheld),
            (Some(token), Some(key)) => {
                Fact::Present(Secret::from(token.expose_secret()).fingerprint(key, "gitlab-runner"))
            }
        },
        url: url(runner.url.as_ref().map(|url| &url.value)),
        host: host(runner).into(),
        clone_url: url(runner.clone_url.as_ref().map(|url| &url.value)),
        executor: filled(Some(&runner.executor)),
        image: filled(docker.image.as_ref()),
        helper_image: filled(docker.helper_image.as_ref()),
        privileged: Fact::Present(docker.privileged.as_ref().is_some_and(|written| written.value)),
        cap_add: Fact::Present(docker.cap_add.clone()),
        network_mode: filled(docker.network_mode.as_ref().map(|mode| &mode.value)),
        user: filled(docker.user.as_ref()),
        devices: Fact::Present(docker.devices.clone()),
        extra_hosts: Fact::Present(docker.extra_hosts.iter().map(|line| line.value.clone()).collect()),
        dns: Fact::Present(docker.dns.clone()),
        pull_policy: Fact::Present(docker.pull_policy.clone()),
        engine: engine(target, docker),
        volumes: Fact::Present(docker.volumes.iter().map(written).collect()),
        environment: Fact::Present(List::complete(environment(&runner.environment))),
        bundle,
        bundle_exists,
        cache: s3.and_then(S3::url).map(|url| EndpointUrl::parse(&url).origin()).into(),
        cache_bucket: filled(s3.and_then(|s3| s3.bucket.as_ref())),
        cache_shared: Fact::Present(runner.cache.as_ref().is_some_and(|cache| cache.shared)),
        feature_flags: Fact::Present(
            runner.feature_flags.iter().filter(|(_, on)| **on).map(|(name, _)| name.clone()).collect(),
        ),
    }
}

/// As the runner's own grammar has it, each with its mode.
fn written(volume: &Volume) -> String {
    volume.bind().unwrap_or_else(|| volume.destination.clone())
}

/// What `host` says, else the runner's `DOCKER_HOST`.
fn engine(target: &Target<'_>, docker: &Docker) -> Fact<String> {
    match docker.host.as_ref().filter(|host| !host.value.is_empty()) {
        Some(host) => Fact::Present(address(&host.value)),
        None => match target.variable("DOCKER_HOST") {
            Fact::Present("") | Fact::Unobserved(Reason::NoProcess) => Fact::Absent,
            given => given.map(address),
        },
    }
}

/// Sockets keep their paths, and everything else loses what may be a secret.
fn address(text: &str) -> String {
    if text.starts_with("unix://") { text.to_owned() } else { EndpointUrl::parse(text).origin() }
}

fn host(runner: &Runner) -> Option<String> {
    let bundle = runner.automatic_bundle()?;
    Some(bundle.strip_prefix("certs/")?.strip_suffix(".crt")?.to_owned())
}

/// The bundle in use, and whether it exists.
fn bundle(target: &Target<'_>, runner: &Runner, directory: &Fact<String>) -> (Fact<String>, Fact<bool>) {
    let is_tls = runner.url.as_ref().is_some_and(|url| url.value.starts_with("https://"));
    if !is_tls {
        return (Fact::Absent, Fact::Absent);
    }
    let path = match runner.tls_ca_file.as_ref().filter(|file| !file.value.is_empty()) {
        Some(file) if file.value.starts_with('/') => Fact::Present(file.value.clone()),
        Some(_) => Fact::Unobserved(Reason::NotEmulated {
            what: "the working directory, to which tls-ca-file is relative".to_owned(),
        }),
        None => directory.as_ref().and_then(|directory| {
            Fact::from(runner.automatic_bundle()).map(|bundle: String| format!("{directory}/{bundle}"))
        }),
    };
    let exists = path.as_ref().and_then(|path| match incomplete(target) {
        Some(reason) => Fact::Unobserved(reason),
        None => match target.root.look(path) {
            Err(LookError::NotFound { .. }) => Fact::Present(false),
            looked => fact(looked).map(|_| true),
        },
    });
    (path, exists)
}

fn environment(variables: &[Variable]) -> Vec<RunnerVariable> {
    let mut found: Vec<RunnerVariable> = Vec::new();
    for variable in variables {
        let value = variable.value.expose_secret();
        let value = match variable.name.as_str() {
            "NIX_REMOTE" => Fact::Present(without_secrets(value)),
            name if ENDPOINTS.contains(&name) => Fact::Present(address(value)),
            name if PLAIN.contains(&name) => Fact::Present(value.to_owned()),
            _ => Fact::Unobserved(Reason::Withheld),
        };
        // A later line of the same name holds.
        found.retain(|known| known.name != variable.name);
        found.push(RunnerVariable { name: variable.name.clone(), value });
    }
    found.sort_by(|one, two| one.name.cmp(&two.name));
    found
}

/// What an entry names: for the runner itself its server and its cache; for helpers also what they clone from.
pub fn endpoints(entry: &RunnerEntry, of_helper: bool) -> Vec<NamedEndpoint> {
    let clone_url = if of_helper { entry.clone_url.present() } else { None };
    let all = [("server", entry.url.present()), ("clone_url", clone_url), ("cache", entry.cache.present())];
    let endpoint = |(what, url): (&str, Option<&String>)| {
        Some(NamedEndpoint {
            url: url.filter(|url| !url.is_empty())?.clone(),
            named_by: format!("gitlab-runner {what} of {}", entry.short),
            origin: entry.origin.clone(),
        })
    };
    all.into_iter().filter_map(endpoint).collect()
}

/// A variable's value, where the entry sets it and it may be shown.
pub(super) fn variable<'a>(entry: &'a RunnerEntry, name: &str) -> Option<&'a Fact<String>> {
    let all = entry.environment.present()?;
    all.items.iter().find(|variable| variable.name == name).map(|variable| &variable.value)
}
