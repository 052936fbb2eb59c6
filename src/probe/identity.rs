//! Who the context is: ids, groups, passwd entry, home, capabilities, namespaces, host, process.
//!
//! Reads the texts of the process that represents the context, `/etc/passwd`, `/etc/nsswitch.conf` and `/etc/machine-id` beneath
//! its root and, for a user without a process, what the kernel says of the identity that was taken on. Asks no NSS module and no name service.

mod capabilities;
mod credentials;
mod home;
pub mod machine;
mod process;

use crate::probe::Target;
use crate::snapshot::facts::{HostIdentity, Identity, Namespaces};
use crate::snapshot::{Fact, ObjectId};
use crate::sys::kernel;

/// Observes the family.
pub fn observe(target: &Target<'_>) -> Identity {
    let ids = credentials::observe(target);
    let passwd = home::passwd(target, &ids.uid);
    Identity {
        home: home::observe(target, &passwd),
        passwd,
        umask: ids.umask,
        capabilities: ids.capabilities,
        no_new_privs: ids.no_new_privs,
        seccomp: ids.seccomp,
        uid_map: credentials::ranges(target, "uid_map", &target.process.uid_map),
        gid_map: credentials::ranges(target, "gid_map", &target.process.gid_map),
        namespaces: namespaces(target),
        host: HostIdentity {
            boot_id: Fact::Present(target.boot.to_owned()),
            machine: machine::observe(target),
            kernel: Fact::Present(kernel::release()),
        },
        process: process::observe(target),
        uid: ids.uid,
        gid: ids.gid,
        groups: ids.groups,
        host_uid: ids.host_uid,
        host_gid: ids.host_gid,
    }
}

fn namespaces(target: &Target<'_>) -> Namespaces {
    let of = |wanted: &str| {
        let found = target.process.namespaces.iter().find(|(name, _)| *name == wanted);
        // A kernel without this kind of namespace has no such link.
        found.map_or(Fact::Absent, |(_, number)| {
            let number = super::fact(number.as_ref().map_err(Clone::clone));
            number.map(|number| ObjectId::new(target.boot, number.device, number.inode, "nsfs"))
        })
    };
    Namespaces {
        mnt: of("mnt"),
        net: of("net"),
        pid: of("pid"),
        user: of("user"),
        uts: of("uts"),
        ipc: of("ipc"),
        cgroup: of("cgroup"),
    }
}

#[cfg(test)]
mod tests;
