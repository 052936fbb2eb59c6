//! What is here at the paths that other contexts name: a root of the daemon, a file that a client sends, the source of a volume.

use super::files::readable;
use super::roots::target_of;
use super::{AskedPath, LATER, NamedAs};
use crate::probe::store::places::{Mounts, look};
use crate::probe::{Target, fact};
use crate::snapshot::facts::{Place, SeenPath, Store};
use crate::snapshot::{Fact, List, Reason};
use crate::sys::LookError;

/// One element per path; of a daemon's roots only those where something is, or where that could not be seen.
pub(super) fn observe(
    target: &Target<'_>,
    mounts: &Mounts,
    store: &Store,
    asked: &[AskedPath],
) -> Fact<List<SeenPath>> {
    let waiting = target.wishes.paths.waiting;
    let (now, later): (Vec<&AskedPath>, Vec<&AskedPath>) =
        asked.iter().partition(|asked| mounts.may_wait(target, &asked.path) == waiting);
    let all = now.iter().map(|asked| match asked.named_as {
        NamedAs::OwnRoot | NamedAs::RootOfDaemon => root(target, store, asked),
        NamedAs::File | NamedAs::Volume(_) => place(target, mounts, asked),
    });
    let is_nothing = |asked: &AskedPath, seen: &SeenPath| {
        asked.named_as == NamedAs::RootOfDaemon && seen.exists == Fact::Present(false)
    };
    let kept = now.iter().zip(all).filter(|(asked, seen)| !is_nothing(asked, seen)).map(|(_, seen)| seen);
    let more = (!waiting && !later.is_empty()).then(|| Reason::Disabled { by: LATER.to_owned() });
    Fact::Present(List { items: kept.collect(), more })
}

fn root(target: &Target<'_>, store: &Store, asked: &AskedPath) -> SeenPath {
    let exists = match target.root.look_at_link(&asked.path) {
        Ok(_) => Fact::Present(true),
        Err(LookError::NotFound { .. }) => Fact::Present(false),
        Err(error) => fact(Err(error)),
    };
    let link = target_of(target, &asked.path);
    SeenPath {
        path: asked.path.clone(),
        named_as: "root".to_owned(),
        mounted_by: Fact::Absent,
        live: live(target, store, &link),
        exists,
        target: link,
        readable: Fact::Absent,
        identity: Fact::Absent,
        layered: Fact::Absent,
    }
}

/// Whether the link leads to an object of the store that is there. What this identity may not look at, it did not make and does not use.
fn live(target: &Target<'_>, store: &Store, link: &Fact<String>) -> Fact<bool> {
    let path = match link {
        Fact::Present(path) => path,
        Fact::Absent => return Fact::Present(false),
        Fact::Unobserved(Reason::Unreadable { errno, .. }) if errno == "EACCES" && target.incomplete.is_empty() => {
            return Fact::Present(false);
        }
        Fact::Unobserved(reason) => return Fact::Unobserved(reason.clone()),
    };
    store.dir.path.as_ref().and_then(|directory| {
        let is_inside = path.strip_prefix(directory.as_str()).is_some_and(|rest| rest.starts_with('/'));
        match target.root.look_at_link(path) {
            _ if !is_inside => Fact::Present(false),
            Ok(_) => Fact::Present(true),
            Err(LookError::NotFound { .. }) => Fact::Present(false),
            Err(error) => fact(Err(error)),
        }
    })
}

fn place(target: &Target<'_>, mounts: &Mounts, asked: &AskedPath) -> SeenPath {
    let place = look(target, mounts, &asked.path);
    let (named_as, mounted_by) = match &asked.named_as {
        NamedAs::Volume(by) => ("volume", Fact::Present(by.clone())),
        NamedAs::OwnRoot | NamedAs::RootOfDaemon | NamedAs::File => ("file", Fact::Absent),
    };
    SeenPath {
        path: asked.path.clone(),
        named_as: named_as.to_owned(),
        mounted_by,
        target: Fact::Absent,
        live: Fact::Absent,
        readable: readable(target, &asked.path, &place),
        layered: layered(&place),
        exists: place.exists,
        identity: place.identity,
    }
}

/// What an engine puts together of an image's layers is mounted at `/` of one container and at no such path elsewhere.
fn layered(place: &Place) -> Fact<bool> {
    let mount = &place.mount;
    mount
        .point
        .as_ref()
        .and_then(|point| mount.filesystem.as_ref().map(|filesystem| point == "/" && filesystem.as_str() == "overlay"))
}
