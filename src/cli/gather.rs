//! Where contexts meet probes: discovers, looks from each context in parallel, and makes snapshots of what comes back.
//!
//! A context that could not be entered is a snapshot too, with every fact unobserved and the reason: a run never looks cleaner than it was.

mod asked;
mod one;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::arguments::Looking;
use super::beacons::Beacons;
use super::configuration::Configuration;
use super::exit::Failure;
use super::linked::Links;
use super::named_paths::{self, Around};
use super::progress::Progress;
use super::trust::DAEMON;
use super::{handshake, round_two, runners};
use crate::context::enter::{Entrance, EnvironmentSource as Handed, Looked, Request, Resume};
use crate::context::{Context, Discovered, EnvironmentSource, IdentitySource, Invoker, Refused, Scope, discover};
use crate::probe::Wishes;
use crate::probe::paths::PathWishes;
use crate::snapshot::secret::RunKey;
use crate::snapshot::{ContextKind, Entry, Header, Reason, Snapshot};
use crate::sys::credentials::Identity;
use crate::sys::entry::{Plan, ProcessId, TakeOn};
use crate::sys::process::text_at;

pub(super) use asked::{Asked, NotAsked, asked};
pub(super) use one::{Wanted, one};

/// The share of a run's deadline that is kept for comparing and writing.
const RESERVE: Duration = Duration::from_millis(500);
/// How long a run may take where nobody says otherwise.
const DEADLINE: Duration = Duration::from_secs(30);
/// The longest that one probe of one context may take.
const PROBE: Duration = Duration::from_secs(8);

/// What was gathered.
pub(super) struct Gathered {
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) notes: Vec<String>,
}

/// Looks from every context of this host.
pub(super) fn everything(looking: &Looking, configuration: &Configuration) -> Result<Gathered, Failure> {
    in_runtime(async {
        let deadline = Instant::now() + deadline(looking, configuration).saturating_sub(RESERVE);
        let found = discover(&scope(looking, configuration)).await;
        let Discovered { mut contexts, refused, notes, engines, .. } = found;
        let wishes = configuration.wishes(looking);
        runners::tell(&mut contexts, deadline, &wishes).await?;
        let around = Around { engines: Some(&engines), unseen_daemon: unseen_daemon(&refused), beside: 0 };
        let mut snapshots = look_from(contexts, &around, deadline, &wishes, &fresh_key()?).await?;
        snapshots.extend(refused.into_iter().map(not_entered));
        Ok(Gathered { snapshots, notes })
    })
}

/// How long a run may take: as the command line says, else the configuration, else [`DEADLINE`].
pub(super) fn deadline(looking: &Looking, configuration: &Configuration) -> Duration {
    let configured = configuration.deadline_ms.map(Duration::from_millis);
    looking.deadline.or(configured).unwrap_or(DEADLINE)
}

/// The contexts of this host, unlooked at, with those that runners declare.
pub(super) fn contexts(looking: &Looking, configuration: &Configuration) -> Result<Discovered, Failure> {
    in_runtime(async {
        let deadline = Instant::now() + deadline(looking, configuration).saturating_sub(RESERVE);
        let mut found = discover(&scope(looking, configuration)).await;
        runners::tell(&mut found.contexts, deadline, &configuration.wishes(looking)).await?;
        Ok(found)
    })
}

/// Looks from this very process' own context, natively. `keys` are those that others trust, by whom a signature may be.
pub(super) fn here(
    looking: &Looking,
    configuration: &Configuration,
    keys: BTreeSet<String>,
) -> Result<Gathered, Failure> {
    in_runtime(async {
        let deadline = Instant::now() + deadline(looking, configuration).saturating_sub(RESERVE);
        let wishes = Wishes { public_keys: keys.into_iter().collect(), ..configuration.wishes(looking) };
        let snapshots = look_from(vec![one::own()?], &Around::default(), deadline, &wishes, &fresh_key()?).await?;
        Ok(Gathered { snapshots, notes: Vec::new() })
    })
}

