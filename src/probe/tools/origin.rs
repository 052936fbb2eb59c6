//! Where a tool comes from. The first of these that holds:
//!
//! 1. `profile`: the file is in the Nix store and the way to it leads through a profile;
//! 2. `nix-store`: the file is in the Nix store, whatever `/nix` itself is mounted from;
//! 3. `bind`: the file lies on a mount that shows a part of another filesystem, or on one mounted at or below its PATH directory;
//! 4. `distribution`: a package of this root owns it;
//! 5. `image`: none of these.

use super::{Scene, packages};
use crate::formats::mountinfo::MountEntry;
use crate::snapshot::facts::Tool;
use crate::snapshot::{Fact, Reason};
use crate::sys::{Kind, Root};

const STORE: &str = "/nix/store/";
/// Most links that are followed on the way to a file.
const LINKS: usize = 40;

/// Fills `origin` and `from` of all tools; packages are asked once for all.
pub(super) fn fill(scene: &Scene<'_>, tools: &mut [Tool]) {
    let mut unowned = Vec::new();
    for (index, tool) in tools.iter_mut().enumerate() {
        let (Fact::Present(path), Fact::Present(real)) = (&tool.path, &tool.real) else {
            let reason = tool.real.reason().cloned().unwrap_or(Reason::Vanished);
            (tool.origin, tool.from) = (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason));
            continue;
        };
        if let Some(object) = store_object(real) {
            let profile = trail(scene.target.root, path).into_iter().find_map(|place| profile(&place));
            let origin = if profile.is_some() { "profile" } else { "nix-store" };
            (tool.origin, tool.from) = (Fact::Present(origin.into()), Fact::Present(profile.unwrap_or(object)));
            continue;
        }
        match bind(scene, path, real) {
            Fact::Present(source) => (tool.origin, tool.from) = (Fact::Present("bind".into()), Fact::Present(source)),
            Fact::Absent => unowned.push((index, path.clone(), real.clone())),
            Fact::Unobserved(reason) => {
                (tool.origin, tool.from) = (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason));
            }
        }
    }
    let wanted: Vec<(&str, &str)> = unowned.iter().map(|(_, path, real)| (path.as_str(), real.as_str())).collect();
    let owners = packages::owners(scene.target.root, &wanted);
    for ((index, _, _), owner) in unowned.iter().zip(owners) {
        let Some(tool) = tools.get_mut(*index) else { continue };
        (tool.origin, tool.from) = match owner {
            Fact::Present(package) => (Fact::Present("distribution".into()), Fact::Present(package)),
            Fact::Absent => (Fact::Present("image".into()), Fact::Absent),
            Fact::Unobserved(reason) => (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason)),
        };
    }
}

/// The store path that a path lies in.
fn store_object(real: &str) -> Option<String> {
    let name = real.strip_prefix(STORE)?.split('/').next().filter(|name| !name.is_empty())?;
    Some(format!("{STORE}{name}"))
}

/// The profile that a place belongs to, by the places where Nix, NixOS and Home Manager keep them.
fn profile(place: &str) -> Option<String> {
    let upto = |end: usize| place.get(..end).map(str::to_owned);
    let component = |from: usize| place.get(from..).and_then(|rest| rest.find('/')).map_or(place.len(), |at| from + at);
    if let Some(at) = place.find("/.nix-profile") {
        return upto(component(at + 1));
    }
    for marker in ["/etc/profiles/per-user/", "/run/current-system/", "/nix/var/nix/profiles/per-user/"] {
        if place.starts_with(marker) {
            let end = component(marker.len());
            return if marker.ends_with("profiles/per-user/") && marker.starts_with("/nix") {
                upto(component((end + 1).min(place.len()))).map(without_generation)
            } else {
                upto(end)
            };
        }
    }
    let marker = "/nix/profiles/";
    let at = place.find(marker).or_else(|| place.find("/nix/var/nix/profiles/").map(|at| at + "/nix/var".len()))?;
    upto(component(at + marker.len())).map(without_generation)
}

/// `default-12-link` is a generation of `default`.
fn without_generation(place: String) -> String {
    let stem = place.strip_suffix("-link").and_then(|stem| stem.rsplit_once('-'));
    match stem {
        Some((stem, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            stem.to_owned()
        }
        _ => place,
    }
}

/// The place itself and every place that a link on the way leads to, in order, as far as they can be followed.
fn trail(root: &Root, path: &str) -> Vec<String> {
    let mut places = vec![path.to_owned()];
    let mut current = path.to_owned();
    while places.len() <= LINKS {
        let Some(next) = next_link(root, &current) else { break };
        current = next;
        places.push(current.clone());
    }
    places
}

/// The path with its first link replaced by where that points.
fn next_link(root: &Root, path: &str) -> Option<String> {
    let mut here = String::new();
    let mut rest = path.trim_start_matches('/');
    while !rest.is_empty() {
        let (step, after) = rest.split_once('/').unwrap_or((rest, ""));
        let parent = here.clone();
        here = format!("{here}/{step}");
        if root.look_at_link(&here).ok()?.kind == Kind::Symlink {
            let target = root.link_target(&here).ok()?;
            let base = if target.starts_with('/') { target } else { format!("{parent}/{target}") };
            return Some(flat(&format!("{base}/{after}")));
        }
        rest = after;
    }
    None
}

/// Without empty steps, `.` and `..`: the walk checks each step for links, so those ahead of `..` are directories by then or are
/// followed wrongly at worst, and a wrong trail finds no profile.
fn flat(path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop();
            }
            step => steps.push(step),
        }
    }
    format!("/{}", steps.join("/"))
}

