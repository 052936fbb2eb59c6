//! `parallax check`: from inside a job, the own view natively, compared with the host's.
//!
//! The host's views come from the first that is there: the server on its socket, which then compares; a directory of published snapshots; files
//! from artifacts. Without any, the own view is compared with itself as far as that goes. A server that fails is never passed over in silence:
//! without another source that was named, the run is undetermined.

mod asking;
mod served;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::arguments::{Check, Global, SOCKET, VIEWS};
use super::configuration::{self, Configuration};
use super::evaluate::{self, Started, Views};
use super::exit::{Exit, Failure};
use super::views::Published;
use super::{diagnose, gather, output, round_two, views};
use crate::check::Run;
use crate::context::discover::job_of_variables;
use crate::snapshot::{ContextKind, Snapshot};

/// How long a server is waited for, where the command line sets no deadline: longer than its own for an answer.
const ANSWER: Duration = Duration::from_secs(120);
/// What of a deadline is kept for rendering.
const RESERVE: Duration = Duration::from_millis(500);
/// The view that is missing where a server was there and gave none.
const HOST: &str = "host";

/// Looks from here, gets the other views or the findings, reports.
pub(super) fn run(arguments: &Check, global: &Global) -> Result<Exit, Failure> {
    let started = Started::now();
    let began = Instant::now();
    let configuration = configuration::load(global.config.as_deref()).map_err(|error| diagnose::usage(&error))?;
    let baselines = output::begin("check", &arguments.reports)?;
    let look = |keys| gather::here(&arguments.looking, &configuration, keys);
    let mut run = match socket(arguments) {
        Some(socket) => {
            let own = look(BTreeSet::new())?;
            let until = match arguments.looking.deadline {
                Some(deadline) => began + deadline.saturating_sub(RESERVE),
                None => Instant::now() + ANSWER,
            };
            by_server(&socket, until, own, &started, arguments, &configuration)?
        }
        None => {
            // Whose a signature is can only be said with the key at hand, and what the daemon trusts stands in its view.
            let found = views_of(arguments, &started)?;
            let own = look(round_two::keys(found.views.iter().map(|view| &view.facts)))?;
            here(own, found, Vec::new(), &started, arguments, &configuration)?
        }
    };
    baselines.apply(&mut run)?;
    Ok(output::finish(&run, &arguments.reports, global))
}

/// The server's socket: the one that is named, there or not; else the usual one, if it is there. A directory for it that holds no socket and no
/// published views is a server's that ended: its host meant to be asked.
fn socket(arguments: &Check) -> Option<PathBuf> {
    let is_there = |path: &Path| std::fs::symlink_metadata(path).is_ok();
    let usual = Path::new(SOCKET);
    let named = arguments.views.is_some() || !arguments.view.is_empty();
    let ended = || !named && usual.parent().is_some_and(is_there) && !is_there(Path::new(VIEWS));
    arguments.socket.clone().or_else(|| (is_there(usual) || ended()).then(|| usual.to_owned()))
}

fn by_server(
    socket: &Path,
    until: Instant,
    own: gather::Gathered,
    started: &Started,
    arguments: &Check,
    configuration: &Configuration,
) -> Result<Run, Failure> {
    let Some(snapshot) = own.snapshots.first().cloned().map(|snapshot| placed(snapshot, &[])) else {
        return Err(Failure::Broken("the own context gave no snapshot".into()));
    };
    let given = snapshot.clone();
    match gather::in_runtime(async { Ok(asking::ask(socket, given, until).await) })? {
        Ok(mut run) => {
            run.notes.insert(0, served::note(&run, socket));
            run.notes.extend(own.notes);
            served::own(run, started, &arguments.require, configuration, arguments.reports.allow_unknown, snapshot)
        }
        Err(error) => {
            let failed = format!("the host's server on {} gave no findings: {error}", socket.display());
            let named = arguments.views.is_some() || !arguments.view.is_empty();
            let (mut found, required) = if named {
                (views_of(arguments, started)?, Vec::new())
            } else {
                (Published::default(), vec![HOST.to_owned()])
            };
            found.notes.insert(0, failed);
            here(own, found, required, started, arguments, configuration)
        }
    }
}

/// The views of the directory and the files that are named; without any, those of the usual directory, if it is there.
fn views_of(arguments: &Check, started: &Started) -> Result<Published, Failure> {
    let usual = || Some(PathBuf::from(VIEWS)).filter(|_| arguments.view.is_empty());
    let directory = arguments.views.clone().or_else(usual);
    let listed = directory.map(|directory| views::list(&directory)).transpose();
    let (mut files, notes) = match listed {
        Ok(files) => (files.unwrap_or_default(), Vec::new()),
        Err(note) => (Vec::new(), vec![note]),
    };
    files.extend(arguments.view.iter().cloned());
    let mut found = views::read(&files, arguments.max_age, started.ms)?;
    found.notes.splice(0..0, notes);
    Ok(found)
}

/// Compares here.
fn here(
    own: gather::Gathered,
    found: Published,
    required: Vec<String>,
    started: &Started,
    arguments: &Check,
    configuration: &Configuration,
) -> Result<Run, Failure> {
    let Published { views: published, mut notes, refused } = found;
    notes.extend(own.notes);
    let snapshots: Vec<Snapshot> = own.snapshots.into_iter().map(|snapshot| placed(snapshot, &published)).collect();
    let views = Views {
        snapshots: [snapshots, published].concat(),
        widened: Vec::new(),
        required: [arguments.require.clone(), refused, required].concat(),
        notes,
    };
    evaluate::run("check", started, views, configuration, arguments.reports.allow_unknown)
}

/// Here is a job: a container where the published host has another mount namespace or is another machine, else a user of the host.
fn placed(mut snapshot: Snapshot, published: &[Snapshot]) -> Snapshot {
    let own = snapshot.facts.identity.namespaces.mnt.present().cloned();
    let host = published.iter().find(|view| view.context.kind == ContextKind::Host);
    let hosts = host.and_then(|view| view.facts.identity.namespaces.mnt.present());
    let apart = matches!((&own, hosts), (Some(own), Some(hosts)) if own.same(hosts) != Some(true));
    let header = &mut snapshot.context;
    let kind = if apart || in_container() { ContextKind::Container } else { ContextKind::User };
    header.kind = kind;
    header.role = Some("job".to_owned());
    header.job = job_of_variables(|name| std::env::var(name).ok());
    header.id = format!("{}:job", kind.word());
    header.name = "job".to_owned();
    header.chain = vec!["the job itself".to_owned()];
    snapshot
}

/// The marks that engines leave in a container (Docker's `/.dockerenv`, Podman's `/run/.containerenv`), or the `container` variable.
fn in_container() -> bool {
    ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| std::path::Path::new(mark).exists())
        || std::env::var_os("container").is_some()
}
