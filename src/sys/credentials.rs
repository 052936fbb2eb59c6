//! Taking on another process's identity: ids, groups and capability sets, and never more rights than it has.
//!
//! Reads texts of procfs that were taken before, and changes the calling thread's credentials only (`credentials(7)`, `capabilities(7)`,
//! `user_namespaces(7)`). The process must be single-threaded. Nothing here can be undone.

mod id_map;

pub use id_map::IdMap;

use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};
use serde::{Deserialize, Serialize};

use super::root::errno_name;

/// The id that stands for every id which a user namespace does not map (`/proc/sys/kernel/overflowuid`).
const OVERFLOW: u32 = 65534;

/// An identity as ids and capability masks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Capability sets as masks, bit N for capability N of `linux/capability.h`.
    pub effective: u64,
    pub permitted: u64,
    pub bounding: u64,
}

/// Real, effective and saved id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    pub real: u32,
    pub effective: u32,
    pub saved: u32,
}

/// The credentials of a process as `/proc/PID/status` says, in ids of the reader's user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    pub uid: Ids,
    pub gid: Ids,
    pub groups: Vec<u32>,
    pub effective: u64,
    pub permitted: u64,
    pub bounding: u64,
}

/// Why an identity was not taken on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// A text of procfs is not what it should be.
    #[error("/proc/{pid}/{name} does not say which identity the process has")]
    Malformed { pid: u32, name: &'static str },
    /// The kernel refused.
    #[error("{what} could not be taken on ({errno})")]
    Refused { what: String, errno: String },
    /// Our own user namespace has no number for this id.
    #[error("{what} has no number in the user namespace of parallax")]
    Unmapped { what: String },
    /// What was taken on is more than the target has.
    #[error("{what} is left over, which the context does not have")]
    TooMuch { what: String },
}

fn refusal(what: impl Into<String>) -> impl FnOnce(Errno) -> CredentialsError {
    let what = what.into();
    move |errno| CredentialsError::Refused { what, errno: errno_name(errno) }
}

impl Credentials {
    /// Reads the text of `/proc/PID/status` (`proc_pid_status(5)`).
    pub fn parse(status: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(status);
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).and_then(|rest| rest.strip_prefix(':'));
        let numbers = |name: &str| -> Option<Vec<u32>> {
            field(name)?.split_ascii_whitespace().map(|word| word.parse().ok()).collect()
        };
        let ids = |name: &str| match numbers(name)?.as_slice() {
            [real, effective, saved, _] => Some(Ids { real: *real, effective: *effective, saved: *saved }),
            _ => None,
        };
        let mask = |name: &str| u64::from_str_radix(field(name)?.trim(), 16).ok();
        Some(Self {
            uid: ids("Uid")?,
            gid: ids("Gid")?,
            groups: numbers("Groups")?,
            effective: mask("CapEff")?,
            permitted: mask("CapPrm")?,
            bounding: mask("CapBnd")?,
        })
    }

    /// An identity whose ids belong to the user namespace of this map; without a map, to our own.
    pub fn given(identity: &Identity, maps: Option<(&IdMap, &IdMap)>) -> Result<Self, CredentialsError> {
        let outside = |id: u32, what: &str, of: fn((&IdMap, &IdMap)) -> IdMap| match maps {
            None => Ok(id),
            Some(maps) => {
                of(maps).outside(id).ok_or_else(|| CredentialsError::Unmapped { what: format!("{what} {id}") })
            }
        };
        let uid = outside(identity.uid, "uid", |maps| maps.0.clone())?;
        let group = |id: u32| outside(id, "gid", |maps| maps.1.clone());
        let gid = group(identity.gid)?;
        Ok(Self {
            uid: Ids { real: uid, effective: uid, saved: uid },
            gid: Ids { real: gid, effective: gid, saved: gid },
            groups: identity.groups.iter().map(|id| group(*id)).collect::<Result<_, _>>()?,
            effective: identity.effective,
            permitted: identity.permitted,
            bounding: identity.bounding,
        })
    }

    fn same_ids(&self, other: &Self) -> bool {
        self.uid == other.uid && self.gid == other.gid && self.same_groups(other)
    }

    fn same_groups(&self, other: &Self) -> bool {
        sorted(&self.groups) == sorted(&other.groups)
    }

    /// The same ids as the mapped user namespace numbers them; [`None`] where it has no number for one.
    fn inside(&self, uids: &IdMap, gids: &IdMap) -> Option<Self> {
        let through = |ids: Ids, map: &IdMap| {
            Some(Ids {
                real: map.inside(ids.real)?,
                effective: map.inside(ids.effective)?,
                saved: map.inside(ids.saved)?,
            })
        };
        Some(Self {
            uid: through(self.uid, uids)?,
            gid: through(self.gid, gids)?,
            groups: self.groups.iter().map(|id| gids.inside(*id)).collect::<Option<_>>()?,
            ..self.clone()
        })
    }

    /// Refuses the stand-in for unmapped ids, unless our own user namespace maps every id and it is thus a real one.
    fn refuse_stand_ins(&self, own: &IdMap) -> Result<(), CredentialsError> {
        let real = own.is_whole();
        let ids =
            [self.uid.real, self.uid.effective, self.uid.saved, self.gid.real, self.gid.effective, self.gid.saved];
        if !real && ids.iter().chain(&self.groups).any(|id| *id == OVERFLOW) {
            return Err(CredentialsError::Unmapped { what: "one of its ids".into() });
        }
        Ok(())
    }
}

