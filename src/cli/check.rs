//! `parallax check`: from inside a job, the own view natively and the host's from a directory of published snapshots.

use super::arguments::{Check, Global};
use super::evaluate::{self, Views};
use super::exit::{Exit, Failure};
use super::views::Published;
use super::{configuration, diagnose, gather, output, views};
use crate::snapshot::{ContextKind, Snapshot};

/// Looks from here, reads the published views, compares, reports.
pub(super) fn run(arguments: &Check, global: &Global) -> Result<Exit, Failure> {
    let started = evaluate::Started::now();
    let configuration = configuration::load(global.config.as_deref()).map_err(|error| diagnose::usage(&error))?;
    let baselines = output::begin("check", &arguments.reports)?;
    let Published { views: published, mut notes, refused } =
        views::read(&arguments.views, arguments.max_age, started.ms)?;
    let mut own = gather::here(&arguments.looking, &configuration)?;
    notes.append(&mut own.notes);
    let snapshots = own.snapshots.into_iter().map(|snapshot| placed(snapshot, &published));
    let views = Views {
        snapshots: snapshots.chain(published.iter().cloned()).collect(),
        widened: Vec::new(),
        required: [arguments.require.clone(), refused].concat(),
        notes,
    };
    let mut run = evaluate::run("check", &started, views, &configuration, arguments.reports.allow_unknown)?;
    baselines.apply(&mut run)?;
    Ok(output::finish(&run, &arguments.reports, global))
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
