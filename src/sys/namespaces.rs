//! Joining the network and user namespace of a process, after making sure that they are the expected ones.
//!
//! The mount, pid and other namespaces are never joined: files are reached beneath the root directory (`setns(2)`, `namespaces(7)`).

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::process::{NamespaceNumber, ProcessDirectory};
use super::root::{LookError, errno_name};

/// Namespaces that are to be joined.
pub struct Joining {
    network: Option<OwnedFd>,
    user: Option<OwnedFd>,
}

/// Why namespaces were not joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamespaceError {
    /// It could not be looked at.
    #[error("the {name} namespace could not be looked at: {error}")]
    Unreadable { name: &'static str, error: LookError },
    /// It is another one than the caller saw.
    #[error("the process is in another {name} namespace than before")]
    Changed { name: &'static str },
    /// The kernel refused.
    #[error("the {name} namespace could not be joined ({errno})")]
    Refused { name: &'static str, errno: String },
}

impl Joining {
    /// Opens what differs between `target` and `own`. The handle itself is compared, so that nothing can change in between.
    pub fn prepare(target: &ProcessDirectory, own: &ProcessDirectory) -> Result<Self, NamespaceError> {
        Ok(Self { network: differing(target, own, "net")?, user: differing(target, own, "user")? })
    }

    /// Whether a user namespace is going to be joined.
    pub fn changes_user_namespace(&self) -> bool {
        self.user.is_some()
    }

    /// Joins. With privilege the network comes first, because joining a user namespace gives up our rights over everything that is not
    /// below it; without, the user namespace comes first, because it is what gives the right to join the other.
    pub fn join(self) -> Result<(), NamespaceError> {
        let mut network = self.network;
        if let Some(handle) = &network {
            match move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network)) {
                Ok(()) => network = None,
                Err(Errno::PERM) if self.user.is_some() => {}
                Err(errno) => return Err(refused("net", errno)),
            }
        }
        if let Some(handle) = self.user {
            move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::User))
                .map_err(|errno| refused("user", errno))?;
        }
        if let Some(handle) = network {
            move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(|errno| refused("net", errno))?;
        }
        Ok(())
    }
}

fn refused(name: &'static str, errno: Errno) -> NamespaceError {
    NamespaceError::Refused { name, errno: errno_name(errno) }
}

fn differing(
    target: &ProcessDirectory,
    own: &ProcessDirectory,
    name: &'static str,
) -> Result<Option<OwnedFd>, NamespaceError> {
    let unreadable = |error| NamespaceError::Unreadable { name, error };
    let ours = own.namespace(name).map_err(unreadable)?;
    if target.namespace(name).map_err(unreadable)? == ours {
        return Ok(None);
    }
    let handle = target.open_namespace(name).map_err(unreadable)?;
    let stat = rustix::fs::fstat(&handle).map_err(|errno| refused(name, errno))?;
    Ok((NamespaceNumber { device: stat.st_dev, inode: stat.st_ino } != ours).then_some(handle))
}

/// Compares what the caller saw with what the process is in now.
pub fn verify<'a>(
    directory: &ProcessDirectory,
    expected: impl IntoIterator<Item = (&'a str, NamespaceNumber)>,
) -> Result<(), NamespaceError> {
    for (name, number) in expected {
        let Some(name) = super::process::NAMESPACES.into_iter().find(|known| *known == name) else { continue };
        let found = directory.namespace(name).map_err(|error| NamespaceError::Unreadable { name, error })?;
        if found != number {
            return Err(NamespaceError::Changed { name });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{NamespaceError, NamespaceNumber, verify};
    use crate::sys::process::ProcessDirectory;

    #[test]
    fn a_process_in_another_namespace_than_expected_is_refused() {
        let own = ProcessDirectory::open(std::process::id()).expect("our own directory");
        let here = own.namespace("net").expect("our own namespace");
        assert_eq!(verify(&own, [("net", here)]), Ok(()));
        let other = NamespaceNumber { inode: here.inode + 1, ..here };
        assert_eq!(verify(&own, [("net", other)]), Err(NamespaceError::Changed { name: "net" }));
    }
}