fn sorted(groups: &[u32]) -> Vec<u32> {
    let mut groups = groups.to_vec();
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// A group id that no account of a host has: below the last ones, which the kernel and tools take as errors.
const NOBODYS_GROUP: u32 = u32::MAX - 4;

/// An identity about to be taken on: before or after a user namespace is joined, whichever our rights permit.
pub struct Change {
    wanted: Credentials,
    own: Credentials,
    own_uids: IdMap,
    maps: Option<(IdMap, IdMap)>,
    ids_done: bool,
}

/// What could not be taken on, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lacking {
    /// Everything.
    pub limits: Vec<String>,
    /// What decides which files and sockets can be reached.
    pub deciding: Vec<String>,
}

impl Change {
    /// `wanted` and `own` in ids of our user namespace; `maps` are the target's, where its user namespace differs from ours.
    pub fn new(
        wanted: Credentials,
        own: Credentials,
        own_uids: IdMap,
        maps: Option<(IdMap, IdMap)>,
    ) -> Result<Self, CredentialsError> {
        let ids_done = wanted.same_ids(&own);
        if !ids_done {
            wanted.refuse_stand_ins(&own_uids)?;
        }
        let mut change = Self { wanted, own, own_uids, maps, ids_done };
        change.stand_apart();
        Ok(change)
    }

    /// Keeps whoever has the identity that we take on from being our equal, where our rights permit it: the saved group id is nobody's.
    ///
    /// A process that is not dumpable is closed to its equals (`ptrace(2)`, access mode checking), but only as long as it has a memory map: on its way
    /// out the kernel gives that up first and the open files last, and in between skips the question (`__ptrace_may_access`, `exit_mm`). The
    /// comparison of ids, which asks for the saved ones too, is never skipped. A saved group decides no access to any file.
    fn stand_apart(&mut self) {
        const NEEDED: CapabilitySet = CapabilitySet::SETUID.union(CapabilitySet::SETGID);
        let permitted =
            CapabilitySet::from_bits_retain(self.own.effective).contains(NEEDED) && self.own_uids.is_whole();
        if permitted && self.is_any() {
            self.wanted.gid.saved = NOBODYS_GROUP;
            self.ids_done = false;
        }
    }

    /// Whether our credentials will change at all.
    pub fn is_any(&self) -> bool {
        !self.ids_done
            || self.maps.is_some()
            || self.own.effective & !self.wanted.effective != 0
            || self.own.permitted & !self.wanted.permitted != 0
    }

