//! Ids, groups and rights: from the process's `status` (`proc_pid_status(5)`), translated by the maps of its user namespace.

use super::capabilities;
use crate::formats::id_map::{self, IdMapLine};
use crate::formats::status::{self, Status};
use crate::probe::{Target, fact};
use crate::snapshot::facts::{Capabilities, IdRange};
use crate::snapshot::{Fact, Reason};
use crate::sys::process::Text;

/// Ids inside the context and as the host sees them, and the rights that go with them.
pub(super) struct Credentials {
    pub(super) uid: Fact<u32>,
    pub(super) gid: Fact<u32>,
    pub(super) groups: Fact<Vec<u32>>,
    pub(super) host_uid: Fact<u32>,
    pub(super) host_gid: Fact<u32>,
    pub(super) umask: Fact<String>,
    pub(super) capabilities: Capabilities,
    pub(super) no_new_privs: Fact<bool>,
    pub(super) seccomp: Fact<String>,
}

/// Which side of the map the ids in `status` are on. They are in the reader's namespace: outside of the process's own, unless
/// the reader was a member of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Outside,
    Inside,
}

pub(super) fn observe(target: &Target<'_>) -> Credentials {
    let uid_map = map(target, "uid_map", &target.process.uid_map);
    let gid_map = map(target, "gid_map", &target.process.gid_map);
    if !target.live {
        return taken_on(&uid_map, &gid_map, nested(target).as_ref());
    }
    let status =
        fact(target.process.status.as_ref().map_err(Clone::clone)).and_then(|text| match status::parse(text) {
            Ok(status) => Fact::Present(status),
            Err(error) => Fact::Unobserved(malformed(target, "status", &error.to_string())),
        });
    match status {
        Fact::Present(status) => of_process(&status, &uid_map, &gid_map, nested(target).as_ref()),
        // procfs without the process's status: it ended.
        Fact::Absent => unobserved(&Reason::Vanished),
        Fact::Unobserved(reason) => unobserved(&reason),
    }
}

/// A map as facts.
pub(super) fn ranges(target: &Target<'_>, name: &str, text: &Text) -> Fact<Vec<IdRange>> {
    map(target, name, text).map(|lines| {
        let range = |line: IdMapLine| IdRange { inside: line.inside, outside: line.outside, count: line.count };
        lines.into_iter().map(range).collect()
    })
}

fn map(target: &Target<'_>, name: &str, text: &Text) -> Fact<Vec<IdMapLine>> {
    fact(text.as_ref().map_err(Clone::clone)).and_then(|text| match id_map::parse(text) {
        Some(lines) => Fact::Present(lines),
        None => Fact::Unobserved(malformed(target, name, "not an id map")),
    })
}

fn malformed(target: &Target<'_>, name: &str, detail: &str) -> Reason {
    Reason::Malformed { path: format!("/proc/{}/{name}", target.process.pid), line: None, detail: detail.to_owned() }
}

/// Why ids outside of the process's user namespace are not those of the host. A member of the namespace reads its maps in terms of the
/// parent's (`user_namespaces(7)`), which is the host's own only for the initial one; its inode never changes (`PROC_USER_INIT_INO`).
fn nested(target: &Target<'_>) -> Option<Reason> {
    const INITIAL: u64 = 4_026_531_837;
    // A kernel without user namespaces has no such link, and one namespace.
    let (_, number) = target.process.namespaces.iter().find(|(name, _)| *name == "user")?;
    match number {
        Ok(number) if number.inode == INITIAL => None,
        Ok(_) => {
            let what = "the user namespace around this one, which may itself be inside another".to_owned();
            Some(Reason::NotEmulated { what })
        }
        Err(error) => Some(crate::probe::reason(error.clone())),
    }
}

/// An id of the host's, unless it was read as a member of a namespace inside of the host's.
fn of_host(found: Fact<u32>, side: Side, nested: Option<&Reason>) -> Fact<u32> {
    match (side, nested) {
        (Side::Inside, Some(reason)) => Fact::Unobserved(reason.clone()),
        _ => found,
    }
}

fn of_process(
    status: &Status,
    uid_map: &Fact<Vec<IdMapLine>>,
    gid_map: &Fact<Vec<IdMapLine>>,
    nested: Option<&Reason>,
) -> Credentials {
    let [_, euid, ..] = status.uids;
    let [_, egid, ..] = status.gids;
    let side = side(uid_map, euid, rustix::process::geteuid().as_raw());
    let (uid, host_uid) = translate(uid_map, euid, side);
    let (gid, host_gid) = translate(gid_map, egid, side);
    let mut groups = Fact::Present(Vec::new());
    for group in &status.groups {
        let (inside, _) = translate(gid_map, *group, side);
        groups = groups.and_then(|mut groups: Vec<u32>| {
            inside.map(|group| {
                groups.push(group);
                groups
            })
        });
    }
    Credentials {
        uid,
        gid,
        groups: groups.map(sorted),
        host_uid: of_host(host_uid, side, nested),
        host_gid: of_host(host_gid, side, nested),
        umask: status.umask.map(|mask| format!("{mask:04o}")).into(),
        capabilities: capabilities::of_status(status),
        no_new_privs: status.no_new_privs.into(),
        seccomp: match status.seccomp {
            Some(0) => Fact::Present("disabled".to_owned()),
            Some(1) => Fact::Present("strict".to_owned()),
            Some(2) => Fact::Present("filter".to_owned()),
            Some(mode) => Fact::Unobserved(Reason::NotEmulated { what: format!("seccomp mode {mode}") }),
            None => Fact::Absent,
        },
    }
}

