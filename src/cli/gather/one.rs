//! One context by what a person calls it: looked up, and looked from alone.

use tokio::time::Instant;

use super::{DEADLINE, fresh_key, in_runtime, look_from, not_entered, scope, unseen_daemon};
use crate::cli::arguments::Looking;
use crate::cli::configuration::Configuration;
use crate::cli::exit::Failure;
use crate::cli::named_paths::Around;
use crate::cli::runners;
use crate::cli::trust::DAEMON;
use crate::context::discover::machine;
use crate::context::{Context, EnvironmentSource, IdentitySource, RunnerPart, discover};
use crate::formats::status;
use crate::snapshot::{ContextKind, Entry, Header, ObjectId, Snapshot};
use crate::sys::process::{NAMESPACES, ProcessDirectory};

/// One context by what a person calls it.
pub(in crate::cli) enum Wanted {
    Here,
    Pid(u32),
    Container(String),
    Service(String),
    User(String),
}

/// Looks from one context.
pub(in crate::cli) fn one(
    wanted: &Wanted,
    no_credentials: bool,
    configuration: &Configuration,
) -> Result<Snapshot, Failure> {
    in_runtime(async {
        let looking = Looking { deadline: None, offline: false, no_credentials, users: Vec::new() };
        let context = match wanted {
            Wanted::Here => own()?,
            Wanted::Pid(pid) => of_process(*pid)?,
            Wanted::Container(name) => return named(ContextKind::Container, name, &looking, configuration).await,
            Wanted::Service(name) => return named(ContextKind::Service, name, &looking, configuration).await,
            Wanted::User(name) => return named(ContextKind::User, name, &looking, configuration).await,
        };
        look_at_first(vec![context], &Around::default(), &looking, configuration).await
    })
}

/// The first of these contexts; the others are looked at for what they tell of it.
async fn look_at_first(
    contexts: Vec<Context>,
    around: &Around<'_>,
    looking: &Looking,
    configuration: &Configuration,
) -> Result<Snapshot, Failure> {
    let deadline = Instant::now() + DEADLINE;
    let snapshots = look_from(contexts, around, deadline, &configuration.wishes(looking), &fresh_key()?).await?;
    snapshots.into_iter().next().ok_or_else(|| Failure::Broken("one context gave no snapshot".into()))
}

async fn named(
    kind: ContextKind,
    name: &str,
    looking: &Looking,
    configuration: &Configuration,
) -> Result<Snapshot, Failure> {
    let mut scope = scope(looking, configuration);
    if kind == ContextKind::User {
        scope.users.push(name.to_owned());
    }
    let mut found = discover(&scope).await;
    // One context shows what all of them together show of it.
    runners::tell(&mut found.contexts, Instant::now() + DEADLINE, &configuration.wishes(looking)).await?;
    let id = format!("{}:{name}", kind.word());
    let is = |header: &Header| {
        header.id == id
            || header.id == name
            || (kind == ContextKind::Container && header.id.starts_with(&format!("{id}/")))
    };
    if let Some(context) = found.contexts.iter().find(|context| is(&context.header)) {
        let is_daemon =
            |other: &&Context| other.header.service.as_deref() == Some(DAEMON) && other.header.id != context.header.id;
        let daemons: Vec<Context> = found.contexts.iter().filter(is_daemon).cloned().collect();
        let unseen_daemon = unseen_daemon(&found.refused);
        let around = Around { engines: Some(&found.engines), unseen_daemon, beside: daemons.len() };
        let contexts = std::iter::once(context.clone()).chain(daemons).collect();
        return look_at_first(contexts, &around, looking, configuration).await;
    }
    if let Some(refused) = found.refused.into_iter().find(|refused| is(&refused.header)) {
        return Ok(not_entered(refused));
    }
    let same_kind =
        found.contexts.iter().filter(|context| context.header.kind == kind).map(|context| context.header.id.clone());
    let known: Vec<String> = same_kind.collect();
    let list = if known.is_empty() { "there is none".to_owned() } else { format!("there are {}", known.join(", ")) };
    Err(Failure::Usage(format!("no {} is called {name}; {list}", kind.word())))
}

/// Our own context as a whole.
pub(super) fn own() -> Result<Context, Failure> {
    of_own_or(std::process::id(), None)
}

/// The context that a process is in.
fn of_process(pid: u32) -> Result<Context, Failure> {
    if pid == std::process::id() {
        return own();
    }
    let directory =
        ProcessDirectory::open(pid).map_err(|error| Failure::Usage(format!("no process {pid}: {error}")))?;
    of_own_or(pid, Some(&directory))
}

fn of_own_or(pid: u32, directory: Option<&ProcessDirectory>) -> Result<Context, Failure> {
    let broken = |error: &dyn std::fmt::Display| Failure::Broken(error.to_string());
    let (boot, host) = machine().map_err(|error| broken(&error))?;
    let mut process = None;
    let mut kind = ContextKind::Host;
    if let Some(directory) = directory {
        let stat = directory.text("stat");
        let start_ticks = crate::sys::entry::started(&stat).map_err(|error| broken(&error))?;
        let mine = ProcessDirectory::open(std::process::id()).map_err(|error| broken(&error))?;
        let namespaces =
            NAMESPACES.into_iter().filter_map(|name| directory.namespace(name).ok().map(|number| (name, number)));
        let apart =
            ["mnt", "net", "user"].iter().any(|name| directory.namespace(name).ok() != mine.namespace(name).ok());
        kind = if apart { ContextKind::Container } else { ContextKind::User };
        process = Some(crate::context::Representative { pid, start_ticks, namespaces: namespaces.collect() });
    }
    let id = if process.is_some() { format!("pid:{pid}") } else { "host".to_owned() };
    let header = Header {
        process: process.as_ref().map(|one| ObjectId::process(&boot, one.pid, one.start_ticks)),
        entry: if process.is_some() { Entry::Entered } else { Entry::Native },
        ..Header::new(kind, id, boot, host)
    };
    let (source, environment) = match process {
        Some(_) => (IdentitySource::Process, EnvironmentSource::Process),
        None => (IdentitySource::Own, EnvironmentSource::Own),
    };
    let take = taken_from(pid, source)?;
    Ok(Context { header, process, take, environment, runner: RunnerPart::None, asked: None, binds: None })
}

/// The identity of a process, as its status says. Which namespaces are joined is decided by the child.
fn taken_from(pid: u32, source: IdentitySource) -> Result<crate::context::TakeOn, Failure> {
    let text = ProcessDirectory::open(pid).and_then(|directory| directory.text("status"));
    let text = text.map_err(|error| Failure::Broken(error.to_string()))?;
    let status = status::parse(&text).map_err(|error| Failure::Broken(format!("/proc/{pid}/status: {error}")))?;
    Ok(crate::context::TakeOn {
        source,
        uid: status.uids[1],
        gid: status.gids[1],
        groups: status.groups,
        effective: status.effective,
        permitted: status.permitted,
        bounding: status.bounding,
        join_network: false,
        join_user: false,
        unmapped: Vec::new(),
    })
}
