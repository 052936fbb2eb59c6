//! Closing our own process off, so that whoever shares an identity with it reaches nothing through it, and it reaches nothing by a stray path.
//!
//! Changes our own process only, and for good (`prctl(2)`, `chroot(2)`).

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use rustix::process::DumpableBehavior;

use super::root::errno_name;

/// Why our own process could not be closed off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} ({errno})")]
pub struct JailError {
    what: &'static str,
    errno: String,
}

fn refusal(what: &'static str) -> impl FnOnce(Errno) -> JailError {
    move |errno| JailError { what, errno: errno_name(errno) }
}

/// Keeps every process without `CAP_SYS_PTRACE` over the namespace that we were started in from `/proc/<us>/root`, `fd`, `mem` and tracing
/// (`ptrace(2)`, access mode checking). Holds until credentials change: see [`changes_stay_closed`].
pub fn close_to_others() -> Result<(), JailError> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(refusal("parallax could not make itself untraceable"))
}

/// Whether a change of credentials leaves us closed: the kernel then sets what `/proc/sys/fs/suid_dumpable` says (`proc_sys_fs(5)`), and 1
/// would open us, for a moment, to the very processes whose identity we take on.
pub fn changes_stay_closed() -> bool {
    std::fs::read_to_string("/proc/sys/fs/suid_dumpable").is_ok_and(|text| matches!(text.trim(), "0" | "2"))
}

/// A place to go, opened while our rights permit it.
pub struct Jail(Option<OwnedFd>);

/// Prepares a copy of the procfs mount that is attached nowhere (`open_tree(2)`, `OPEN_TREE_CLONE`): nothing lies above its root, so that not even
/// `..` leads from it to the host. It goes with our process. Without the right to make one, `/proc` itself is the jail.
pub fn prepare() -> Jail {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    Jail(rustix::mount::open_tree(rustix::fs::CWD, "/proc", flags).ok())
}

impl Jail {
    /// Changes our root to procfs: there is nothing of the host or the target in it but what procfs checks for itself, and our own handles stay
    /// reachable as `/self/fd/N`.
    pub fn enter(self) -> Result<(), JailError> {
        let what = "parallax could not leave its own root directory";
        match &self.0 {
            Some(procfs) => {
                rustix::process::fchdir(procfs).and_then(|()| rustix::process::chroot(".")).map_err(refusal(what))?
            }
            None => rustix::process::chroot("/proc").map_err(refusal(what))?,
        }
        rustix::process::chdir("/").map_err(refusal(what))
    }
}

/// Gives up gaining rights by executing anything.
pub fn gain_nothing() -> Result<(), JailError> {
    rustix::thread::set_no_new_privs(true).map_err(refusal("parallax could not give up gaining rights"))
}
