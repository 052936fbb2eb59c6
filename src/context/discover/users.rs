//! Which users are contexts: root, the invoker, the users that known services work as, and those that the configuration names.
//!
//! A user with a process in the host's namespaces is looked at as that process is: its groups are those it logged in with. One without has what
//! passwd and group files say, and no environment: ours is never taken for theirs.

use std::collections::BTreeMap;

use super::here::Here;
use super::procfs::{self, Process, Told};
use super::{Refused, Scope};
use crate::context::{Context, EnvironmentSource, IdentitySource, RunnerPart, TakeOn};
use crate::formats::passwd::{self, Group, User};
use crate::snapshot::{ContextKind, Entry};
use crate::sys::Root;

/// The most that is read of passwd and group files.
const CAP: usize = 16 << 20;

/// The accounts of this host's files.
pub struct Accounts {
    pub users: Vec<User>,
    pub groups: Vec<Group>,
}

impl Accounts {
    /// Reads `/etc/passwd` and `/etc/group`; what could not be read is a note.
    pub fn read(notes: &mut Vec<String>) -> Self {
        let root = Root::open("/");
        let mut text = |path: &str| {
            let text = root.as_ref().map_err(Clone::clone).and_then(|root| root.read(path, CAP));
            text.map_err(|error| notes.push(format!("users may be missing: {error}"))).unwrap_or_else(|()| Vec::new())
        };
        Self { users: passwd::users(&text("/etc/passwd")), groups: passwd::groups(&text("/etc/group")) }
    }

    fn by_name(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// The name of a uid, where it has one.
    pub fn name_of(&self, uid: u32) -> Option<&str> {
        self.users.iter().find(|user| user.uid == uid).map(|user| user.name.as_str())
    }

    fn groups_of(&self, user: &User) -> Vec<u32> {
        let member = |group: &&Group| group.gid == user.gid || group.members.contains(&user.name);
        let mut groups: Vec<u32> = self.groups.iter().filter(member).map(|group| group.gid).collect();
        groups.push(user.gid);
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// The host's uids of the members of a group, such as Nix's build users.
    pub fn members(&self, group: &str) -> Vec<u32> {
        let group = self.groups.iter().find(|known| known.name == group);
        let members = group.map(|group| group.members.as_slice()).unwrap_or_default();
        members.iter().filter_map(|name| self.by_name(name)).map(|user| user.uid).collect()
    }
}

/// The contexts of users. `host` are the processes in the host's namespaces that are no known service, oldest first; `service_users` are the names of
/// those that services work as.
pub fn contexts(
    here: &Here<'_>,
    scope: &Scope,
    accounts: &Accounts,
    host: &[&Process],
    parents: &BTreeMap<u32, u32>,
    service_users: &[String],
    notes: &mut Vec<String>,
) -> Vec<Result<Context, Box<Refused>>> {
    let invoker = scope.invoker.name.clone().or_else(|| accounts.name_of(scope.invoker.uid).map(str::to_owned));
    let wanted = ["root".to_owned()].into_iter().chain(invoker).chain(service_users.iter().cloned());
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for name in wanted.chain(scope.users.iter().cloned()) {
        let Some(user) = accounts.by_name(&name) else {
            let note = format!("user {name} is not in /etc/passwd and was not looked at");
            if !notes.contains(&note) {
                notes.push(note);
            }
            continue;
        };
        if !seen.contains(&user.uid) {
            seen.push(user.uid);
            let processes: Vec<&Process> =
                host.iter().copied().filter(|one| one.status.uids == [user.uid; 4]).collect();
            let invoked = (user.uid == scope.invoker.uid).then_some(parents);
            found.push(context(here, accounts, user, &processes, invoked));
        }
    }
    found
}

fn context(
    here: &Here<'_>,
    accounts: &Accounts,
    user: &User,
    processes: &[&Process],
    invoked: Option<&BTreeMap<u32, u32>>,
) -> Result<Context, Box<Refused>> {
    let mut header = here.header(ContextKind::User, &user.name, None);
    header.user = Some(user.name.clone());
    if user.uid == here.uid() {
        let (take, environment) = (here.own_identity(), EnvironmentSource::Own);
        return Ok(Context {
            header,
            process: None,
            take,
            environment,
            runner: RunnerPart::None,
            asked: None,
            binds: None,
        });
    }
    let Told { job, unseen, overwritten } = procfs::told(processes);
    header.limits.extend(unseen.map(|error| format!("whether it runs a job could not be seen: {error}")));
    // The invoker's own shell knows more than the oldest process of theirs, which is often a service manager.
    let shell = invoked.and_then(|parents| {
        procfs::ancestors(std::process::id(), parents)
            .find_map(|pid| processes.iter().find(|process| process.pid == pid))
    });
    // A session of sshd runs as its user and has written over its environment.
    let telling = processes.iter().find(|process| !overwritten.contains(&process.pid));
    let (process_of_job, job) = job.unzip();
    let oldest = telling.or(processes.first());
    if let Some(process) = process_of_job.or(shell.copied()).or(oldest.copied()) {
        // No engine knows what runs on the host itself: only the job's own variables tell.
        (header.role, header.job) = (job.as_ref().map(|_| "job".to_owned()), job);
        header.process = here.header(ContextKind::User, &user.name, Some(process)).process;
        let mut found = here.context(header, process);
        if let Ok(context) = found.as_mut()
            && overwritten.contains(&process.pid)
        {
            context.environment = EnvironmentSource::Overwritten;
        }
        return found;
    }
    if !here.is_privileged() {
        let reason = format!("it is uid {}, and taking that on takes root", user.uid);
        return Err(Box::new(Refused { header: crate::snapshot::Header { entry: Entry::None, ..header }, reason }));
    }
    let full = if user.uid == 0 { here.own.status.permitted } else { 0 };
    let take = TakeOn {
        source: IdentitySource::Accounts,
        uid: user.uid,
        gid: user.gid,
        groups: accounts.groups_of(user),
        effective: full,
        permitted: full,
        bounding: here.own.status.bounding,
        join_network: false,
        join_user: false,
        unmapped: Vec::new(),
    };
    let environment = EnvironmentSource::None;
    Ok(Context { header, process: None, take, environment, runner: RunnerPart::None, asked: None, binds: None })
}
