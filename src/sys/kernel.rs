//! What the running kernel says of itself: its machine and release, the formats it starts beside its own, its clocks.
//!
//! Read from our own procfs, which is `/proc`, or `/` once our root was changed to it. An automount point is never
//! woken: binfmt_misc is looked at only where it is mounted already.

use rustix::fs::{Mode, OFlags};
use rustix::time::ClockId;

use super::root::{LookError, refused};

/// Magic numbers of `statfs(2)`.
const BINFMTFS_MAGIC: i64 = 0x4249_4e4d;
/// The most that is read of one handler; a real one is below 1 KiB.
const HANDLER: usize = 16 << 10;
/// The most handlers that are read.
const HANDLERS: usize = 256;

/// What binfmt_misc holds (`Documentation/admin-guide/binfmt-misc.rst`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handlers {
    /// This kernel has no binfmt_misc, so nothing can be registered.
    None,
    /// It has, and it is not mounted where we look; what is registered can't be seen.
    NotMounted,
    /// Mounted: `status`, and the text of each handler by its name.
    Mounted { status: Vec<u8>, handlers: Vec<(String, Vec<u8>)> },
}

/// Our own procfs.
fn procfs() -> &'static str {
    if rustix::fs::access("/self/fd", rustix::fs::Access::EXISTS).is_ok() { "" } else { "/proc" }
}

/// The machine that programs are started for, as `uname -m`.
pub fn machine() -> String {
    rustix::system::uname().machine().to_string_lossy().into_owned()
}

/// The kernel's release, as `uname -r`.
pub fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// Clock ticks per second, the unit of times in `proc_pid_stat(5)`; `None` where libc does not say.
pub fn ticks_per_second() -> Option<u64> {
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten()?;
    u64::try_from(ticks).ok().filter(|ticks| *ticks > 0)
}

/// When the kernel was booted, in milliseconds since 1970 by the present wall clock; suspended time counts (`CLOCK_BOOTTIME`).
pub fn booted_ms() -> i64 {
    let milliseconds = |clock| {
        let time = rustix::time::clock_gettime(clock);
        time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    };
    milliseconds(ClockId::Realtime) - milliseconds(ClockId::Boottime)
}

/// Whether an x86-64 kernel was built to start 32-bit programs: only then it has `abi.vsyscall32`
/// (`arch/x86/entry/vdso/vdso32-setup.c`). `None` where that can't be seen.
pub fn starts_ia32() -> Option<bool> {
    let at = procfs();
    let there = |path: &str| rustix::fs::access(path, rustix::fs::Access::EXISTS).is_ok();
    if !there(&format!("{at}/sys/kernel")) {
        return None;
    }
    Some(there(&format!("{at}/sys/abi/vsyscall32")))
}

/// Reads the registered handlers.
pub fn handlers() -> Result<Handlers, LookError> {
    let place = format!("{}/sys/fs/binfmt_misc", procfs());
    // An O_PATH handle does not trigger an automount (open(2)).
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handle = match rustix::fs::open(place.as_str(), flags, Mode::empty()) {
        Ok(handle) => handle,
        Err(rustix::io::Errno::NOENT) => {
            // Without its parent we do not look at a whole procfs (`subset=pid`), so nothing follows from its absence.
            let parent = format!("{}/sys/fs", procfs());
            return match rustix::fs::access(parent.as_str(), rustix::fs::Access::EXISTS) {
                Ok(()) => Ok(Handlers::None),
                Err(errno) => Err(refused(&parent, errno)),
            };
        }
        Err(errno) => return Err(refused(&place, errno)),
    };
    let kind = rustix::fs::fstatfs(&handle).map_err(|errno| refused(&place, errno))?;
    if kind.f_type != BINFMTFS_MAGIC {
        return Ok(Handlers::NotMounted);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(place.as_str(), flags, Mode::empty()).map_err(|errno| refused(&place, errno))?;
    let (mut status, mut handlers) = (Vec::new(), Vec::new());
    for entry in rustix::fs::Dir::read_from(&directory).map_err(|errno| refused(&place, errno))? {
        let entry = entry.map_err(|errno| refused(&place, errno))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match name.as_str() {
            "." | ".." | "register" => {}
            "status" => status = text(&directory, &place, &name)?,
            _ if handlers.len() == HANDLERS => return Err(LookError::TooLong { path: place, cap: HANDLERS }),
            _ => handlers.push((name.clone(), text(&directory, &place, &name)?)),
        }
    }
    handlers.sort();
    Ok(Handlers::Mounted { status, handlers })
}

fn text(directory: &std::os::fd::OwnedFd, place: &str, name: &str) -> Result<Vec<u8>, LookError> {
    let path = format!("{place}/{name}");
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, name, flags, Mode::empty()).map_err(|errno| refused(&path, errno))?;
    let mut bytes = vec![0; HANDLER];
    let count = rustix::io::read(&file, &mut bytes).map_err(|errno| refused(&path, errno))?;
    bytes.truncate(count);
    Ok(bytes)
}
