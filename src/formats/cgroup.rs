//! `/proc/PID/cgroup` (`cgroups(7)`): which container, machine or systemd unit a process belongs to, by its path.
//!
//! The forms are those that container engines and systemd give their groups; a path says what created the group, not that it is still
//! in charge. The innermost one counts: a container inside a container has both ids in its path.

/// What a control group path names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// A container, by its 64 hexadecimal digits.
    Container(String),
    /// A machine with a name of its own: systemd-nspawn, machined, LXC.
    Machine(String),
    /// A unit of the system's service manager, with its suffix, such as `nix-daemon.service`.
    Unit(String),
}

/// The paths of a process, each once, in the order of the file: `hierarchy:controllers:path`.
pub fn paths(text: &[u8]) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for line in String::from_utf8_lossy(text).lines() {
        if let Some(path) = line.splitn(3, ':').nth(2)
            && !paths.iter().any(|known| known == path)
        {
            paths.push(path.to_owned());
        }
    }
    paths
}

/// What the paths name: a container before a machine before a unit, on whichever hierarchy it shows.
pub fn owner(text: &[u8]) -> Option<Owner> {
    let paths = paths(text);
    let find = |read: fn(&str) -> Option<String>| paths.iter().find_map(|path| path.rsplit('/').find_map(read));
    find(container)
        .map(Owner::Container)
        .or_else(|| paths.iter().find_map(|path| machine(path)).map(Owner::Machine))
        .or_else(|| paths.iter().find_map(|path| unit(path)).map(Owner::Unit))
}

/// `docker-<id>.scope`, `libpod-<id>.scope`, `cri-containerd-<id>.scope`, `crio-<id>.scope`, or the bare id.
fn container(step: &str) -> Option<String> {
    let step = step.strip_suffix(".scope").unwrap_or(step);
    let id = step.rsplit(['-', ':']).next()?;
    is_container_id(id).then(|| id.to_owned())
}

/// Whether this is an id as container engines give them.
pub fn is_container_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn machine(path: &str) -> Option<String> {
    let mut previous = "";
    let mut found = None;
    for step in path.split('/') {
        let name = step
            .strip_prefix("systemd-nspawn@")
            .and_then(|rest| rest.strip_suffix(".service"))
            .or_else(|| step.strip_prefix("machine-").and_then(|rest| rest.strip_suffix(".scope")))
            .or_else(|| step.strip_prefix("lxc.payload."))
            .or((previous == "lxc").then_some(step));
        found = name.filter(|name| !name.is_empty()).or(found);
        previous = step;
    }
    found.map(str::to_owned)
}

/// A service of the system's manager. Those of a user's manager and sessions are no units in this sense.
fn unit(path: &str) -> Option<String> {
    let inside = path.strip_prefix("/system.slice/")?;
    inside.split('/').find(|step| step.ends_with(".service")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{Owner, owner};

    const ID: &str = "4e5021d210f65ebe915670c7089120120bc0a303b90208592851708c1b8c04bd";

    #[test]
    fn every_engine_s_path_gives_the_container_s_id() {
        for path in [
            "/system.slice/docker-ID.scope",
            "/docker/ID",
            "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope",
            "/machine.slice/libpod-ID.scope/container",
            "/kubepods.slice/kubepods-pod1.slice/cri-containerd-ID.scope",
            "/kubepods/burstable/pod1/crio-ID.scope",
            "/system.slice/containerd.service/kubepods-x:cri-containerd:ID",
        ] {
            let text = format!("0::{}\n", path.replace("ID", ID));
            assert_eq!(owner(text.as_bytes()), Some(Owner::Container(ID.into())), "{path}");
        }
    }

    #[test]
    fn on_a_hybrid_host_the_numbered_hierarchies_show_it() {
        let text = format!("9:name=systemd:/\n4:memory:/docker/{ID}\n0::/\n");
        assert_eq!(owner(text.as_bytes()), Some(Owner::Container(ID.into())));
    }

    #[test]
    fn a_container_inside_a_container_is_the_inner_one() {
        let text = format!("0::/docker/{}/docker/{ID}\n", "0".repeat(64));
        assert_eq!(owner(text.as_bytes()), Some(Owner::Container(ID.into())));
    }

    #[test]
    fn units_and_machines_are_named_and_sessions_are_neither() {
        let of = |path: &str| owner(format!("0::{path}\n").as_bytes());
        assert_eq!(of("/system.slice/nix-daemon.service"), Some(Owner::Unit("nix-daemon.service".into())));
        let slice = "/system.slice/system-getty.slice/getty@tty1.service";
        assert_eq!(of(slice), Some(Owner::Unit("getty@tty1.service".into())));
        assert_eq!(of("/machine.slice/systemd-nspawn@web.service/payload"), Some(Owner::Machine("web".into())));
        assert_eq!(of("/lxc.payload.db/system.slice/x.service"), Some(Owner::Machine("db".into())));
        assert_eq!(of("/user.slice/user-1000.slice/session-2.scope"), None);
        assert_eq!(of("/"), None);
    }
}
