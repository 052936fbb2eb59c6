//! What a `[[runners]]` entry says that a job will be, before any job runs: looked at from the machine that the engine runs on.
//!
//! Volumes show which directory of the host a job gets where, and how. What no volume covers comes from the image, and is unobserved. Creates nothing.

use super::entries::variable;
use super::{Target, fact};
use crate::formats::gitlab_runner::Volume;
use crate::formats::nix_conf::{self, Statement};
use crate::formats::store_reference::{self, StoreKind};
use crate::probe::network;
use crate::probe::store::places::{self, Mounts};
use crate::snapshot::facts::{
    Chosen, Facts, Identity, Mount, Place, Process, Runner, RunnerEntry, RunnerGiven, RunnerVolume, Store,
};
use crate::snapshot::{Fact, List, Reason};

/// The most that is read of a mounted nix.conf.
const CAP: usize = 1 << 20;

/// One entry, and where its volumes come from.
struct Job<'a> {
    target: &'a Target<'a>,
    entry: &'a RunnerEntry,
    volumes: Vec<Volume>,
    mounts: Mounts,
}

/// The facts that the entry decides. Everything else stays unrecorded; who keeps them says why.
pub(super) fn observe(target: &Target<'_>, entry: &RunnerEntry) -> Facts {
    let written = entry.volumes.present().map(Vec::as_slice).unwrap_or_default();
    let volumes = written.iter().filter_map(|text| Volume::parse(text, 0).ok()).collect();
    let job = Job { target, entry, volumes, mounts: Mounts::read(target) };
    let store = job.store();
    let given = job.given(&store);
    let live = Process { live: Fact::Present(false), ..Process::default() };
    Facts {
        identity: Identity { process: live, ..Identity::default() },
        network: network::declared(target, entry),
        runner: Runner {
            manager: Fact::Present(false),
            config: Fact::Absent,
            config_named_by: Fact::Absent,
            files: Fact::Present(List::default()),
            entries: Fact::Present(List::complete(vec![entry.clone()])),
            problems: Fact::Present(List::default()),
            bundles: Fact::Absent,
            system_id: Fact::Absent,
            machine_system_id: Fact::Absent,
            short: Fact::Absent,
            places: Fact::Absent,
            volumes: Fact::Present(List::complete(job.directories())),
            given,
            sandbox: job.sandbox(),
        },
        store,
        ..Facts::default()
    }
}

/// Why a fact is not known before a job runs.
fn by_image() -> Reason {
    Reason::NeedsNative { why: "no volume covers it, so the image and the job decide".to_owned() }
}

