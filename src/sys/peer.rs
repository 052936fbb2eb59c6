//! Who is at the other end of a Unix socket, as the kernel says: its process, and whether that process still holds the other end.
//!
//! Reads socket options (`unix(7)`, `SO_PEERCRED`, `SO_PEERPIDFD` since Linux 6.5), `/proc/PID` and unix_diag (`sock_diag(7)`). Believes
//! the other end nothing. A pid alone proves nothing: the process may have ended and another one have its number.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::unix::{ShowFlags, StateFlags, UnixRequest};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::{getsockopt, sockopt};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::process::{ProcessDirectory, start_ticks};
use super::root::{LookError, errno_name, refused};

/// The most descriptors of one process that are looked through for the other end.
const DESCRIPTORS: usize = 1 << 16;

/// What the kernel kept of whoever connected (`SO_PEERCRED`), at that moment, in the terms of our own namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// The process; 0 where our pid namespace does not show it.
    pub pid: u32,
    /// Its effective uid.
    pub uid: u32,
    /// Its effective gid.
    pub gid: u32,
}

/// What a process is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
    /// Its effective uid.
    pub uid: u32,
    /// Its effective gid.
    pub gid: u32,
}

/// Why it can't be said which socket is the other end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OtherEndError {
    /// The kernel was asked and refused.
    #[error("unix_diag could not be asked ({0})")]
    Refused(String),
    /// Neither our network namespace nor the process' own knows the connection.
    #[error("the connection belongs to a network namespace that is neither ours nor that of the process")]
    Elsewhere,
    /// The network namespace of the process could not be looked into.
    #[error("its network namespace could not be looked into: {0}")]
    Closed(String),
    /// Nobody holds it any more.
    #[error("nobody holds the other end any more")]
    Gone,
}

/// What the kernel kept of whoever connected.
pub fn credentials(socket: &impl AsFd) -> Result<Credentials, LookError> {
    let found = getsockopt(socket, sockopt::PeerCredentials)
        .map_err(|errno| refused("SO_PEERCRED", Errno::from_raw_os_error(errno as i32)))?;
    Ok(Credentials { pid: u32::try_from(found.pid()).unwrap_or_default(), uid: found.uid(), gid: found.gid() })
}

/// The process that connected, as the kernel kept it, dead or alive; `None` where this kernel does not know the option.
pub fn pidfd_of_peer(socket: &impl AsFd) -> Result<Option<OwnedFd>, LookError> {
    match getsockopt(socket, sockopt::PeerPidfd) {
        Ok(pidfd) => Ok(Some(pidfd)),
        Err(nix::errno::Errno::ENOPROTOOPT) => Ok(None),
        // What a kernel before 6.16 says of a process that was reaped.
        Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ESRCH) => {
            Err(LookError::NotFound { path: "SO_PEERPIDFD".into() })
        }
        Err(errno) => Err(refused("SO_PEERPIDFD", Errno::from_raw_os_error(errno as i32))),
    }
}

/// The process that has this pid now.
pub fn pidfd_of(pid: u32) -> Result<OwnedFd, LookError> {
    let path = format!("/proc/{pid}");
    let raw = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let Some(pid) = raw else { return Err(LookError::NotFound { path }) };
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).map_err(|errno| match errno {
        Errno::SRCH => LookError::NotFound { path },
        errno => refused(&path, errno),
    })
}

/// Whether the process of a pidfd has not ended: one that ended is readable (`pidfd_open(2)`).
pub fn is_alive(pidfd: BorrowedFd<'_>) -> bool {
    let mut polled = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut polled, Some(&now)), Ok(0))
}

/// What a process is now. Means the process of a pidfd only if that is alive afterwards.
pub fn identity(process: &ProcessDirectory) -> Result<Identity, LookError> {
    let gone = || LookError::NotFound { path: format!("/proc/{}", process.pid()) };
    let ticks = start_ticks(&process.text("stat")?).ok_or_else(gone)?;
    let status = process.text("status")?;
    let status = String::from_utf8_lossy(&status);
    let effective = |key: &str| -> Option<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    let (uid, gid) = (effective("Uid:").ok_or_else(gone)?, effective("Gid:").ok_or_else(gone)?);
    Ok(Identity { start_ticks: ticks, uid, gid })
}

