//! Where parallax itself stands: its namespaces, root and rights. Everything found is described in relation to that.

use crate::context::discover::Refused;
use crate::context::discover::procfs::{Place, Process};
use crate::context::{Context, EnvironmentSource, IdentitySource, Representative, RunnerPart, TakeOn};
use crate::formats::id_map::{self, IdMapLine};
use crate::snapshot::{ContextKind, Entry, Header, ObjectId};
use crate::sys::LookError;
use crate::sys::process::ProcessDirectory;

/// What entering another context takes (`linux/capability.h`): CAP_SETGID, CAP_SETUID, CAP_SYS_CHROOT, CAP_SYS_PTRACE, CAP_SYS_ADMIN.
const ENTERING: u64 = 1 << 6 | 1 << 7 | 1 << 18 | 1 << 19 | 1 << 21;
/// What the kernel shows for an id that the reader's user namespace does not map (`/proc/sys/kernel/overflowuid`).
const OVERFLOW: u32 = 65534;

/// Boot id of the running kernel, and the machine's name (`uname(2)`).
pub fn machine() -> Result<(String, String), LookError> {
    let path = "/proc/sys/kernel/random/boot_id";
    let boot = std::fs::read_to_string(path)
        .map_err(|error| LookError::Refused { path: path.into(), errno: error.kind().to_string() })?;
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    Ok((boot.trim_ascii().to_owned(), host))
}

/// Our own place.
pub struct Here<'a> {
    /// Our own process.
    pub own: &'a Process,
    /// What it is in.
    pub place: &'a Place,
    /// Boot id of the running kernel.
    pub boot: String,
    /// The machine's name.
    pub host: String,
}

impl<'a> Here<'a> {
    /// Takes stock. Fails when our own namespaces cannot be read.
    pub fn new(own: &'a Process) -> Result<Self, LookError> {
        let place = own.place.as_ref().map_err(Clone::clone)?;
        let (boot, host) = machine()?;
        Ok(Self { own, place, boot, host })
    }

    /// Our effective uid.
    pub fn uid(&self) -> u32 {
        self.own.status.uids[1]
    }

    /// Whether we hold all that entering another user's context takes.
    pub fn is_privileged(&self) -> bool {
        self.own.status.effective & ENTERING == ENTERING
    }

    /// A header that says nothing yet but whose it is.
    pub fn header(&self, kind: ContextKind, name: &str, process: Option<&Process>) -> Header {
        let id = if kind == ContextKind::Host { kind.word().to_owned() } else { format!("{}:{name}", kind.word()) };
        Header {
            process: process.map(|process| ObjectId::process(&self.boot, process.pid, process.start_ticks)),
            host_root: process.and_then(|process| Some(process.place.as_ref().ok()?.root == self.place.root)),
            ..Header::new(kind, id, self.boot.clone(), self.host.clone())
        }
    }

    /// Our own identity.
    pub fn own_identity(&self) -> TakeOn {
        let status = &self.own.status;
        let mut groups = status.groups.clone();
        groups.sort_unstable();
        TakeOn {
            source: IdentitySource::Own,
            uid: status.uids[1],
            gid: status.gids[1],
            groups,
            effective: status.effective,
            permitted: status.permitted,
            bounding: status.bounding,
            join_network: false,
            join_user: false,
            unmapped: Vec::new(),
        }
    }

    /// The context that a process represents, or why it cannot be entered.
    pub fn context(&self, header: Header, process: &Process) -> Result<Context, Box<Refused>> {
        let refused = |header: Header, reason: String| {
            Box::new(Refused { header: Header { entry: Entry::None, ..header }, reason })
        };
        let place = match &process.place {
            Ok(place) => place,
            Err(error) => return Err(refused(header, self.foreign(process).unwrap_or_else(|| error.to_string()))),
        };
        let take = match self.identity_of(process, place) {
            Ok(take) => take,
            Err(reason) => return Err(refused(header, reason)),
        };
        if let Some(reason) = self.obstacle(process, place) {
            return Err(refused(header, reason));
        }
        let namespaces = place.namespaces.clone();
        Ok(Context {
            header,
            process: Some(Representative { pid: process.pid, start_ticks: process.start_ticks, namespaces }),
            take,
            environment: EnvironmentSource::Process,
            runner: RunnerPart::None,
            asked: None,
        })
    }

    fn obstacle(&self, process: &Process, place: &Place) -> Option<String> {
        let own_rights =
            process.status.uids[1] == self.uid() && process.status.permitted & !self.own.status.permitted == 0;
        let same = ["net", "user"].iter().all(|name| place.shares(self.place, name)) && place.root == self.place.root;
        if self.is_privileged() || own_rights && same {
            return None;
        }
        let apart = || "it is in namespaces of its own, and entering those takes root".to_owned();
        Some(self.foreign(process).unwrap_or_else(apart))
    }

    /// What stands in the way of another user's context when we are not privileged.
    fn foreign(&self, process: &Process) -> Option<String> {
        let uid = process.status.uids[1];
        (!self.is_privileged() && uid != self.uid())
            .then(|| format!("it runs as uid {uid}, and taking that on takes root"))
    }

    /// The identity of a process, numbered as in its own user namespace.
    fn identity_of(&self, process: &Process, place: &Place) -> Result<TakeOn, String> {
        let join_user = !place.shares(self.place, "user");
        let (uids, gids) =
            if join_user { (Some(map(process, "uid_map")?), Some(map(process, "gid_map")?)) } else { (None, None) };
        let mut unmapped = Vec::new();
        let mut number = |map: &Option<Vec<IdMapLine>>, what: &str, id: u32| match map {
            None => id,
            Some(map) => id_map::inside(map, id).unwrap_or_else(|| {
                unmapped.push(format!("{what} {id}"));
                OVERFLOW
            }),
        };
        let status = &process.status;
        let uid = number(&uids, "uid", status.uids[1]);
        let gid = number(&gids, "gid", status.gids[1]);
        let mut groups: Vec<u32> = status.groups.iter().map(|group| number(&gids, "group", *group)).collect();
        groups.sort_unstable();
        Ok(TakeOn {
            source: IdentitySource::Process,
            uid,
            gid,
            groups,
            effective: status.effective,
            permitted: status.permitted,
            bounding: status.bounding,
            join_network: !place.shares(self.place, "net"),
            join_user,
            unmapped,
        })
    }
}

fn map(process: &Process, name: &str) -> Result<Vec<IdMapLine>, String> {
    let text = ProcessDirectory::open(process.pid).and_then(|directory| directory.text(name));
    let text = text.map_err(|error| error.to_string())?;
    id_map::parse(&text).ok_or_else(|| format!("/proc/{}/{name} does not parse", process.pid))
}