    /// Takes on the ids before a user namespace is joined, where our rights permit that. The kernel then carries them across, ids that the
    /// namespace does not map included, and a namespace that denies `setgroups` does not matter.
    pub fn take_ids_early(&mut self) -> Result<(), CredentialsError> {
        const NEEDED: CapabilitySet = CapabilitySet::SETUID.union(CapabilitySet::SETGID);
        let held = held()?;
        if self.ids_done || !held.effective.contains(NEEDED) {
            return Ok(());
        }
        set_ids(&self.wanted)?;
        // A change from root to another user clears the effective set; joining needs it still.
        let kept = CapabilitySets { effective: held.permitted, ..held };
        rustix::thread::set_capabilities(None, kept).map_err(refusal("the capability set"))?;
        self.ids_done = true;
        Ok(())
    }

    /// Takes on what is left, after namespaces were joined and the root was changed: ids, bounding set, capability sets. Verifies the outcome.
    pub fn finish(mut self) -> Result<Lacking, CredentialsError> {
        let mut lacking = Lacking::default();
        if !self.ids_done {
            self.take_ids_inside(&mut lacking)?;
        }
        self.drop_bounding();
        rustix::thread::clear_ambient_capability_set().map_err(refusal("an empty ambient set"))?;
        let held = held()?;
        let permitted = held.permitted.bits() & self.wanted.permitted;
        let effective = permitted & self.wanted.effective;
        let sets = CapabilitySets {
            effective: CapabilitySet::from_bits_retain(effective),
            permitted: CapabilitySet::from_bits_retain(permitted),
            inheritable: CapabilitySet::empty(),
        };
        rustix::thread::set_capabilities(None, sets).map_err(refusal("the capability set"))?;
        lacking.note_capabilities(self.wanted.effective & !effective);
        self.verify()?;
        Ok(lacking)
    }

    fn take_ids_inside(&mut self, lacking: &mut Lacking) -> Result<(), CredentialsError> {
        let mut ids = match &self.maps {
            Some((uids, gids)) => self
                .wanted
                .inside(uids, gids)
                .ok_or_else(|| CredentialsError::Unmapped { what: "one of its ids, inside".into() })?,
            None => self.wanted.clone(),
        };
        if self.wanted.same_groups(&self.own) {
            return set_user_and_group(&ids);
        }
        match set_groups(&ids.groups) {
            Ok(()) => {}
            // A user namespace may deny setgroups for good (user_namespaces(7)); our own groups then stay.
            Err(_) if self.own.groups.iter().all(|group| self.wanted.groups.contains(group)) => {
                lacking.deciding.push("its supplementary groups".into());
                lacking.limits.push("its supplementary groups".into());
                ids.groups.clear();
            }
            Err(errno) => return Err(refusal(format!("its supplementary groups {:?}", ids.groups))(errno)),
        }
        set_user_and_group(&ids)
    }

    /// What can't be dropped is of no use to a process that executes nothing and may gain nothing.
    fn drop_bounding(&self) {
        for bit in (0..64).map(|number| 1_u64 << number) {
            let capability = CapabilitySet::from_bits_retain(bit);
            if self.wanted.bounding & bit == 0
                && rustix::thread::capability_is_in_bounding_set(capability).is_ok_and(|present| present)
                && rustix::thread::remove_capability_from_bounding_set(capability).is_err()
            {
                return;
            }
        }
    }

