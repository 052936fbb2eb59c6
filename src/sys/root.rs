//! Files beneath a target's root directory, and never outside it.
//!
//! Every path is resolved by `openat2(2)` with `RESOLVE_IN_ROOT` and without magic links, first with `O_PATH`, which neither
//! blocks on a FIFO nor wakes a device; only what proves to be a regular file outside of the kernel's own filesystems is then opened for reading, through
//! our own `/proc/self/fd`, and read up to a cap. The mount namespace is not joined. Nothing is opened for writing.

mod missing;

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;

/// Most symbolic links followed by [`Root::resolve`] (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// A root directory and the means to reopen what was found beneath it.
pub struct Root {
    directory: OwnedFd,
    own_descriptors: OwnedFd,
}

/// Why a path could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookError {
    /// It is not there: we looked.
    #[error("{path} does not exist")]
    NotFound { path: String },
    /// The kernel refused.
    #[error("{path}: {errno}")]
    Refused { path: String, errno: String },
    /// It is there and is no regular file.
    #[error("{path} is a {found}, not a regular file")]
    NotRegular { path: String, found: &'static str },
    /// It is longer than the cap.
    #[error("{path} is longer than {cap} bytes")]
    TooLong { path: String, cap: usize },
}

/// What kind of object a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    Symlink,
    Socket,
    Fifo,
    Device,
}

impl Kind {
    /// The word that facts use.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::Socket => "socket",
            Self::Fifo => "fifo",
            Self::Device => "device",
        }
    }

    fn of(mode: u32) -> Self {
        match FileType::from_raw_mode(mode) {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::Socket => Self::Socket,
            FileType::Fifo => Self::Fifo,
            FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => Self::Device,
        }
    }
}

/// What `statx(2)` says of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub kind: Kind,
    pub device: u64,
    pub inode: u64,
    /// Permission bits, without the type.
    pub mode: u32,
    /// As the caller's user namespace maps it; 65534 where it does not.
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    /// Modification time in milliseconds since 1970.
    pub modified_ms: i64,
    /// The mount it lies on, as in mountinfo's first field; `None` before Linux 5.8.
    pub mount_id: Option<u64>,
}

/// Which right is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
    Execute,
    ReadWrite,
}

impl Access {
    fn bits(self) -> rustix::fs::Access {
        use rustix::fs::Access as Bits;
        match self {
            Self::Read => Bits::READ_OK,
            Self::Write => Bits::WRITE_OK,
            Self::Execute => Bits::EXEC_OK,
            Self::ReadWrite => Bits::READ_OK | Bits::WRITE_OK,
        }
    }
}