impl Job<'_> {
    fn store(&self) -> Store {
        let set = |name: &str, default: &str| match variable(self.entry, name).and_then(Fact::present) {
            Some(path) if path.starts_with('/') => path.clone(),
            _ => default.to_owned(),
        };
        let state = set("NIX_STATE_DIR", "/nix/var/nix");
        let socket = set("NIX_DAEMON_SOCKET_PATH", &format!("{state}/daemon-socket/socket"));
        Store {
            dir: self.place(&set("NIX_STORE_DIR", "/nix/store")),
            db: self.place(&format!("{state}/db/db.sqlite")),
            gcroots: self.place(&format!("{state}/gcroots")),
            profiles: self.place(&format!("{state}/profiles")),
            socket: self.place(&socket),
            state: self.place(&state),
            chosen: self.chosen(),
            ..Store::default()
        }
    }

    /// What the runner's environment says of the store. Where it says nothing, Nix decides in the job, by who the job is.
    fn chosen(&self) -> Chosen {
        let (setting, origin) = match variable(self.entry, "NIX_REMOTE") {
            Some(value) => (value.clone(), Fact::Present(format!("environment of {}", self.entry.origin))),
            None => (Fact::Present("auto".to_owned()), Fact::Present("default".to_owned())),
        };
        let kind = setting.as_ref().and_then(|text| match store_reference::parse(text).map(|found| found.kind) {
            Ok(StoreKind::Daemon) => Fact::Present("daemon".to_owned()),
            Ok(StoreKind::Uri { scheme, .. }) if scheme == "unix" => Fact::Present("daemon".to_owned()),
            Ok(StoreKind::Local) => Fact::Present("local".to_owned()),
            _ => Fact::Unobserved(by_image()),
        });
        Chosen { kind, setting, origin, ..Chosen::default() }
    }

    /// The volume that a place of the job lies on: the one with the longest destination.
    fn covering(&self, path: &str) -> Option<(&Volume, String)> {
        let below = |volume: &'_ Volume| {
            let rest = path.strip_prefix(volume.destination.trim_end_matches('/'))?;
            (rest.is_empty() || rest.starts_with('/')).then(|| rest.to_owned())
        };
        let covering = self.volumes.iter().filter_map(|volume| Some((volume, below(volume)?)));
        covering.max_by_key(|(volume, _)| volume.destination.trim_end_matches('/').len())
    }

    /// Where a place of the job lies on the engine's machine.
    fn on_host(&self, path: &str) -> Result<(&Volume, String), Reason> {
        let (volume, rest) = self.covering(path).ok_or_else(by_image)?;
        let source = volume.source.as_ref().filter(|_| volume.is_bind());
        let source = source.ok_or_else(|| Reason::NeedsNative {
            why: format!("{} is a volume that the engine keeps", volume.destination),
        })?;
        match &self.target.wishes.runner.elsewhere {
            Some(why) => Err(Reason::NotEntered { why: why.clone() }),
            None => Ok((volume, format!("{}{rest}", source.trim_end_matches('/')))),
        }
    }

    fn place(&self, path: &str) -> Place {
        let (volume, host) = match self.on_host(path) {
            Ok(found) => found,
            Err(reason) => return Place { path: Fact::Present(path.to_owned()), ..places::unknown(&reason) },
        };
        let seen = places::look(self.target, &self.mounts, &host);
        let read_only = if volume.read_only { Fact::Present(true) } else { seen.mount.read_only.clone() };
        let may_write = match &read_only {
            Fact::Present(true) => Fact::Present(false),
            _ => Fact::Unobserved(by_image()),
        };
        Place {
            path: Fact::Present(path.to_owned()),
            mount: Mount {
                point: Fact::Present(volume.destination.clone()),
                read_only,
                bind_source: volume.source.clone().into(),
                options: Fact::Unobserved(by_image()),
                ..seen.mount
            },
            writable: may_write.clone(),
            real_read_write: may_write,
            ..seen
        }
    }

    /// What volumes give of the host's Nix. An engine on another machine gives nothing of this one's.
    fn given(&self, store: &Store) -> Fact<List<RunnerGiven>> {
        let all = [("store", &store.dir), ("database", &store.db), ("socket", &store.socket)];
        let one = |(what, place): (&str, &Place)| RunnerGiven {
            what: what.to_owned(),
            path: place.path.present().cloned().unwrap_or_default(),
            identity: place.identity.clone(),
            read_only: place.mount.read_only.clone(),
        };
        let covered = |(_, place): &(&str, &Place)| {
            let path = place.path.present().map(String::as_str).unwrap_or_default();
            self.on_host(path).is_ok() && place.exists != Fact::Present(false)
        };
        Fact::Present(List::complete(all.into_iter().filter(covered).map(one).collect()))
    }

    /// The `sandbox` setting of a nix.conf that is mounted into jobs; a line that includes another file may hold another one.
    fn sandbox(&self) -> Fact<String> {
        let Ok((_, host)) = self.on_host("/etc/nix/nix.conf") else { return Fact::Absent };
        fact(self.target.root.read(&host, CAP)).and_then(|text| {
            let mut found = Fact::Absent;
            for line in nix_conf::parse(&text).0 {
                match line.statement {
                    Statement::Set { name, tokens } if name == "sandbox" => found = tokens.into_iter().next().into(),
                    Statement::Set { .. } => {}
                    Statement::Include { .. } => found = Fact::Unobserved(by_image()),
                }
            }
            found
        })
    }

    fn directories(&self) -> Vec<RunnerVolume> {
        let binds = self.volumes.iter().filter(|volume| volume.is_bind() && !volume.is_expanded());
        let one = |volume: &Volume| RunnerVolume {
            runner: self.entry.short.clone(),
            origin: self.entry.origin.clone(),
            source: volume.source.clone().unwrap_or_default(),
            destination: volume.destination.clone(),
            read_only: volume.read_only,
            identity: self.place(&volume.destination).identity,
        };
        binds.map(one).collect()
    }
}