/// Why a daemon could not be looked from.
fn unseen_daemon(refused: &[Refused]) -> Option<Reason> {
    let daemon = refused.iter().find(|refused| refused.header.service.as_deref() == Some(DAEMON))?;
    Some(Reason::NotEntered { why: daemon.reason.clone() })
}

/// Looks from these contexts in parallel; then asks the daemons, each once per identity.
async fn look_from(
    contexts: Vec<Context>,
    around: &Around<'_>,
    deadline: Instant,
    wishes: &Wishes,
    key: &Arc<RunKey>,
) -> Result<Vec<Snapshot>, Failure> {
    // Where it can't be read, each child says so for itself.
    let locks = text_at("/proc/locks").ok().and_then(|text| String::from_utf8(text).ok());
    let locks = locks.as_deref();
    let at_once = std::thread::available_parallelism().map_or(8, |count| count.get() * 8);
    let entrance = Arc::new(Entrance::new(at_once));
    let later = Wishes {
        skip_handshake: Some("asking only where Nix is used and its socket is there".into()),
        reach: Some(wishes.reach.clone().unwrap_or_else(|| round_two::LATER.into())),
        ..wishes.clone()
    };
    let turns = contexts.iter().map(|context| Ok((request(context, key, &later, locks)?, Resume::default())));
    let turns = turns.collect::<Result<Vec<_>, Failure>>()?;
    let names: Vec<String> = contexts.iter().map(|context| context.header.name.clone()).collect();
    let taken_ms = jiff::Timestamp::now().as_millisecond();
    // What hangs must not take the time that the daemons need for their answers.
    let left = deadline.saturating_duration_since(Instant::now());
    let mut looks = in_parallel(&entrance, turns, &names, deadline - left / 4).await?;
    let groups = handshake::groups(&looks);
    let mut turns = Vec::new();
    for group in &groups {
        if let (Some(context), Some(look)) = (contexts.get(group.asks), looks.get(group.asks)) {
            let alone = Wishes { reach: later.reach.clone(), ..wishes.clone() };
            turns.push((request(context, key, &alone, locks)?, handshake::what_is_known(look)?));
        }
    }
    let asking: Vec<String> =
        groups.iter().filter_map(|group| names.get(group.asks)).map(|name| format!("the daemon, as {name}")).collect();
    let answers = in_parallel(&entrance, turns, &asking, deadline).await?;
    handshake::distribute(&groups, answers, &mut looks);
    named_paths::ask(&entrance, &contexts, &mut looks, around, (wishes, key, deadline)).await?;
    let whole = contexts.iter().any(|context| context.header.kind == ContextKind::Host);
    let asked = contexts.len().saturating_sub(around.beside);
    let way = Way { entrance: &entrance, contexts: &contexts, key, locks, deadline, whole, asked };
    second_round(&way, wishes, &mut looks).await?;
    let snapshots = contexts.into_iter().zip(looks).map(|(context, look)| snapshot(context.header, look, taken_ms));
    Ok(snapshots.collect())
}

/// The way into the contexts of one run.
struct Way<'a> {
    entrance: &'a Arc<Entrance>,
    contexts: &'a [Context],
    key: &'a Arc<RunKey>,
    locks: Option<&'a str>,
    deadline: Instant,
    /// Whether the host's own context is among them.
    whole: bool,
    /// How many of the contexts ask; those behind them are looked at for another's sake alone.
    asked: usize,
}