/// The inode of an open socket.
pub fn inode(socket: &impl AsFd) -> Result<u64, LookError> {
    rustix::fs::fstat(socket).map(|stat| stat.st_ino).map_err(|errno| refused("the socket", errno))
}

/// The inode of the socket that this one of ours is connected with. An accepted socket belongs to the network namespace of whoever
/// connected (`unix_stream_connect` in `net/unix/af_unix.c`), so both are asked.
pub fn other_end(ours: u64, process: &ProcessDirectory) -> Result<u64, OtherEndError> {
    if let Some(found) = ask(ours)? {
        return Ok(found);
    }
    let closed = |error: LookError| OtherEndError::Closed(error.to_string());
    let network = process.open_namespace("net").map_err(closed)?;
    // A thread of its own, which ends with what it joined.
    let asked = std::thread::scope(|scope| {
        let joined = scope.spawn(|| {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(|errno| OtherEndError::Closed(errno_name(errno)))?;
            ask(ours)
        });
        joined.join().unwrap_or_else(|_| Err(OtherEndError::Refused("the thread that asked failed".into())))
    });
    asked?.ok_or(OtherEndError::Elsewhere)
}

/// Whether a process holds the socket of this inode open; `None` where it has more descriptors than are looked through.
pub fn holds(process: &ProcessDirectory, inode: u64) -> Result<Option<bool>, LookError> {
    let wanted = format!("socket:[{inode}]");
    let (descriptors, complete) = process.descriptors(DESCRIPTORS)?;
    for descriptor in descriptors {
        // One that was closed meanwhile is not the one.
        if process.link(&format!("fd/{descriptor}")).is_ok_and(|target| target == wanted) {
            return Ok(Some(true));
        }
    }
    Ok(complete.then_some(false))
}

/// Asks unix_diag in the network namespace of this thread for the peer of one socket; `None` where it does not know the socket.
fn ask(inode: u64) -> Result<Option<u64>, OtherEndError> {
    let refused = |error: std::io::Error| OtherEndError::Refused(error.to_string());
    let inode = u32::try_from(inode).map_err(|error| OtherEndError::Refused(error.to_string()))?;
    let mut socket = Socket::new(NETLINK_SOCK_DIAG).map_err(refused)?;
    socket.bind_auto().map_err(refused)?;
    socket.connect(&SocketAddr::new(0, 0)).map_err(refused)?;
    // The kernel answers within the call that asks.
    socket.set_non_blocking(true).map_err(refused)?;
    let request = UnixRequest {
        state_flags: StateFlags::all(),
        inode,
        show_flags: ShowFlags::PEER,
        // Any cookie (`INET_DIAG_NOCOOKIE`): the inode is of a socket that we hold.
        cookie: [0xff; 8],
    };
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let mut message = NetlinkMessage::new(header, SockDiagMessage::UnixRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0).map_err(refused)?;
    let (answer, _) = socket.recv_from_full().map_err(refused)?;
    let answer = NetlinkMessage::<SockDiagMessage>::deserialize(&answer)
        .map_err(|error| OtherEndError::Refused(error.to_string()))?;
    match answer.payload {
        NetlinkPayload::InnerMessage(SockDiagMessage::UnixResponse(found)) if found.header.inode == inode => {
            found.peer().filter(|peer| *peer != 0).map(|peer| Some(u64::from(peer))).ok_or(OtherEndError::Gone)
        }
        // ENOENT is also what a kernel without unix_diag says; then no namespace knows the socket and nothing is proven.
        NetlinkPayload::Error(error) if error.raw_code() == -Errno::NOENT.raw_os_error() => Ok(None),
        NetlinkPayload::Error(error) => Err(refused(error.to_io())),
        _ => Err(OtherEndError::Refused("an answer of another kind".into())),
    }
}

#[cfg(test)]
mod tests;
