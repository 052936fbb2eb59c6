//! Which callers share their bounds: a container, a login user, a service; else a uid.
//!
//! Told from the cgroup, which a process can't choose as freely as its pid, its namespaces or, within a container, its uid. Below a container,
//! below a user's slice and below a unit everything is one class, because who is there may make cgroups of his own.

use super::caller::{Caller, PeerError};

/// Those who share their bounds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// By the cgroup of a container or of a login user.
    Group(String),
    /// By cgroup and effective uid.
    User(String, u32),
    /// Everybody who is not known.
    Unknown,
}

/// The class of a caller.
pub(super) fn of(caller: &Result<Caller, PeerError>) -> Class {
    match caller {
        Ok(caller) => named(&caller.cgroups(), caller.uid),
        Err(_) => Class::Unknown,
    }
}

impl Caller {
    /// A word for the class that it belongs to, equal for all of that class.
    pub fn class(&self) -> String {
        format!("{:?}", named(&self.cgroups(), self.uid))
    }
}

fn named(cgroups: &[u8], uid: u32) -> Class {
    let text = String::from_utf8_lossy(cgroups);
    let paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    // Of several hierarchies (version 1) the deepest says most.
    let path = paths.max_by_key(|path| path.len()).unwrap_or("/");
    let mut kept = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        kept.push('/');
        kept.push_str(part);
        if is_container(part) || is_login(part) || is_unit(part) {
            return Class::Group(kept);
        }
    }
    Class::User(kept, uid)
}

/// `docker-<64 hexadecimal digits>.scope`, the bare digits, `libpod-…`, `cri-containerd-…`, and machines of systemd.
fn is_container(part: &str) -> bool {
    let longest = part.split(|sign: char| !sign.is_ascii_hexdigit()).map(str::len).max().unwrap_or_default();
    longest >= 32 || part.starts_with("machine-")
}

/// A service, which may have many uids (`subuid(5)`) and makes cgroups of its own below.
fn is_unit(part: &str) -> bool {
    part.ends_with(".service") || part.ends_with(".scope")
}

/// `user-1000.slice`.
fn is_login(part: &str) -> bool {
    part.strip_prefix("user-")
        .and_then(|rest| rest.strip_suffix(".slice"))
        .is_some_and(|uid| uid.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::{Class, named};

    const ID: &str = "4f3c2b1a4f3c2b1a4f3c2b1a4f3c2b1a4f3c2b1a4f3c2b1a4f3c2b1a4f3c2b1a";

    #[test]
    fn all_of_a_container_is_one_class_whatever_it_makes_below() {
        let whole = named(format!("0::/system.slice/docker-{ID}.scope\n").as_bytes(), 0);
        let below = named(format!("0::/system.slice/docker-{ID}.scope/mine/7\n").as_bytes(), 1000);
        assert_eq!(whole, below);
        assert_eq!(
            named(format!("9:pids:/docker/{ID}/x\n0::/\n").as_bytes(), 5),
            Class::Group(format!("/docker/{ID}"))
        );
    }

    #[test]
    fn all_of_a_login_user_is_one_class() {
        let one = named(b"0::/user.slice/user-1000.slice/session-2.scope\n", 1000);
        let other = named(b"0::/user.slice/user-1000.slice/user@1000.service/app.slice/mine\n", 1000);
        assert_eq!(one, other);
    }

    #[test]
    fn services_are_apart_and_so_are_users_where_no_cgroup_tells_them_apart() {
        assert_ne!(named(b"0::/system.slice/a.service\n", 0), named(b"0::/system.slice/b.service\n", 0));
        assert_eq!(named(b"0::/system.slice/a.service/job/7\n", 990), named(b"0::/system.slice/a.service\n", 100_000));
        assert_ne!(named(b"0::/\n", 0), named(b"0::/\n", 1000));
        assert_eq!(named(b"", 0), Class::User(String::new(), 0));
    }
}