impl Root {
    /// Opens a root directory by path. `/proc` must be ours.
    pub fn open(path: impl AsRef<std::path::Path>) -> Result<Self, LookError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path.as_ref(), flags, Mode::empty())
            .map_err(|errno| refused(&path.as_ref().to_string_lossy(), errno))?;
        Self::from_directory(directory)
    }

    /// Takes over an open root directory. Must be called while `/proc` is reachable, that is before any `chroot`.
    pub fn from_directory(directory: OwnedFd) -> Result<Self, LookError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let own_descriptors =
            rustix::fs::open("/proc/self/fd", flags, Mode::empty()).map_err(|errno| refused("/proc/self/fd", errno))?;
        Ok(Self { directory, own_descriptors })
    }

    /// What the path leads to, symbolic links followed.
    pub fn look(&self, path: &str) -> Result<Seen, LookError> {
        self.seen(path, &self.handle(path, OFlags::empty())?)
    }

    /// What the path is itself, a last symbolic link not followed.
    pub fn look_at_link(&self, path: &str) -> Result<Seen, LookError> {
        self.seen(path, &self.handle(path, OFlags::NOFOLLOW)?)
    }

    /// Where a symbolic link points, as written.
    pub fn link_target(&self, path: &str) -> Result<String, LookError> {
        let handle = self.handle(path, OFlags::NOFOLLOW)?;
        let target = rustix::fs::readlinkat(handle.as_fd(), "", Vec::new()).map_err(|errno| refused(path, errno))?;
        Ok(String::from_utf8_lossy(target.as_bytes()).into_owned())
    }

    /// The path without symbolic links, as this root sees it. Fails where [`look`](Self::look) fails.
    pub fn resolve(&self, path: &str) -> Result<String, LookError> {
        self.look(path)?;
        let mut done: Vec<String> = Vec::new();
        let mut ahead: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
        let mut links = 0;
        while let Some(step) = ahead.pop() {
            match step.as_str() {
                "" | "." => continue,
                ".." => {
                    done.pop();
                    continue;
                }
                _ => done.push(step),
            }
            let here = format!("/{}", done.join("/"));
            if self.look_at_link(&here)?.kind == Kind::Symlink {
                links += 1;
                if links > MAX_LINKS {
                    return Err(refused(path, Errno::LOOP));
                }
                let target = self.link_target(&here)?;
                done.pop();
                if target.starts_with('/') {
                    done.clear();
                }
                ahead.extend(target.rsplit('/').map(str::to_owned));
            }
        }
        Ok(format!("/{}", done.join("/")))
    }

    /// The bytes of a regular file of at most `cap` bytes.
    pub fn read(&self, path: &str, cap: usize) -> Result<Vec<u8>, LookError> {
        let bytes = self.read_start(path, cap.saturating_add(1))?;
        if bytes.len() > cap {
            return Err(LookError::TooLong { path: path.to_owned(), cap });
        }
        Ok(bytes)
    }

    /// The first `length` bytes of a regular file, or all of it.
    pub fn read_start(&self, path: &str, length: usize) -> Result<Vec<u8>, LookError> {
        let file = self.open_regular(path)?;
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let mut chunk = vec![0; (length - bytes.len()).min(64 * 1024)];
            match rustix::io::read(&file, &mut chunk) {
                Ok(0) => break,
                Ok(count) => bytes.extend_from_slice(chunk.get(..count).unwrap_or_default()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(refused(path, errno)),
            }
        }
        Ok(bytes)
    }

    /// `length` bytes from `offset`, fewer at the end; for formats that are read in pieces.
    pub fn read_at(&self, path: &str, offset: u64, length: usize) -> Result<Vec<u8>, LookError> {
        let file = self.open_regular(path)?;
        let mut bytes = vec![0; length];
        let count = rustix::io::pread(&file, &mut bytes, offset).map_err(|errno| refused(path, errno))?;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// The names in a directory, sorted, without `.` and `..`; at most `cap`, and whether there are more.
    pub fn list(&self, path: &str, cap: usize) -> Result<(Vec<String>, bool), LookError> {
        let handle = self.handle(path, OFlags::DIRECTORY)?;
        let directory = self.reopen(path, &handle, OFlags::DIRECTORY)?;
        let entries = rustix::fs::Dir::read_from(&directory).map_err(|errno| refused(path, errno))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|errno| refused(path, errno))?;
            let name = String::from_utf8_lossy(entry.file_name().to_bytes()).into_owned();
            if name == "." || name == ".." {
                continue;
            }
            if names.len() == cap {
                return Ok((names, true));
            }
            names.push(name);
        }
        names.sort();
        Ok((names, false))
    }

    /// Whether our *effective* identity has this right (`faccessat2(2)`, `AT_EACCESS`); a read-only mount denies writing.
    pub fn effective_access(&self, path: &str, access: Access) -> Result<bool, LookError> {
        self.access(path, access, AtFlags::EACCESS)
    }

    /// Whether our *real* ids have this right (`access(2)`), as Nix asks.
    pub fn real_access(&self, path: &str, access: Access) -> Result<bool, LookError> {
        self.access(path, access, AtFlags::empty())
    }

    fn access(&self, path: &str, access: Access, flags: AtFlags) -> Result<bool, LookError> {
        let handle = self.handle(path, OFlags::empty())?;
        let name = handle.as_raw_fd().to_string();
        match rustix::fs::accessat(&self.own_descriptors, name.as_str(), access.bits(), flags) {
            Ok(()) => Ok(true),
            Err(Errno::ACCESS | Errno::ROFS | Errno::PERM | Errno::TXTBSY) => Ok(false),
            Err(errno) => Err(refused(path, errno)),
        }
    }

    /// Connects to a Unix stream socket by an `O_PATH` handle, so that neither our own root nor the 108 bytes of `sun_path` matter.
    /// The caller sets timeouts on the stream; connecting itself may block only while the peer's backlog is full.
    pub fn connect(&self, path: &str) -> Result<std::os::unix::net::UnixStream, LookError> {
        use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
        let handle = self.handle(path, OFlags::empty())?;
        let seen = self.seen(path, &handle)?;
        if seen.kind != Kind::Socket {
            return Err(LookError::NotRegular { path: path.to_owned(), found: seen.kind.word() });
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(|errno| refused(path, errno))?;
        let address = SocketAddrUnix::new(self.descriptor_path(&handle)).map_err(|errno| refused(path, errno))?;
        rustix::net::connect(&socket, &address).map_err(|errno| refused(path, errno))?;
        let stream = std::os::unix::net::UnixStream::from(socket);
        stream.set_nonblocking(false).map_err(|error| from_io(path, &error))?;
        Ok(stream)
    }

    /// A path of our own that leads to an open handle: `/proc/self/fd/N`, or `/self/fd/N` once our root is `/proc`.
    fn descriptor_path(&self, handle: &OwnedFd) -> String {
        let number = handle.as_raw_fd();
        let jailed = rustix::fs::access("/self/fd", rustix::fs::Access::EXISTS).is_ok();
        if jailed { format!("/self/fd/{number}") } else { format!("/proc/self/fd/{number}") }
    }

    fn open_regular(&self, path: &str) -> Result<OwnedFd, LookError> {
        let handle = self.handle(path, OFlags::empty())?;
        let seen = self.seen(path, &handle)?;
        if seen.kind != Kind::File {
            return Err(LookError::NotRegular { path: path.to_owned(), found: seen.kind.word() });
        }
        if is_kernel_filesystem(handle.as_fd()) {
            return Err(LookError::NotRegular { path: path.to_owned(), found: "file of a kernel filesystem" });
        }
        self.reopen(path, &handle, OFlags::empty())
    }

    fn reopen(&self, path: &str, handle: &OwnedFd, flags: OFlags) -> Result<OwnedFd, LookError> {
        let flags = flags | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.own_descriptors, handle.as_raw_fd().to_string(), flags, Mode::empty())
            .map_err(|errno| refused(path, errno))
    }

    fn handle(&self, path: &str, flags: OFlags) -> Result<OwnedFd, LookError> {
        let inside = OsStr::from_bytes(path.as_bytes());
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
        loop {
            match rustix::fs::openat2(&self.directory, inside, flags, Mode::empty(), resolve) {
                Ok(handle) => return Ok(handle),
                // The kernel asks for another try when a rename races with the walk (openat2(2), EAGAIN).
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::NOENT | Errno::NOTDIR) => return Err(self.missing(path)),
                Err(errno) => return Err(refused(path, errno)),
            }
        }
    }

    fn seen(&self, path: &str, handle: &OwnedFd) -> Result<Seen, LookError> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
        let stat = rustix::fs::statx(handle, "", AtFlags::EMPTY_PATH, wanted).map_err(|errno| refused(path, errno))?;
        let mode = u32::from(stat.stx_mode);
        let has_mount = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::MNT_ID);
        Ok(Seen {
            kind: Kind::of(mode),
            device: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            mode: mode & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            size: stat.stx_size,
            modified_ms: stat.stx_mtime.tv_sec * 1000 + i64::from(stat.stx_mtime.tv_nsec / 1_000_000),
            mount_id: has_mount.then_some(stat.stx_mnt_id),
        })
    }
}

