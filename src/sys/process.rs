//! The texts that the kernel keeps of one process, taken before an identity is given up.
//!
//! `/proc/PID` is opened once as a directory; texts are read beneath it, so that a reused pid can never mix two processes.
//! Nothing is kept open but that directory.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::root::{LookError, refused};
use super::tcp_table;

/// The most that is read of one text; mountinfo and environ of large hosts stay below it.
const CAP: usize = 4 << 20;

/// `/proc/PID` of one process.
pub struct ProcessDirectory {
    directory: OwnedFd,
    pid: u32,
}

/// What was read of one process. Each text is what `proc(5)` names, or why it could not be read.
pub struct ProcessTexts {
    /// The pid in the procfs that was read.
    pub pid: u32,
    pub status: Text,
    pub stat: Text,
    pub mountinfo: Text,
    pub cgroup: Text,
    pub uid_map: Text,
    pub gid_map: Text,
    /// Holds secrets; parse it into an environment and drop it.
    pub environ: Text,
    /// May hold secrets too.
    pub command_line: Text,
    /// Where `exe` points, with ` (deleted)` where it was.
    pub executable: Result<String, LookError>,
    /// As far as sockets listen; empty where the namespace has no socket of TCP.
    pub tcp: Text,
    /// The same of IPv6.
    pub tcp6: Text,
    pub udp: Text,
    pub udp6: Text,
    pub if_inet6: Text,
    pub route: Text,
    pub namespaces: Vec<(&'static str, Result<NamespaceNumber, LookError>)>,
}

/// One text of procfs.
pub type Text = Result<Vec<u8>, LookError>;

/// Device and inode of a namespace (`namespaces(7)`), as `stat(2)` of its link says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NamespaceNumber {
    pub device: u64,
    pub inode: u64,
}

/// The namespaces that are looked at, by the names of `/proc/PID/ns`.
pub const NAMESPACES: [&str; 7] = ["mnt", "net", "pid", "user", "uts", "ipc", "cgroup"];

impl ProcessDirectory {
    /// Opens `/proc/PID`.
    pub fn open(pid: u32) -> Result<Self, LookError> {
        let path = format!("/proc/{pid}");
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path.as_str(), flags, Mode::empty()).map_err(|errno| refused(&path, errno))?;
        Ok(Self { directory, pid })
    }

    /// The pid.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Reads one text beneath it.
    pub fn text(&self, name: &str) -> Text {
        self.text_until(name, |_| false)
    }

    /// Reads one text, until what was read of it is enough.
    pub(super) fn text_until(&self, name: &str, is_enough: impl Fn(&[u8]) -> bool) -> Text {
        let path = format!("/proc/{}/{name}", self.pid);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat(&self.directory, name, flags, Mode::empty()).map_err(|errno| refused(&path, errno))?;
        contents(&file, path, is_enough)
    }

    /// Where one of its links points.
    pub fn link(&self, name: &str) -> Result<String, LookError> {
        let path = format!("/proc/{}/{name}", self.pid);
        let target =
            rustix::fs::readlinkat(&self.directory, name, Vec::new()).map_err(|errno| refused(&path, errno))?;
        Ok(String::from_utf8_lossy(target.as_bytes()).into_owned())
    }

    /// The names in its `fd`, at most `cap`, and whether that is all.
    pub fn descriptors(&self, cap: usize) -> Result<(Vec<String>, bool), LookError> {
        let path = format!("/proc/{}/fd", self.pid);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory =
            rustix::fs::openat(&self.directory, "fd", flags, Mode::empty()).map_err(|errno| refused(&path, errno))?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&directory).map_err(|errno| refused(&path, errno))? {
            let entry = entry.map_err(|errno| refused(&path, errno))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            if names.len() == cap {
                return Ok((names, false));
            }
            names.push(name);
        }
        Ok((names, true))
    }

    /// Which namespace it is in.
    pub fn namespace(&self, name: &str) -> Result<NamespaceNumber, LookError> {
        let path = format!("/proc/{}/ns/{name}", self.pid);
        let stat = rustix::fs::statat(&self.directory, format!("ns/{name}"), rustix::fs::AtFlags::empty())
            .map_err(|errno| refused(&path, errno))?;
        Ok(NamespaceNumber { device: stat.st_dev, inode: stat.st_ino })
    }

    /// Opens the link to one of its namespaces, for joining.
    pub fn open_namespace(&self, name: &str) -> Result<OwnedFd, LookError> {
        let path = format!("/proc/{}/ns/{name}", self.pid);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.directory, format!("ns/{name}"), flags, Mode::empty())
            .map_err(|errno| refused(&path, errno))
    }

    /// Opens its root directory as a handle that permits nothing but lookups.
    pub fn open_root(&self) -> Result<OwnedFd, LookError> {
        let path = format!("/proc/{}/root", self.pid);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(self.directory.as_fd(), "root", flags, Mode::empty()).map_err(|errno| refused(&path, errno))
    }

    /// Reads everything.
    pub fn texts(&self) -> ProcessTexts {
        ProcessTexts {
            pid: self.pid,
            status: self.text("status"),
            stat: self.text("stat"),
            mountinfo: self.text("mountinfo"),
            cgroup: self.text("cgroup"),
            uid_map: self.text("uid_map"),
            gid_map: self.text("gid_map"),
            environ: self.text("environ"),
            command_line: self.text("cmdline"),
            executable: self.link("exe"),
            tcp: tcp_table::listening(self, "tcp"),
            tcp6: tcp_table::listening(self, "tcp6"),
            udp: self.text("net/udp"),
            udp6: self.text("net/udp6"),
            if_inet6: self.text("net/if_inet6"),
            route: self.text("net/route"),
            namespaces: NAMESPACES.map(|name| (name, self.namespace(name))).into(),
        }
    }
}