    /// Compares what we are now with what the target is. More than that must not go on.
    fn verify(&self) -> Result<(), CredentialsError> {
        let held = held()?;
        if held.permitted.bits() & !self.wanted.permitted != 0 || held.effective.bits() & !self.wanted.effective != 0 {
            return Err(CredentialsError::TooMuch { what: "a capability".into() });
        }
        let (whole, uids, gids) = match &self.maps {
            Some((uids, gids)) => (false, uids, gids),
            None => (true, &self.own_uids, &self.own_uids),
        };
        let expected = |ids: Ids, map: &IdMap| {
            [ids.real, ids.effective, ids.saved].map(|id| if whole { id } else { map.inside(id).unwrap_or(OVERFLOW) })
        };
        let uid = nix::unistd::getresuid().map_err(|_| CredentialsError::TooMuch { what: "an unknown uid".into() })?;
        let gid = nix::unistd::getresgid().map_err(|_| CredentialsError::TooMuch { what: "an unknown gid".into() })?;
        if [uid.real, uid.effective, uid.saved].map(nix::unistd::Uid::as_raw) != expected(self.wanted.uid, uids) {
            return Err(CredentialsError::TooMuch { what: "another uid".into() });
        }
        if [gid.real, gid.effective, gid.saved].map(nix::unistd::Gid::as_raw) != expected(self.wanted.gid, gids) {
            return Err(CredentialsError::TooMuch { what: "another gid".into() });
        }
        let groups = rustix::process::getgroups().map_err(refusal("its supplementary groups"))?;
        let permitted: Vec<u32> = self
            .wanted
            .groups
            .iter()
            .map(|id| if whole { *id } else { gids.inside(*id).unwrap_or(OVERFLOW) })
            .collect();
        match groups.iter().find(|group| !permitted.contains(&group.as_raw())) {
            Some(group) => Err(CredentialsError::TooMuch { what: format!("group {}", group.as_raw()) }),
            None => Ok(()),
        }
    }
}

impl Lacking {
    fn note_capabilities(&mut self, missing: u64) {
        // What overrides permission bits and ownership (capabilities(7)); no other capability decides what a looker reaches.
        const DECIDING: CapabilitySet = CapabilitySet::DAC_OVERRIDE
            .union(CapabilitySet::DAC_READ_SEARCH)
            .union(CapabilitySet::FOWNER)
            .union(CapabilitySet::MAC_OVERRIDE);
        for (name, capability) in CapabilitySet::from_bits_retain(missing).iter_names() {
            let words = format!("capability cap_{}", name.to_ascii_lowercase());
            if DECIDING.contains(capability) {
                self.deciding.push(words.clone());
            }
            self.limits.push(words);
        }
    }
}

fn held() -> Result<CapabilitySets, CredentialsError> {
    rustix::thread::capabilities(None).map_err(refusal("the capability set"))
}

fn set_ids(ids: &Credentials) -> Result<(), CredentialsError> {
    set_groups(&ids.groups).map_err(refusal(format!("its supplementary groups {:?}", ids.groups)))?;
    set_user_and_group(ids)
}

fn set_groups(groups: &[u32]) -> Result<(), Errno> {
    if groups.contains(&u32::MAX) {
        return Err(Errno::INVAL);
    }
    let groups: Vec<Gid> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
    rustix::thread::set_thread_groups(&groups)
}

/// The group first: a user who is not root may not change it.
fn set_user_and_group(ids: &Credentials) -> Result<(), CredentialsError> {
    let (uid, gid) = (ids.uid, ids.gid);
    // -1 means "leave as it is" to the kernel (setresuid(2)).
    if [uid.real, uid.effective, uid.saved, gid.real, gid.effective, gid.saved].contains(&u32::MAX) {
        return Err(CredentialsError::Unmapped { what: "an id of -1".into() });
    }
    rustix::thread::set_keep_capabilities(true).map_err(refusal("the capability set"))?;
    rustix::thread::set_thread_res_gid(Gid::from_raw(gid.real), Gid::from_raw(gid.effective), Gid::from_raw(gid.saved))
        .map_err(refusal(format!("gid {}", gid.effective)))?;
    rustix::thread::set_thread_res_uid(Uid::from_raw(uid.real), Uid::from_raw(uid.effective), Uid::from_raw(uid.saved))
        .map_err(refusal(format!("uid {}", uid.effective)))
}

#[cfg(test)]
mod tests;
