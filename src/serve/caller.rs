//! Who calls: the live process at the other end of a connection, or the reason why that can't be known.

use std::os::fd::OwnedFd;

/// A caller that is known: one live process.
#[derive(Debug)]
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
    /// Whether it is still the same live process with the same identity, and, where that was the proof, still holds the other end.
    pub fn confirm(&self) -> Result<(), PeerError> {
        let _ = &self.pidfd;
        Err(PeerError::Unproven { pid: self.pid, why: "not written yet".into() })
    }
}