/// Whether the handle lies on a filesystem of which the kernel makes the files up: reading one may do something or tell what is nobody's
/// but root's. One that can't be told counts as such.
fn is_kernel_filesystem(handle: BorrowedFd<'_>) -> bool {
    rustix::fs::fstatfs(handle).map_or(true, |stat| is_kernel_kind(stat.f_type))
}

/// By `f_type` (`statfs(2)`; `include/uapi/linux/magic.h`).
fn is_kernel_kind(kind: i64) -> bool {
    const KINDS: [i64; 10] = [
        0x9fa0,      // procfs
        0x6265_6572, // sysfs
        0x7472_6163, // tracefs
        0x6462_6720, // debugfs
        0x0027_e0eb, // cgroup
        0x6367_7270, // cgroup2
        0x7363_6673, // securityfs
        0xcafe_4a11, // bpf
        0x6165_676c, // pstore
        0x6265_6570, // configfs
    ];
    KINDS.contains(&(kind & 0xffff_ffff))
}

pub(crate) fn refused(path: &str, errno: Errno) -> LookError {
    match errno {
        Errno::NOENT | Errno::NOTDIR => LookError::NotFound { path: path.to_owned() },
        _ => LookError::Refused { path: path.to_owned(), errno: errno_name(errno) },
    }
}

fn from_io(path: &str, error: &std::io::Error) -> LookError {
    refused(path, Errno::from_io_error(error).unwrap_or(Errno::IO))
}

/// The symbolic name of an errno, such as `EACCES` (`errno(3)`).
pub fn errno_name(errno: Errno) -> String {
    let name = format!("{:?}", nix::errno::Errno::from_raw(errno.raw_os_error()));
    if name == "UnknownErrno" { format!("errno {}", errno.raw_os_error()) } else { name }
}

#[cfg(test)]
mod tests;
