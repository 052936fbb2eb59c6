//! What a unit of processes is called: by its engine, its machine, its systemd unit or its derivation, and by its namespace where nothing else is known.
//!
//! Names come from processes and engines, so they are brought to letters that can stand in an id.

use std::collections::BTreeMap;

use super::containers::Standing;
use super::docker::Named;
use super::here::Here;
use super::pipeline::Part;
use super::procfs::{self, Process};
use super::services::base_name;
use crate::formats::cgroup::{Owner, is_container_id};
use crate::formats::mountinfo::{self, MountEntry};
use crate::snapshot::{ContextKind, Header};
use crate::sys::LookError;
use crate::sys::process::ProcessDirectory;

/// What the units are named by.
pub struct Names<'a> {
    /// The engines' containers, by id.
    pub engines: &'a BTreeMap<String, Named>,
    /// The start of the oldest process of each systemd unit.
    pub units: &'a BTreeMap<String, u64>,
    /// The uids that Nix builds run as.
    pub builders: &'a [u32],
    /// The pids of known services, and what their contexts are called.
    pub services: &'a BTreeMap<u32, String>,
    /// Every pid's parent.
    pub parents: &'a BTreeMap<u32, u32>,
}

impl<'a> Names<'a> {
    /// What an engine says of this unit, if one lists it.
    pub fn engine_of(&self, standing: &Standing) -> Option<&'a Named> {
        match standing {
            Standing::Container(id) => self.engines.get(id),
            _ => None,
        }
    }
}

/// The header of a unit: which kind it is, and the name that says most.
pub fn unit_header(
    here: &Here<'_>,
    standing: &Standing,
    oldest: &Process,
    mounts: &[MountEntry],
    names: &Names<'_>,
) -> Header {
    if let Some(name) = build_name(oldest, mounts, names.builders) {
        let mut header = here.header(ContextKind::Build, &name, None);
        let maker = procfs::ancestors(oldest.pid, names.parents).find_map(|pid| names.services.get(&pid));
        header.chain.extend(maker.map(|service| format!("a build of {service}")));
        return header;
    }
    match standing {
        Standing::Container(id) => {
            let named = names.engine_of(standing);
            let short: String = id.chars().take(12).collect();
            let name = named.map_or(short, |named| tidy(&named.name));
            let mut header = here.header(ContextKind::Container, &name, None);
            header.image = named.and_then(|named| named.image.clone());
            if let Some(part) = named.and_then(|named| Part::of_labels(&named.labels)) {
                (header.role, header.job) = (Some(part.role.to_owned()), Some(part.job));
            }
            header
        }
        Standing::Machine(name) => here.header(ContextKind::Container, &tidy(name), None),
        Standing::Host | Standing::Apart(_) | Standing::Unreadable => {
            if let Some(Owner::Unit(unit)) = &oldest.owner
                && names.units.get(unit) == Some(&oldest.start_ticks)
            {
                let name = unit.strip_suffix(".service").unwrap_or(unit);
                return here.header(ContextKind::Service, &tidy(name), None);
            }
            let number = oldest.place.as_ref().ok().and_then(|place| {
                let differs = ["net", "pid", "user", "mnt"].into_iter().find(|name| !place.shares(here.place, name))?;
                Some(place.namespace(differs)?.inode)
            });
            let number = number.unwrap_or(u64::from(oldest.pid));
            here.header(ContextKind::Container, &format!("{}-{number}", tidy(&oldest.name)), None)
        }
    }
}

/// The name of a Nix build: by the root that the sandbox was given, or by the user that it runs as.
fn build_name(oldest: &Process, mounts: &[MountEntry], builders: &[u32]) -> Option<String> {
    let root =
        mounts.iter().rev().find(|mount| mount.point == "/").map(|mount| mount.root.as_str()).unwrap_or_default();
    let derivation =
        root.split('/').find_map(|step| step.strip_suffix(".drv.chroot").or(step.strip_suffix(".drv-chroot")));
    if let Some(derivation) = derivation {
        // A store path's name begins after its hash (32 characters of Nix's base 32) and a dash.
        return Some(tidy(derivation.get(33..).filter(|name| !name.is_empty()).unwrap_or(derivation)));
    }
    builders.contains(&oldest.status.uids[1]).then(|| format!("uid-{}", oldest.status.uids[1]))
}

