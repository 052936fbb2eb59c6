//! `parallax probe`: one context's snapshot, by the code path that `doctor` uses for its children.

use super::arguments::{Global, Probe};
use super::exit::{Exit, Failure};
use super::{configuration, diagnose, gather, output};
use crate::report::text;
use crate::snapshot::Entry;

/// Prints one snapshot. A context that can't be entered is printed too, with the reason, and exits 3.
pub(super) fn run(arguments: &Probe, global: &Global) -> Result<Exit, Failure> {
    let configuration = configuration::load(global.config.as_deref()).map_err(|error| diagnose::usage(&error))?;
    let wanted = if let Some(pid) = arguments.pid {
        gather::Wanted::Pid(pid)
    } else if let Some(name) = &arguments.container {
        gather::Wanted::Container(name.clone())
    } else if let Some(name) = &arguments.service {
        gather::Wanted::Service(name.clone())
    } else if let Some(name) = &arguments.user {
        gather::Wanted::User(name.clone())
    } else {
        gather::Wanted::Here
    };
    let snapshot = gather::one(&wanted, arguments.no_credentials, &configuration)?.without_fingerprints();
    let document = text::json(&snapshot.to_json()).map_err(|error| Failure::Broken(error.to_string()))?;
    output::print(&document);
    Ok(if snapshot.context.entry == Entry::None { Exit::Undetermined } else { Exit::Coherent })
}