/// The source of the bind mount that the file lies on; absent when it lies on none.
fn bind(scene: &Scene<'_>, path: &str, real: &str) -> Fact<String> {
    let seen = match scene.target.root.look(path) {
        Ok(seen) => seen,
        Err(error) => return Fact::Unobserved(crate::probe::reason(error)),
    };
    scene.mount(&seen).and_then(|mount| {
        let top = scene.mounts.present().and_then(|mounts| mounts.iter().rfind(|mount| mount.point == "/"));
        bind_source(mount, top, real).into()
    })
}

fn bind_source(mount: &MountEntry, top: Option<&MountEntry>, real: &str) -> Option<String> {
    if mount.point == "/" {
        return None;
    }
    let directory = real.rsplit_once('/').map_or("", |(directory, _)| directory);
    let near = mount.point == real || mount.point == directory;
    // A subvolume of the root filesystem's own device is how btrfs hosts are laid out.
    let subvolume = mount.filesystem == "btrfs" && top.is_some_and(|top| top.source == mount.source);
    if !near && (mount.root == "/" || subvolume) {
        return None;
    }
    let within = real.strip_prefix(mount.point.as_str()).unwrap_or_default();
    Some(format!("{}{within}", mount.root.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::{bind_source, flat, profile, store_object};
    use crate::formats::mountinfo::parse;

    #[test]
    fn a_profile_is_named_without_its_generation() {
        assert_eq!(
            profile("/nix/var/nix/profiles/default-12-link/bin/mc"),
            Some("/nix/var/nix/profiles/default".into())
        );
        assert_eq!(profile("/root/.nix-profile/bin/mc"), Some("/root/.nix-profile".into()));
        assert_eq!(
            profile("/nix/var/nix/profiles/per-user/root/channels-3-link/x"),
            Some("/nix/var/nix/profiles/per-user/root/channels".into())
        );
        assert_eq!(profile("/run/current-system/sw/bin/mc"), Some("/run/current-system/sw".into()));
        assert_eq!(profile("/etc/profiles/per-user/ann/bin/mc"), Some("/etc/profiles/per-user/ann".into()));
        assert_eq!(
            profile("/home/a/.local/state/nix/profiles/profile-2-link/bin"),
            Some("/home/a/.local/state/nix/profiles/profile".into())
        );
        assert_eq!(profile("/usr/bin/mc"), None);
    }

    #[test]
    fn a_store_path_is_the_first_component_below_the_store() {
        assert_eq!(store_object("/nix/store/abc-mc-1/bin/mc"), Some("/nix/store/abc-mc-1".into()));
        assert_eq!(store_object("/nix/store/"), None);
        assert_eq!(flat("/a/./b/../c//d"), "/a/c/d");
    }

    #[test]
    fn a_file_mounted_from_elsewhere_names_its_source_and_a_partition_for_usr_does_not() {
        let table = parse(
            b"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / /usr rw - ext4 /dev/sda2 rw\n3 2 8:1 /srv/tools/bash /usr/bin/bash ro - ext4 /dev/sda1 rw\n4 1 8:1 /opt/host /opt/tools ro - ext4 /dev/sda1 rw\n5 1 0:30 / /opt/mem rw - tmpfs tmpfs rw\n",
        )
        .expect("a table");
        let top = table.first();
        assert_eq!(bind_source(&table[1], top, "/usr/bin/ls"), None);
        assert_eq!(bind_source(&table[2], top, "/usr/bin/bash"), Some("/srv/tools/bash".into()));
        assert_eq!(bind_source(&table[3], top, "/opt/tools/bin/mc"), Some("/opt/host/bin/mc".into()));
        assert_eq!(bind_source(&table[4], top, "/opt/mem/mc"), Some("/mc".into()));
    }

    #[test]
    fn a_btrfs_subvolume_of_the_root_filesystem_is_no_bind_mount() {
        let table = parse(
            b"1 0 0:20 /@ / rw - btrfs /dev/sda1 rw,subvol=/@\n2 1 0:21 /@usr /usr rw - btrfs /dev/sda1 rw,subvol=/@usr\n",
        )
        .expect("a table");
        assert_eq!(bind_source(&table[1], table.first(), "/usr/bin/ls"), None);
    }
}
