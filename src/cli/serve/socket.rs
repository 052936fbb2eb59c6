//! The socket that is served on: the service manager's, or one of our own in a directory of our own.
//!
//! Must not take the place of a living server, write into a directory that others may write, or remove what is not ours.

use std::ffi::OsString;
use std::fs::{DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use rustix::fs::{AtFlags, FlockOperation};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::super::exit::Failure;
use super::super::views::open_own;

/// How many connections wait for being accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A socket that is listened on.
pub(super) struct Listening {
    path: PathBuf,
    listener: UnixListener,
    /// Of a socket of our own: its directory, which is locked as long as we serve, and the socket's device and inode.
    own: Option<(OwnedFd, u64, u64)>,
}

impl Listening {
    /// Takes the socket that the service manager opened (`sd_listen_fds(3)`), else opens one at `path`.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let mut handed = ListenFd::from_env();
        match handed.len() {
            0 => Self::bind(path),
            1 => {
                let refused = |detail: &dyn std::fmt::Display| {
                    Failure::Usage(format!("the service manager's socket can't be served on: {detail}"))
                };
                let taken = handed.take_unix_listener(0).map_err(|error| refused(&error))?;
                let listener = taken.ok_or_else(|| refused(&"it was taken"))?;
                let address = listener.local_addr().map_err(|error| refused(&error))?;
                let path = address.as_pathname().ok_or_else(|| refused(&"it has no path"))?.to_owned();
                Ok(Self { path, listener, own: None })
            }
            count => Err(Failure::Usage(format!("the service manager opened {count} sockets; one is served on"))),
        }
    }

    fn bind(path: &Path) -> Result<Self, Failure> {
        let shown = path.display().to_string();
        let refused = |error: std::io::Error| Failure::Usage(format!("{shown} can't be listened on: {error}"));
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Failure::Usage(format!("{shown} is no place for a socket")));
        };
        make(directory).map_err(refused)?;
        let handle = open_own(directory)?;
        // Held until the end: of two servers that start at once only one goes on.
        rustix::fs::flock(&handle, FlockOperation::NonBlockingLockExclusive).map_err(|errno| match errno {
            Errno::WOULDBLOCK => Failure::Usage(format!("another parallax serves in {}", directory.display())),
            errno => refused(errno.into()),
        })?;
        remove_stale(path)?;
        let listener = listen(path).map_err(refused)?;
        // Connecting needs the right to write, and whoever gets to the directory may ask.
        std::fs::set_permissions(path, Permissions::from_mode(0o666)).map_err(refused)?;
        let stat = rustix::fs::statat(&handle, OsString::from(name), AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.map_err(|errno| refused(errno.into()))?;
        Ok(Self { path: path.to_owned(), listener, own: Some((handle, stat.st_dev, stat.st_ino)) })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory that it is in.
    pub(super) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// For serving on.
    pub(super) fn listener(&self) -> std::io::Result<tokio::net::UnixListener> {
        let listener = self.listener.try_clone()?;
        listener.set_nonblocking(true)?;
        tokio::net::UnixListener::from_std(listener)
    }

    /// Removes a socket of our own, if it is still there. The service manager's stays.
    pub(super) fn close(self) {
        let Some((directory, device, inode)) = self.own else { return };
        let Some(name) = self.path.file_name() else { return };
        let there = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW);
        if there.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (device, inode)) {
            // What is left behind is found stale by the next server.
            let _ = rustix::fs::unlinkat(&directory, name, AtFlags::empty());
        }
    }
}

/// Makes the directory, open for reading to everybody, where it is not there.
fn make(directory: &Path) -> std::io::Result<()> {
    match DirBuilder::new().mode(0o755).create(directory) {
        // The umask may have taken something away.
        Ok(()) => std::fs::set_permissions(directory, Permissions::from_mode(0o755)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes the socket of a server that is no more. Nothing else is removed.
fn remove_stale(path: &Path) -> Result<(), Failure> {
    let shown = path.display();
    let refused = |detail: &dyn std::fmt::Display| Failure::Usage(format!("{shown}: {detail}"));
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused(&error)),
    };
    if !metadata.file_type().is_socket() {
        return Err(refused(&"something that is no socket is there; it is left alone"));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(refused(&format_args!("the socket of uid {} is there; it is left alone", metadata.uid())));
    }
    // Never waits: a server whose queue is full is alive too (EAGAIN, connect(2)).
    match connect(path) {
        Err(Errno::CONNREFUSED) => std::fs::remove_file(path).map_err(|error| refused(&error)),
        Ok(()) | Err(Errno::AGAIN) => Err(refused(&"a server listens there already")),
        Err(errno) => Err(refused(&std::io::Error::from(errno))),
    }
}

fn connect(path: &Path) -> Result<(), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(socket.as_fd(), &SocketAddrUnix::new(path)?)
}

fn listen(path: &Path) -> std::io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}
