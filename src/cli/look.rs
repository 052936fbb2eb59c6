//! The child: enters one context, runs the probes one by one, and streams what they saw. Started by parallax itself, never by a person.
//!
//! Reads one request from standard input, writes records to standard output. It must stay single-threaded until it is inside.

use std::io::{Write, stderr, stdin, stdout};
use std::process::ExitCode;

use crate::context::enter::{EnvironmentSource, Incoming, Record, Request, Resume};
use crate::formats::environ;
use crate::probe::{self, environment::Environment};
use crate::probe::{Target, Wishes, reason};
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::Facts;
use crate::snapshot::{Fact, List, Reason};
use crate::sys::entry::{self, EntryError, Inside};

/// What was seen so far; a probe may build on what an earlier one saw.
struct Sight {
    facts: Facts,
    endpoints: Vec<NamedEndpoint>,
}

/// One family: its name among the facts, and the probe that looks at it.
type Family = (&'static str, fn(&Target, &mut Sight));

/// All families, in the order in which they are looked at.
const FAMILIES: &[Family] = &[
    ("identity", |target, sight| sight.facts.identity = probe::identity::observe(target)),
    ("nix", |target, sight| sight.facts.nix = probe::nix::observe(target)),
    ("runner", |target, sight| {
        let (runner, named) = probe::runner::observe(target);
        sight.facts.runner = runner;
        sight.endpoints.extend(named);
    }),
    ("credentials", |target, sight| {
        let (credentials, named) = probe::credentials::observe(target, &sight.facts.nix);
        sight.facts.credentials = credentials;
        sight.endpoints.extend(named);
    }),
    ("engine", |target, sight| {
        let (engine, named) = probe::engine::observe(target);
        sight.facts.engine = engine;
        sight.endpoints.extend(named);
    }),
    ("caches", |target, sight| {
        let (caches, named) = probe::caches::observe(target, &sight.endpoints, &sight.facts);
        sight.facts.caches = caches;
        sight.endpoints.extend(named.into_iter().filter(|one| !sight.endpoints.contains(one)).collect::<Vec<_>>());
    }),
    ("store", |target, sight| sight.facts.store = probe::store::observe(target, &sight.facts.nix)),
    ("paths", |target, sight| sight.facts.paths = probe::paths::observe(target, &sight.facts)),
    ("tools", |target, sight| sight.facts.tools = probe::tools::observe(target)),
    ("ssh", |target, sight| {
        let (ssh, named) = probe::ssh::observe(target, &sight.facts);
        sight.facts.ssh = ssh;
        sight.endpoints.extend(named.into_iter().filter(|one| !sight.endpoints.contains(one)).collect::<Vec<_>>());
    }),
    ("network", |target, sight| {
        sight.endpoints.extend(probe::network::from_environment(target));
        sight.facts.network = probe::network::observe(target, &sight.endpoints);
        open_ended(target, &mut sight.facts);
    }),
    ("reach", |target, sight| sight.facts.reach = probe::reach::observe(target, &sight.endpoints, &sight.facts)),
    ("logins", |target, sight| sight.facts.logins = probe::logins::observe(target, &sight.endpoints, &sight.facts)),
];

/// Where the configuration that names endpoints could not be read in full, there may be further ones. A user without a process has none in an
/// environment.
fn open_ended(target: &Target, facts: &mut Facts) {
    let environment = target.environment.reason();
    // Where nothing uses Nix, no setting of it names anything that is ever asked for.
    let uses_nix = facts.store.used != Fact::Present(false);
    let settings = left_open(&facts.nix.settings).or(facts.nix.substituters.reason()).filter(|_| uses_nix);
    let is_runner = facts.runner.manager.present() == Some(&true);
    let runners = left_open(&facts.runner.entries).filter(|_| is_runner);
    let builders = left_open(&facts.ssh.endpoints);
    let reasons = [environment, settings, left_open(&facts.credentials.s3), runners, builders];
    let first = reasons.into_iter().flatten().find(|reason| **reason != Reason::NoProcess).cloned();
    if let (Some(reason), Fact::Present(endpoints)) = (first, &mut facts.network.endpoints) {
        endpoints.more.get_or_insert(reason);
    }
}

/// Why a list is not known in full.
fn left_open<T>(list: &Fact<List<T>>) -> Option<&Reason> {
    list.reason().or_else(|| list.present().and_then(|list| list.more.as_ref()))
}

/// Runs the child.
pub fn run() -> ExitCode {
    quiet_panics();
    match look() {
        Ok(()) => ExitCode::SUCCESS,
        // The parent is gone or has closed its end; there is nobody to tell.
        Err(_) => ExitCode::from(70),
    }
}

/// A panic's message may quote the bytes that a parser stumbled over; only the place is told.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        // Standard error may be closed; the exit status still tells.
        let _ = writeln!(stderr(), "panicked at {place}");
    }));
}