/// `own` is the effective uid that we run under: the context's, once it was taken on inside its namespace.
fn side(map: &Fact<Vec<IdMapLine>>, shown: u32, own: u32) -> Side {
    let Fact::Present(map) = map else { return Side::Outside };
    match id_map::inside(map, shown) {
        Some(inside) if inside == own || shown != own => Side::Outside,
        Some(_) | None if id_map::outside(map, shown).is_some() => Side::Inside,
        _ => Side::Outside,
    }
}

/// The id inside and the id outside.
fn translate(map: &Fact<Vec<IdMapLine>>, shown: u32, side: Side) -> (Fact<u32>, Fact<u32>) {
    let other = map.as_ref().and_then(|map| {
        let found = match side {
            Side::Outside => id_map::inside(map, shown),
            Side::Inside => id_map::outside(map, shown),
        };
        let what = || format!("id {shown}, which the user namespace does not map");
        found.map_or_else(|| Fact::Unobserved(Reason::NotEmulated { what: what() }), Fact::Present)
    });
    match side {
        Side::Outside => (other, Fact::Present(shown)),
        Side::Inside => (Fact::Present(shown), other),
    }
}

/// What the kernel says of the identity that was taken on, in the namespaces of the process whose maps these are.
fn taken_on(uid_map: &Fact<Vec<IdMapLine>>, gid_map: &Fact<Vec<IdMapLine>>, nested: Option<&Reason>) -> Credentials {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let no_process = || Reason::NoProcess;
    Credentials {
        uid: Fact::Present(uid),
        gid: Fact::Present(gid),
        groups: match rustix::process::getgroups() {
            Ok(groups) => Fact::Present(sorted(groups.into_iter().map(rustix::fs::Gid::as_raw).collect())),
            Err(errno) => Fact::Unobserved(Reason::Unreadable {
                path: "getgroups(2)".into(),
                errno: crate::sys::root::errno_name(errno),
            }),
        },
        host_uid: of_host(translate(uid_map, uid, Side::Inside).1, Side::Inside, nested),
        host_gid: of_host(translate(gid_map, gid, Side::Inside).1, Side::Inside, nested),
        umask: Fact::Unobserved(no_process()),
        capabilities: capabilities::own(),
        no_new_privs: Fact::Unobserved(no_process()),
        seccomp: Fact::Unobserved(no_process()),
    }
}

fn sorted(mut groups: Vec<u32>) -> Vec<u32> {
    groups.sort_unstable();
    groups.dedup();
    groups
}

fn unobserved(reason: &Reason) -> Credentials {
    Credentials {
        uid: Fact::Unobserved(reason.clone()),
        gid: Fact::Unobserved(reason.clone()),
        groups: Fact::Unobserved(reason.clone()),
        host_uid: Fact::Unobserved(reason.clone()),
        host_gid: Fact::Unobserved(reason.clone()),
        umask: Fact::Unobserved(reason.clone()),
        capabilities: Capabilities {
            effective: Fact::Unobserved(reason.clone()),
            permitted: Fact::Unobserved(reason.clone()),
            bounding: Fact::Unobserved(reason.clone()),
        },
        no_new_privs: Fact::Unobserved(reason.clone()),
        seccomp: Fact::Unobserved(reason.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Side, side, translate};
    use crate::formats::id_map::IdMapLine;
    use crate::snapshot::Fact;

    fn map(inside: u32, outside: u32, count: u32) -> Fact<Vec<IdMapLine>> {
        Fact::Present(vec![IdMapLine { inside, outside, count }])
    }

    #[test]
    fn a_container_root_of_a_mapped_namespace_is_another_uid_on_the_host() {
        let map = map(0, 100_000, 65_536);
        assert_eq!(side(&map, 100_000, 0), Side::Outside);
        assert_eq!(translate(&map, 100_000, Side::Outside), (Fact::Present(0), Fact::Present(100_000)));
    }

    #[test]
    fn a_reader_that_is_a_member_of_the_namespace_sees_inner_ids() {
        let map = map(0, 1000, 1);
        assert_eq!(side(&map, 0, 0), Side::Inside);
        assert_eq!(translate(&map, 0, Side::Inside), (Fact::Present(0), Fact::Present(1000)));
    }

    #[test]
    fn an_id_that_is_not_mapped_is_not_made_up() {
        let map = map(0, 100_000, 65_536);
        let (inside, outside) = translate(&map, 5, Side::Outside);
        assert!(inside.reason().is_some());
        assert_eq!(outside, Fact::Present(5));
    }
}