/// Asks the endpoints: each context its own ones, and the daemons those that their clients have them connect to.
async fn second_round(way: &Way<'_>, wishes: &Wishes, looks: &mut [Looked]) -> Result<(), Failure> {
    let mut asking = round_two::asking(looks, wishes);
    // What a file declares does not run, and reaches nothing.
    asking.retain(|index| way.contexts.get(*index).is_some_and(|one| one.header.kind != ContextKind::Declared));
    asking.retain(|index| *index < way.asked);
    let into = |index: usize, wishes: &Wishes| match way.contexts.get(index) {
        Some(context) => request(context, way.key, wishes, way.locks),
        None => Err(Failure::Broken("a question to no context".into())),
    };
    let beacons = Beacons::raise(way.entrance, looks, &asking, way.deadline, way.whole, into).await?;
    let second = beacons.tell(&round_two::wishes(wishes, looks));
    let mut turns = Vec::new();
    for (index, look) in asking.iter().filter_map(|index| Some((*index, looks.get(*index)?))) {
        turns.push((into(index, &second)?, round_two::what_is_known(look)?));
    }
    let name = |index: usize| way.contexts.get(index).map(|one| one.header.name.as_str()).unwrap_or_default();
    let mut names: Vec<String> = asking.iter().map(|index| format!("endpoints, as {}", name(*index))).collect();
    let links =
        if way.whole && wishes.reach.is_none() { Links::between(way.contexts, looks) } else { Links::default() };
    for (index, linked) in links.asked() {
        let Some(look) = looks.get(index) else { continue };
        let wishes = Wishes { linked: linked.to_vec(), ..second.clone() };
        turns.push((into(index, &wishes)?, handshake::all_but(&["reach"], look)?));
        names.push(format!("its clients' endpoints, as {}", name(index)));
    }
    let mut answers = in_parallel(way.entrance, turns, &names, way.deadline).await?;
    let linked = answers.split_off(asking.len().min(answers.len()));
    round_two::put(&asking, answers, wishes, looks);
    if wishes.reach.is_none() {
        links.put(linked, way.whole, looks);
    }
    Ok(())
}

/// Runs the children, and returns what each saw, in order.
pub(super) async fn in_parallel(
    entrance: &Arc<Entrance>,
    turns: Vec<(Request, Resume)>,
    names: &[String],
    deadline: Instant,
) -> Result<Vec<Looked>, Failure> {
    let mut progress = Progress::new(names.to_vec());
    let mut running = JoinSet::new();
    for (index, (request, resume)) in turns.into_iter().enumerate() {
        let entrance = Arc::clone(entrance);
        running.spawn(async move { (index, entrance.look_on(&request, resume, deadline).await) });
    }
    let mut looks = Vec::new();
    let mut beat = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            joined = running.join_next() => match joined {
                Some(Ok((index, looked))) => {
                    progress.done(names.get(index).map(String::as_str).unwrap_or_default());
                    looks.push((index, looked));
                }
                Some(Err(error)) => return Err(Failure::Broken(format!("looking from a context failed: {error}"))),
                None => break,
            },
            _ = beat.tick() => progress.tick(),
        }
    }
    looks.sort_by_key(|(index, _)| *index);
    Ok(looks.into_iter().map(|(_, looked)| looked).collect())
}

