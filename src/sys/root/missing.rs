//! What "not there" means where symbolic links lead to procfs: `/proc/self` and what lies below it is there for a process of the target's pid
//! namespace and not for us, so that it must not be taken for missing.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{LookError, MAX_LINKS, Root, is_kernel_filesystem};

impl Root {
    /// The error for a path that could not be found.
    pub(super) fn missing(&self, path: &str) -> LookError {
        // Without a link on the way there is nothing to doubt; most missing paths end here.
        let is_plain = !matches!(self.walk(path, OFlags::empty(), ResolveFlags::NO_SYMLINKS), Err(Errno::LOOP));
        if is_plain || !self.ends_in_kernel_filesystem(path) {
            return LookError::NotFound { path: path.to_owned() };
        }
        LookError::NotRegular { path: path.to_owned(), found: "file of procfs or sysfs" }
    }

    fn walk(&self, path: &str, flags: OFlags, further: ResolveFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | further;
        let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
        rustix::fs::openat2(&self.directory, OsStr::from_bytes(path.as_bytes()), flags, Mode::empty(), resolve)
    }

    /// Whether the links of a path lead into procfs or sysfs before they lead nowhere.
    fn ends_in_kernel_filesystem(&self, path: &str) -> bool {
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
            let Ok(here) = self.walk(&format!("/{}", done.join("/")), OFlags::NOFOLLOW, ResolveFlags::empty()) else {
                done.pop();
                let parent = self.walk(&format!("/{}", done.join("/")), OFlags::empty(), ResolveFlags::empty());
                return parent.is_ok_and(|parent| is_kernel_filesystem(parent.as_fd()));
            };
            let is_link = rustix::fs::fstat(&here)
                .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Symlink);
            if !is_link {
                continue;
            }
            links += 1;
            let Ok(target) = rustix::fs::readlinkat(here.as_fd(), "", Vec::new()) else {
                // `/proc/self` of a pid namespace that we are not in can't be read.
                return is_kernel_filesystem(here.as_fd());
            };
            if links > MAX_LINKS {
                return false;
            }
            let target = String::from_utf8_lossy(target.as_bytes()).into_owned();
            done.pop();
            if target.starts_with('/') {
                done.clear();
            }
            ahead.extend(target.rsplit('/').map(str::to_owned));
        }
        false
    }
}
