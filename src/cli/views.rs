//! Published snapshots: written by `doctor --publish` on the host, read by `check` in a job that the directory is mounted into.
//!
//! Only what may leave the host is written: no fingerprint, and no view of a container, so that no job sees another one. A view that is older
//! than the caller allows is refused, and so is one that claims to be from the future.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags};

use super::compare;
use super::exit::Failure;
use crate::report::text;
use crate::snapshot::{ContextKind, Fact, Snapshot};

/// What a published view's file name ends with.
const SUFFIX: &str = ".snapshot.json";
/// How far clocks may be apart, in milliseconds.
const TOLERANCE_MS: i64 = 60_000;

/// Writes the views of host, users and services; those of an earlier run that are no more are removed, and nothing else is.
///
/// The directory must be ours alone: whoever could write it could make us write through a link of theirs.
pub(super) fn publish(directory: &Path, snapshots: &[Snapshot]) -> Result<usize, Failure> {
    let refused = |error: std::io::Error| Failure::Broken(format!("{} can't be written: {error}", directory.display()));
    std::fs::create_dir_all(directory).map_err(refused)?;
    let handle = open_own(directory)?;
    let mut written = Vec::new();
    for snapshot in snapshots.iter().filter(|snapshot| is_public(snapshot.context.kind)) {
        let name = file_name(&snapshot.context.id);
        let document = without_containers_words(snapshot.clone()).without_fingerprints().to_json();
        let mut content = text::json(&document).map_err(|error| Failure::Broken(error.to_string()))?;
        content.push('\n');
        replace(&handle, &name, content.as_bytes()).map_err(refused)?;
        written.push(name);
    }
    for file in published(directory).map_err(refused)? {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let ours = || compare::read(&file).is_ok_and(|snapshot| file_name(&snapshot.context.id) == name);
        if !written.contains(&name) && ours() {
            rustix::fs::unlinkat(&handle, name.as_str(), AtFlags::empty()).map_err(|errno| refused(errno.into()))?;
        }
    }
    Ok(written.len())
}

/// Opens the directory, which must belong to us and be writable by nobody else.
pub(super) fn open_own(directory: &Path) -> Result<OwnedFd, Failure> {
    let refused = |detail: &dyn std::fmt::Display| Failure::Usage(format!("{}: {detail}", directory.display()));
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle =
        rustix::fs::open(directory, flags, Mode::empty()).map_err(|errno| refused(&std::io::Error::from(errno)))?;
    let stat = rustix::fs::fstat(&handle).map_err(|errno| refused(&std::io::Error::from(errno)))?;
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(refused(&format_args!(
            "it belongs to uid {}; only a directory of one's own is written into",
            stat.st_uid
        )));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(refused(&"others may write it; only a directory that nobody else can write is written into"));
    }
    Ok(handle)
}

/// A reader must never see half a file: written beside it, then renamed over it.
fn replace(directory: &OwnedFd, name: &str, text: &[u8]) -> std::io::Result<()> {
    let draft = format!(".{name}.{}", std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, draft.as_str(), flags, Mode::from_raw_mode(0o644))?;
    std::fs::File::from(file).write_all(text)?;
    rustix::fs::renameat(directory, draft.as_str(), directory, name)?;
    Ok(())
}

fn is_public(kind: ContextKind) -> bool {
    matches!(kind, ContextKind::Host | ContextKind::User | ContextKind::Service | ContextKind::Declared)
}

/// What containers name is theirs: of the endpoints that a daemon was asked about on the word of others, those stay that a published context names too.
fn without_containers_words(mut snapshot: Snapshot) -> Snapshot {
    let may_be_told = |id: &String| ["host", "user", "service"].contains(&id.split(':').next().unwrap_or_default());
    if let Fact::Present(linked) = &mut snapshot.facts.reach.linked {
        linked.items.iter_mut().for_each(|link| link.named_in.retain(may_be_told));
        linked.items.retain(|link| !link.named_in.is_empty());
    }
    snapshot
}

/// `service:nix-daemon` becomes `service.nix-daemon.snapshot.json`. No two ids become one name, and none leads out of the directory.
fn file_name(id: &str) -> String {
    let mut name = String::new();
    for byte in id.bytes() {
        match byte {
            b':' => name.push('.'),
            b'-' | b'_' | b'@' => name.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    name + SUFFIX
}

fn published(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let file = entry?.path();
        if file.file_name().is_some_and(|name| name.to_string_lossy().ends_with(SUFFIX)) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// The views of a directory.
#[derive(Default)]
pub(super) struct Published {
    pub(super) views: Vec<Snapshot>,
    /// What a reader must know: which were refused and why.
    pub(super) notes: Vec<String>,
    /// The ids of those that were refused: a view that was there and may not be used is missing.
    pub(super) refused: Vec<String>,
}

/// The files of a directory of published views, or why there is none.
pub(super) fn list(directory: &Path) -> Result<Vec<PathBuf>, String> {
    published(directory).map_err(|error| format!("no published views in {}: {error}", directory.display()))
}

/// Reads published views, from a directory or as an earlier job left them.
pub(super) fn read(files: &[PathBuf], max_age: Duration, now_ms: i64) -> Result<Published, Failure> {
    let mut all = Published::default();
    for file in files {
        let snapshot = compare::read(file)?;
        let id = &snapshot.context.id;
        if all.views.iter().any(|view| view.context.id == *id) {
            return Err(Failure::Usage(format!("{}: a second view of {id}; give one of them", file.display())));
        }
        match refusal(&snapshot, max_age, now_ms) {
            None => all.views.push(snapshot),
            Some(why) => {
                all.notes.push(format!("the view of {} was refused: {why}", snapshot.context.id));
                all.refused.push(snapshot.context.id);
            }
        }
    }
    Ok(all)
}

/// Why a view may not be used.
fn refusal(snapshot: &Snapshot, max_age: Duration, now_ms: i64) -> Option<String> {
    let age = now_ms - snapshot.taken_ms;
    let most = i64::try_from(max_age.as_millis()).unwrap_or(i64::MAX);
    if age > most {
        Some(format!("it is {} s old, and at most {} s are allowed", age / 1000, most / 1000))
    } else if age < -TOLERANCE_MS {
        Some(format!("it is dated {} s ahead", -age / 1000))
    } else if !is_public(snapshot.context.kind) {
        Some("only host, users, services and what is declared are views for a job".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn no_id_leads_out_of_the_directory_and_no_two_share_a_name() {
        assert_eq!(file_name("service:nix-daemon"), "service.nix-daemon.snapshot.json");
        assert_eq!(file_name("user:../../etc"), "user.%2E%2E%2F%2E%2E%2Fetc.snapshot.json");
        assert_ne!(file_name("user:a/b"), file_name("user:a-b"));
        assert_ne!(file_name("user:a.b"), file_name("user:a:b"));
    }
}