/// The id of a container whose control group does not show it: its engine mounts three files of its own over `/etc`.
pub fn container_by_mounts(mounts: &[MountEntry]) -> Option<String> {
    let files = ["/etc/hostname", "/etc/hosts", "/etc/resolv.conf"];
    mounts.iter().filter(|mount| files.contains(&mount.point.as_str())).find_map(|mount| {
        let mut steps = mount.root.split('/').skip_while(|step| !step.ends_with("containers"));
        steps.nth(1).filter(|id| is_container_id(id)).map(str::to_owned)
    })
}

/// Where an engine's socket is mounted, where it is.
pub fn engine_socket(mounts: &[MountEntry]) -> Option<&str> {
    let names = ["docker.sock", "podman.sock"];
    mounts.iter().find(|mount| names.contains(&base_name(&mount.root))).map(|mount| mount.point.as_str())
}

/// The mount table of a process.
pub fn mounts(process: &Process) -> Result<Vec<MountEntry>, LookError> {
    let text = ProcessDirectory::open(process.pid)?.text("mountinfo")?;
    let path = || format!("/proc/{}/mountinfo", process.pid);
    mountinfo::parse(&text).map_err(|_| LookError::Refused { path: path(), errno: "EINVAL".into() })
}

/// A name as it can stand in an id: what a process calls itself is its own choice.
pub fn tidy(name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-@+".contains(letter);
    name.chars().take(128).map(|letter| if plain(letter) { letter } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::procfs::tests::process;
    use super::{build_name, container_by_mounts, engine_socket, tidy};
    use crate::formats::mountinfo;

    #[test]
    fn a_sandboxed_build_is_named_by_its_derivation() {
        let text = b"5 1 254:0 /nix/store/z95aldspb19x4zc8qzpa94qjqhc8glxj-hello-2.12.drv.chroot/root / rw - ext4 /dev/vda rw\n";
        let mounts = mountinfo::parse(text).expect("a table");
        let builder = process(7, 1, "/bin/sh", &["sh"]);
        assert_eq!(build_name(&builder, &mounts, &[]), Some("hello-2.12".into()));
        assert_eq!(build_name(&builder, &[], &[30001]), None);
    }

    #[test]
    fn docker_s_own_files_give_an_id_that_the_control_group_hides() {
        let id = "4e5021d210f65ebe915670c7089120120bc0a303b90208592851708c1b8c04bd";
        let line = format!("5 1 254:0 /var/lib/docker/containers/{id}/hosts /etc/hosts rw - ext4 /dev/vda rw\n");
        let mounts = mountinfo::parse(line.as_bytes()).expect("a table");
        assert_eq!(container_by_mounts(&mounts), Some(id.into()));
        let elsewhere = line.replace("/etc/hosts ", "/srv/hosts ");
        assert_eq!(container_by_mounts(&mountinfo::parse(elsewhere.as_bytes()).expect("a table")), None);
    }

    #[test]
    fn a_mounted_engine_socket_is_found_wherever_it_is_mounted() {
        let mounts = mountinfo::parse(b"5 1 0:25 /docker.sock /mnt/engine rw - tmpfs tmpfs rw\n").expect("a table");
        assert_eq!(engine_socket(&mounts), Some("/mnt/engine"));
    }

    #[test]
    fn what_a_process_calls_itself_cannot_break_an_id() {
        assert_eq!(tidy("a/b\n\u{1b}[31m:c"), "a_b__[31m_c".replace('[', "_"));
    }
}
