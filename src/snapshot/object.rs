//! The identity of a kernel object: a namespace, a file, a socket, a process.
//!
//! Device and inode numbers mean something only within one boot of one kernel: initial namespaces have the same inode number
//! on every kernel, and two clones of a virtual machine have equal device:inode pairs. So the boot id is part of the identity.
//! On overlay, FUSE and network filesystems the same file may be seen under different numbers; such an identity is *weak*:
//! equal still means the same, different means nothing.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An opaque, comparable identity. Only `==` is meaningful, and only through [`ObjectId::same`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ObjectId(String);

const STRONG: &str = "object:";
/// Prefix of identities whose difference proves nothing.
pub const WEAK: &str = "object~:";

/// Filesystems on which device:inode may differ for one and the same file.
const WEAK_FILESYSTEMS: &[&str] = &[
    "overlay",
    "fuse",
    "fuseblk",
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "9p",
    "virtiofs",
    "aufs",
    "ceph",
    "glusterfs",
    "btrfs",
];

impl ObjectId {
    /// `filesystem` is the type as in mountinfo (`ext4`, `nsfs`, `fuse.sshfs`).
    pub fn new(boot: &str, device: u64, inode: u64, filesystem: &str) -> Self {
        let family = filesystem.split('.').next().unwrap_or(filesystem);
        let prefix = if WEAK_FILESYSTEMS.contains(&family) { WEAK } else { STRONG };
        Self(format!("{prefix}{boot}:{device:x}:{inode}:{filesystem}"))
    }

    /// A process, by its pid in parallax's own pid namespace and its start time in clock ticks since boot (`proc_pid_stat(5)`,
    /// field 22): together with the boot id this survives the reuse of a pid.
    pub fn process(boot: &str, pid: u32, start_ticks: u64) -> Self {
        Self(format!("{STRONG}{boot}:process:{pid}:{start_ticks}"))
    }

    /// Whether the two are the same object; `None` where that can't be said.
    pub fn same(&self, other: &Self) -> Option<bool> {
        if self == other {
            return Some(true);
        }
        (!self.is_weak() && !other.is_weak()).then_some(false)
    }

    /// Whether a difference from this identity proves nothing.
    pub fn is_weak(&self) -> bool {
        self.0.starts_with(WEAK)
    }

    /// The opaque text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::ObjectId;

    #[test]
    fn equal_numbers_of_two_boots_are_two_objects() {
        assert_eq!(ObjectId::new("a", 1, 2, "ext4").same(&ObjectId::new("b", 1, 2, "ext4")), Some(false));
    }

    #[test]
    fn a_difference_on_overlay_proves_nothing_and_equality_still_holds() {
        let one = ObjectId::new("a", 1, 2, "overlay");
        assert_eq!(one.same(&ObjectId::new("a", 1, 3, "overlay")), None);
        assert_eq!(one.same(&one.clone()), Some(true));
        assert_eq!(ObjectId::new("a", 1, 2, "fuse.sshfs").same(&ObjectId::new("a", 9, 2, "ext4")), None);
    }
}
