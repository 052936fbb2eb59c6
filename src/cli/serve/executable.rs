//! The copy of this executable beside the socket, for images that have neither parallax nor curl: `/run/parallax/parallax check`.
//!
//! Written beside its place and renamed over it, so that no job starts half a file. Must not write through a link or into a directory that
//! others may write.

use std::fs::{File, Permissions};
use std::io::{Read, Seek};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, OFlags, StatVfsMountFlags};

use super::super::views::open_own;

/// What it is called.
const NAME: &str = "parallax";

/// Lays the copy down, unless the very same is there. Says what stands in its way.
pub(super) fn place(directory: &Path) -> Result<Vec<String>, String> {
    let handle = open_own(directory).map_err(|failure| failure.message().to_owned())?;
    let mut own = File::open("/proc/self/exe").map_err(|error| format!("our own executable: {error}"))?;
    let place = directory.join(NAME);
    if !is_there(&handle, &mut own) {
        replace(&handle, &mut own).map_err(|error| format!("{}: {error}", place.display()))?;
    }
    let mounted = rustix::fs::fstatvfs(&handle).map_err(|errno| errno.to_string())?;
    let barred = mounted.f_flag.contains(StatVfsMountFlags::NOEXEC);
    Ok(Vec::from_iter(barred.then(|| {
        format!(
            "nothing can be started from {}, which is mounted noexec; jobs inherit that: serve from another directory \
             (--socket) or copy {} into the images",
            directory.display(),
            place.display()
        )
    })))
}

/// Whether the copy has the same bytes and may be started by everybody.
fn is_there(directory: &OwnedFd, own: &mut File) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(there) = rustix::fs::openat(directory, NAME, flags, Mode::empty()) else { return false };
    let mut there = File::from(there);
    let (Ok(its), Ok(ours)) = (there.metadata(), own.metadata()) else { return false };
    its.is_file() && its.permissions().mode() & 0o7777 == 0o755 && its.len() == ours.len() && equal(&mut there, own)
}

fn equal(one: &mut File, other: &mut File) -> bool {
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let Ok(count) = one.read(&mut left) else { return false };
        let (Some(read), Some(expected)) = (left.get(..count), right.get_mut(..count)) else { return false };
        if count == 0 {
            return true;
        }
        if other.read_exact(expected).is_err() || read != expected {
            return false;
        }
    }
}

fn replace(directory: &OwnedFd, own: &mut File) -> std::io::Result<()> {
    let draft = format!(".{NAME}.{}", std::process::id());
    let written = write(directory, &draft, own);
    let renamed = written.and_then(|()| Ok(rustix::fs::renameat(directory, draft.as_str(), directory, NAME)?));
    if renamed.is_err() {
        let _ = rustix::fs::unlinkat(directory, draft.as_str(), AtFlags::empty());
    }
    renamed
}

fn write(directory: &OwnedFd, draft: &str, own: &mut File) -> std::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, draft, flags, Mode::from_raw_mode(0o700))?;
    let mut file = File::from(file);
    own.rewind()?;
    std::io::copy(own, &mut file)?;
    // Whatever the umask.
    file.set_permissions(Permissions::from_mode(0o755))
}