fn look() -> std::io::Result<()> {
    let Incoming { request, resume } = Incoming::read(stdin().lock())?;
    let output = stdout();
    let wishes: Wishes = match serde_json::from_value(request.wishes.clone()) {
        Ok(wishes) => wishes,
        Err(error) => return Record::Failed(Reason::NotEntered { why: format!("wishes: {error}") }).write(output),
    };
    open_random_source();
    let inside = match entry::enter(&request.plan) {
        Ok(inside) => inside,
        Err(EntryError::Vanished) => return Record::Failed(Reason::Vanished).write(output),
        Err(error) => return Record::Failed(Reason::NotEntered { why: error.to_string() }).write(output),
    };
    Record::Entered { limits: inside.limits.clone() }.write(&output)?;
    let environment = environment(&request, &inside);
    let locks = match &request.locks {
        Some(text) => Ok(text.clone().into_bytes()),
        None => inside.locks.clone(),
    };
    let target = Target {
        root: &inside.root,
        boot: &request.boot,
        process: &inside.texts,
        live: request.live,
        environment: &environment,
        wishes: &wishes,
        key: request.key.as_deref(),
        locks: &locks,
        incomplete: &inside.incomplete,
    };
    if wishes.stand {
        return stand(&request, &output);
    }
    observe(&target, resume, &output)?;
    Record::Done.write(&output)
}

/// A static program can't look up `getrandom(2)` by its name, so the getrandom crate, which numbers our questions to name servers, reads
/// `/dev/urandom` and keeps it open. Inside there is no such path any more.
fn open_random_source() {
    // Where it fails here it fails there, and the names are unobserved.
    let _ = getrandom::fill(&mut [0; 1]);
}

/// Stands as a beacon until the parent ends it, or the time is over.
fn stand(request: &Request, output: &std::io::Stdout) -> std::io::Result<()> {
    let Some(key) = request.key.as_deref() else { return Ok(()) };
    let lasts = std::time::Duration::from_millis(request.probe_deadline_ms);
    probe::beacon::stand(key, lasts, |ports| Record::Standing(serde_json::to_value(ports)?).write(output))
}

fn environment(request: &Request, inside: &Inside) -> Fact<Environment> {
    match &request.environment {
        EnvironmentSource::OfProcess => match &inside.texts.environ {
            Ok(text) => of_text(text, &format!("/proc/{}/environ", inside.texts.pid)),
            Err(error) => Fact::Unobserved(reason(error.clone())),
        },
        EnvironmentSource::HandedOver(bytes) => Fact::Present(Environment::parse(bytes.expose())),
        EnvironmentSource::OfEngine(bytes) => Fact::Present(Environment::of_engine(bytes.expose())),
        EnvironmentSource::Unobserved => Fact::Unobserved(Reason::NoProcess),
    }
}

fn of_text(text: &[u8], path: &str) -> Fact<Environment> {
    if !environ::is_overwritten(text) {
        return Fact::Present(Environment::parse(text));
    }
    let detail = "does not begin with a variable; the process may have written over it".to_owned();
    Fact::Unobserved(Reason::Malformed { path: path.to_owned(), line: None, detail })
}

/// Runs what an earlier child has not finished, each family announced before it begins.
fn observe(target: &Target, mut resume: Resume, output: &std::io::Stdout) -> std::io::Result<()> {
    if let Some(entry) = &target.wishes.runner.declared {
        return declared(&probe::runner::declared(target, entry), output);
    }
    let mut sight = Sight { facts: resume.assemble(None), endpoints: resume.endpoints.clone() };
    let left_out = |name: &str| resume.known.contains_key(name) || resume.given_up.contains_key(name);
    for (name, probe) in FAMILIES.iter().filter(|(name, _)| !left_out(name)) {
        Record::Begin((*name).to_owned()).write(output)?;
        let named = sight.endpoints.clone();
        probe(target, &mut sight);
        if sight.endpoints != named {
            Record::Endpoints(sight.endpoints.clone()).write(output)?;
        }
        let facts = serde_json::to_value(&sight.facts)?.get(*name).cloned().unwrap_or_default();
        Record::Family { name: (*name).to_owned(), facts }.write(output)?;
    }
    Ok(())
}

/// What a configuration says of a context that does not exist yet: the families that it decides something of.
fn declared(facts: &Facts, output: &std::io::Stdout) -> std::io::Result<()> {
    let families = serde_json::to_value(facts)?;
    for name in ["identity", "runner", "store", "network"] {
        let facts = families.get(name).cloned().unwrap_or_default();
        Record::Family { name: name.to_owned(), facts }.write(output)?;
    }
    Ok(())
}
