//! Who calls: the live process at the other end of a connection, or the reason why that can't be known.
//!
//! Two ways lead there. `SO_PEERPIDFD` names the very process that connected. Without it the pid of `SO_PEERCRED` counts only together with
//! proof that the live process which has that pid now holds the other end of this very connection. Both are confirmed again before an answer
//! is written. Must never take a pid for a process.

use std::os::fd::{AsFd, OwnedFd};

use super::limits::Knowing;
use crate::sys::LookError;
use crate::sys::peer::{self, Credentials};
use crate::sys::process::ProcessDirectory;

/// A caller that is known: one live process.
pub struct Caller {
    /// Its pid in our pid namespace.
    pub pid: u32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/PID/stat`): with the pid it names one process for ever.
    pub start_ticks: u64,
    /// Its effective uid when it connected, as our user namespace sees it.
    pub uid: u32,
    /// Its effective gid when it connected.
    pub gid: u32,
    pidfd: OwnedFd,
    process: ProcessDirectory,
    /// The inode of our end, where holding the other end is the proof.
    proof: Option<u64>,
}

/// Why a caller is not known, in a plain sentence that it is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Its pid is 0 for us.
    #[error("the caller's process is not visible from the pid namespace that parallax serves in")]
    Invisible,
    /// It ended.
    #[error("the process that connected (pid {pid}) is no more")]
    Dead { pid: u32 },
    /// It is not as it was when it connected.
    #[error("the process that connected (pid {pid}) has changed since: {what}")]
    Changed { pid: u32, what: String },
    /// That it holds the connection could not be shown.
    #[error("that process {pid} is the one at the other end can't be shown: {why}")]
    Unproven { pid: u32, why: String },
}

impl Caller {
    /// Learns who is at the other end of an accepted socket. What must be proven is proven by [`Caller::confirm`].
    pub fn of(socket: &impl AsFd, knowing: Knowing) -> Result<Self, PeerError> {
        let Credentials { pid, uid, gid } =
            peer::credentials(socket).map_err(|error| PeerError::Unproven { pid: 0, why: error.to_string() })?;
        if pid == 0 {
            return Err(PeerError::Invisible);
        }
        let by_kernel = match knowing {
            Knowing::Kernel => peer::pidfd_of_peer(socket).map_err(|error| lost(pid, &error))?,
            Knowing::Proof => None,
        };
        let proof = match by_kernel {
            Some(_) => None,
            None => Some(peer::inode(socket).map_err(|error| lost(pid, &error))?),
        };
        let pidfd = match by_kernel {
            Some(pidfd) => pidfd,
            None => peer::pidfd_of(pid).map_err(|error| lost(pid, &error))?,
        };
        let process = ProcessDirectory::open(pid).map_err(|error| lost(pid, &error))?;
        let identity = peer::identity(&process).map_err(|error| lost(pid, &error))?;
        let caller = Self { pid, start_ticks: identity.start_ticks, uid, gid, pidfd, process, proof };
        caller.unchanged()?;
        Ok(caller)
    }

    /// Whether it is still the same live process with the same identity, and, where that is the proof, still holds the other end.
    ///
    /// May read the descriptors of the process, up to some ten thousand: not for a thread that must not wait.
    pub fn confirm(&self) -> Result<(), PeerError> {
        if let Some(ours) = self.proof {
            self.prove(ours)?;
        }
        self.unchanged()
    }

    /// What the process' cgroups are called (`/proc/PID/cgroup`); empty where that can't be read.
    pub(super) fn cgroups(&self) -> Vec<u8> {
        self.process.text("cgroup").unwrap_or_default()
    }

    /// The directory was opened by pid and the pidfd knows the process: if the process is alive after the directory was read, its pid
    /// was never free in between, and both are the same.
    fn unchanged(&self) -> Result<(), PeerError> {
        let pid = self.pid;
        let now = peer::identity(&self.process).map_err(|error| lost(pid, &error))?;
        if !peer::is_alive(self.pidfd.as_fd()) {
            return Err(PeerError::Dead { pid });
        }
        if now.start_ticks != self.start_ticks {
            return Err(PeerError::Changed { pid, what: "it is another process".into() });
        }
        if (now.uid, now.gid) != (self.uid, self.gid) {
            let what = format!(
                "it connected as uid {} and gid {} and is uid {} and gid {} now",
                self.uid, self.gid, now.uid, now.gid
            );
            return Err(PeerError::Changed { pid, what });
        }
        Ok(())
    }

    fn prove(&self, ours: u64) -> Result<(), PeerError> {
        let pid = self.pid;
        let unproven = |why: String| PeerError::Unproven { pid, why };
        let theirs = peer::other_end(ours, &self.process).map_err(|error| self.dead_or(unproven(error.to_string())))?;
        match peer::holds(&self.process, theirs) {
            Ok(Some(true)) => Ok(()),
            Ok(Some(false)) => Err(self.dead_or(unproven("it does not hold the other end of this connection".into()))),
            Ok(None) => Err(unproven("it has more open descriptors than are looked through".into())),
            Err(error) => Err(self.dead_or(unproven(error.to_string()))),
        }
    }

    /// What is missing of a process that ended is missing because it ended.
    fn dead_or(&self, error: PeerError) -> PeerError {
        if peer::is_alive(self.pidfd.as_fd()) { error } else { PeerError::Dead { pid: self.pid } }
    }
}

/// What of a process is not there is so because it ended.
fn lost(pid: u32, error: &LookError) -> PeerError {
    let ended = matches!(error, LookError::NotFound { .. })
        || matches!(error, LookError::Refused { errno, .. } if errno == "ESRCH");
    if ended { PeerError::Dead { pid } } else { PeerError::Unproven { pid, why: error.to_string() } }
}