pub(super) fn request(
    context: &Context,
    key: &Arc<RunKey>,
    wishes: &Wishes,
    locks: Option<&str>,
) -> Result<Request, Failure> {
    let take = &context.take;
    let credentials = match take.source {
        IdentitySource::Own => TakeOn::Own,
        IdentitySource::Process => TakeOn::OfProcess,
        IdentitySource::Accounts => TakeOn::Given(Identity {
            uid: take.uid,
            gid: take.gid,
            groups: take.groups.clone(),
            effective: take.effective,
            permitted: take.permitted,
            bounding: take.bounding,
        }),
    };
    // A path of the host's means something else elsewhere.
    let certificates =
        wishes.certificates.iter().filter(|_| context.header.kind == ContextKind::Host).cloned().collect();
    let paths = PathWishes { binds: context.binds.clone(), ..wishes.paths.clone() };
    let service = context.header.service.clone().filter(|_| context.header.kind == ContextKind::Service);
    let wishes = Wishes { certificates, paths, service, ..wishes.clone() };
    let mut wishes = serde_json::to_value(wishes).map_err(|error| Failure::Broken(error.to_string()))?;
    if let (Some(asked), Some(runner)) = (&context.asked, wishes.get_mut("runner")) {
        *runner = asked.clone();
    }
    let process = context.process.as_ref();
    let plan = Plan {
        process: process.map(|one| ProcessId { pid: one.pid, start_ticks: one.start_ticks }),
        namespaces: process
            .map(|one| one.namespaces.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect())
            .unwrap_or_default(),
        credentials,
        locks_known: locks.is_some(),
    };
    Ok(Request {
        locks: locks.map(str::to_owned),
        plan,
        live: take.source != IdentitySource::Accounts,
        environment: match &context.environment {
            EnvironmentSource::Process | EnvironmentSource::Overwritten => Handed::OfProcess,
            EnvironmentSource::Engine(variables) => Handed::OfEngine(Arc::clone(variables)),
            EnvironmentSource::Own => Handed::handed_over(std::env::vars_os()),
            EnvironmentSource::None => Handed::Unobserved,
        },
        boot: context.header.boot.clone(),
        key: Some(Arc::clone(key)),
        wishes,
        probe_deadline_ms: u64::try_from(PROBE.as_millis()).unwrap_or(u64::MAX),
    })
}

fn snapshot(mut header: Header, mut looked: Looked, taken_ms: i64) -> Snapshot {
    if header.kind == ContextKind::Declared {
        looked =
            looked.because(&Reason::NeedsNative { why: "its image and its job decide, and it does not run".into() });
    }
    header.limits.extend(looked.limits);
    header.limits.extend(looked.unfinished.iter().map(|one| format!("{}: {}", one.family, one.reason)));
    if let Some(reason) = &looked.refused {
        header.entry = Entry::None;
        header.limits.push(reason.to_string());
    }
    Snapshot {
        context: header,
        taken_ms,
        took_ms: looked.took_ms,
        version: env!("CARGO_PKG_VERSION").into(),
        facts: looked.facts,
    }
}

fn not_entered(refused: Refused) -> Snapshot {
    let Refused { mut header, reason } = refused;
    let facts = Resume::default().assemble(Some(&Reason::NotEntered { why: reason.clone() }));
    header.limits.push(reason);
    let taken_ms = jiff::Timestamp::now().as_millisecond();
    Snapshot { context: header, taken_ms, took_ms: 0, version: env!("CARGO_PKG_VERSION").into(), facts }
}

/// Whom to look for: who called us, as sudo tells it, and whom the configuration names.
fn scope(looking: &Looking, configuration: &Configuration) -> Scope {
    let sudo = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
    let own = rustix::process::getuid().as_raw();
    // SUDO_UID is a word of the environment; only root's environment can come from sudo.
    let invoker = match sudo {
        Some(uid) if own == 0 => Invoker { uid, name: std::env::var("SUDO_USER").ok() },
        _ => Invoker { uid: own, name: None },
    };
    let users = looking.users.iter().chain(&configuration.users).cloned().collect();
    Scope { users, invoker, docker_host: std::env::var("DOCKER_HOST").ok(), ..Scope::default() }
}

/// A key for the fingerprints of one run.
pub(super) fn fresh_key() -> Result<Arc<RunKey>, Failure> {
    Ok(Arc::new(RunKey::new(random()?)))
}

/// 32 bytes from the kernel's random source (`getrandom(2)`).
pub(super) fn random() -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![0; 32];
    let count = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty());
    match count {
        Ok(32) => Ok(bytes),
        _ => Err(Failure::Broken("the kernel gave no random bytes".into())),
    }
}

/// Runs on one thread; what the children do is bounded by their deadlines, and the runtime is not waited for.
pub(super) fn in_runtime<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Broken(format!("the runtime can't start: {error}")))?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}
