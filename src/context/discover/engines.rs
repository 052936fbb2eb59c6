//! What engines say of the containers that contexts are in: who lists them, what is mounted, and with what processes are started there.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Discovered;
use super::containers::Units;
use super::docker::{self, Described, Named};
use super::here::Here;
use super::names::Names;
use crate::context::{Context, EnvironmentSource};
use crate::snapshot::ObjectId;
use crate::sys::process::ProcessDirectory;

/// What engines say of the containers that contexts are of, by the contexts' ids.
pub fn of_contexts(
    here: &Here<'_>,
    found: &Discovered,
    units: &Units<'_>,
    names: &Names<'_>,
) -> BTreeMap<String, Named> {
    let mut by_process: BTreeMap<ObjectId, &Named> = BTreeMap::new();
    for (standing, (members, _)) in units {
        let Some(named) = names.engine_of(standing) else { continue };
        by_process.extend(members.iter().map(|one| (ObjectId::process(&here.boot, one.pid, one.start_ticks), named)));
    }
    let headers = found.contexts.iter().map(|context| &context.header);
    let headers = headers.chain(found.refused.iter().map(|refused| &refused.header));
    headers
        .filter_map(|header| Some((header.id.clone(), (*by_process.get(header.process.as_ref()?)?).clone())))
        .collect()
}

/// Adds what engines alone know of the contexts in their containers.
pub async fn add(found: &mut Discovered) {
    let asking = found.asking.as_mut();
    let asking = asking.and_then(|asking| Some((asking.context.as_mut().ok()?, asking.engine.as_ref()?)));
    let engines = &found.engines;
    let listed = found.contexts.iter_mut().filter_map(|context| {
        let named = engines.get(&context.header.id)?;
        Some((context, named))
    });
    let mut of_engines: Vec<_> = listed.chain(asking).collect();
    let mut wanted = BTreeMap::new();
    for (context, named) in &mut of_engines {
        context.binds = Some(named.binds.clone());
        if matches!(context.environment, EnvironmentSource::Overwritten) {
            wanted.insert(named.id.clone(), (*named).clone());
        }
    }
    let described = docker::describe(wanted.into_values().collect()).await;
    for (context, named) in of_engines {
        if let (EnvironmentSource::Overwritten, Some(Ok(known))) = (&context.environment, described.get(&named.id))
            && is_in_it(context, known)
        {
            context.environment = EnvironmentSource::Engine(Arc::clone(&known.environment));
        }
    }
    let mut failed = described.into_values().filter_map(Result::err);
    if let Some(first) = failed.next() {
        let more = failed.count();
        found.notes.push(if more == 0 { first } else { format!("{first}; so for {more} other containers") });
    }
}

/// Whether a context stands in the mount namespace of the container's first process. A control group or a mount can be called after another
/// container's id, and nobody is to look with the secrets of that one.
fn is_in_it(context: &Context, described: &Described) -> bool {
    let first = described.process.and_then(|pid| ProcessDirectory::open(pid).ok()?.namespace("mnt").ok());
    let own = context.process.as_ref().and_then(|process| process.namespaces.get("mnt"));
    first.is_some() && own == first.as_ref()
}