/// Reads one text of procfs that belongs to no process, such as `/proc/locks`.
pub fn text_at(path: &str) -> Text {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| refused(path, errno))?;
    contents(&file, path.to_owned(), |_| false)
}

fn contents(file: &OwnedFd, path: String, is_enough: impl Fn(&[u8]) -> bool) -> Text {
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    loop {
        match rustix::io::read(file, &mut chunk) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(refused(&path, errno)),
        }
        if bytes.len() > CAP {
            return Err(LookError::TooLong { path, cap: CAP });
        }
        if is_enough(&bytes) {
            return Ok(bytes);
        }
    }
}

/// When a process started, in clock ticks since boot, from its `stat` (`proc_pid_stat(5)`, field 22). The name in field 2 may hold
/// blanks and parentheses; the last `)` ends it.
pub fn start_ticks(stat: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(stat);
    let (_, fields) = text.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// A time in clock ticks since boot as milliseconds since 1970, by today's offset between the two clocks (`clock_gettime(2)`).
pub fn ticks_to_unix_ms(ticks: u64) -> Option<i64> {
    let milliseconds = |clock| {
        let now = rustix::time::clock_gettime(clock);
        now.tv_sec * 1000 + now.tv_nsec / 1_000_000
    };
    let booted = milliseconds(rustix::time::ClockId::Realtime) - milliseconds(rustix::time::ClockId::Boottime);
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten()?;
    let ticks = i64::try_from(ticks).ok()?;
    Some(booted + ticks.checked_mul(1000)? / per_second)
}

/// The `stat` of any process, by our own procfs: at `/proc`, or at `/` once that is our root.
pub fn stat_of(pid: u32) -> Text {
    let jailed = rustix::fs::access("/self/fd", rustix::fs::Access::EXISTS).is_ok();
    let path = if jailed { format!("/{pid}/stat") } else { format!("/proc/{pid}/stat") };
    let named = format!("/proc/{pid}/stat");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path.as_str(), flags, Mode::empty()).map_err(|errno| refused(&named, errno))?;
    let mut bytes = vec![0; 4096];
    let count = rustix::io::read(&file, &mut bytes).map_err(|errno| refused(&named, errno))?;
    bytes.truncate(count);
    Ok(bytes)
}
