//! Published snapshots: written by `doctor --publish` on the host, read by `check` in a job that the directory is mounted into.
//!
//! Only what may leave the host is written: no fingerprint, and no view of a container, so that no job sees another one. A view that is older
//! than the caller allows is refused, and so is one that claims to be from the future.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::compare;
use super::exit::Failure;
use crate::report::text;
use crate::snapshot::{ContextKind, Snapshot};

/// What a published view's file name ends with.
const SUFFIX: &str = ".snapshot.json";
/// How far clocks may be apart, in milliseconds.
const TOLERANCE_MS: i64 = 60_000;

/// Writes the views of host, users and services; those of an earlier run that are no more are removed.
pub(super) fn publish(directory: &Path, snapshots: &[Snapshot]) -> Result<usize, Failure> {
    let refused = |error: std::io::Error| Failure::Broken(format!("{} can't be written: {error}", directory.display()));
    std::fs::create_dir_all(directory).map_err(refused)?;
    let mut written = Vec::new();
    for snapshot in snapshots.iter().filter(|snapshot| is_public(snapshot.context.kind)) {
        let file = directory.join(file_name(&snapshot.context.id));
        let document = snapshot.clone().without_fingerprints().to_json();
        let mut content = text::json(&document).map_err(|error| Failure::Broken(error.to_string()))?;
        content.push('\n');
        // A reader must never see half a file: written beside it, then renamed over it.
        let draft = file.with_extension("draft");
        std::fs::write(&draft, content).map_err(refused)?;
        std::fs::rename(&draft, &file).map_err(refused)?;
        written.push(file);
    }
    for file in published(directory).map_err(refused)?.into_iter().filter(|file| !written.contains(file)) {
        std::fs::remove_file(file).map_err(refused)?;
    }
    Ok(written.len())
}

fn is_public(kind: ContextKind) -> bool {
    matches!(kind, ContextKind::Host | ContextKind::User | ContextKind::Service)
}

/// `service:nix-daemon` becomes `service-nix-daemon.snapshot.json`; whatever else an id holds can't lead out of the directory.
fn file_name(id: &str) -> String {
    let safe: String =
        id.chars().map(|char| if char.is_ascii_alphanumeric() || "-_@.".contains(char) { char } else { '-' }).collect();
    format!("{}{SUFFIX}", safe.trim_start_matches('.'))
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

/// Reads the views of a directory, and says which were refused and why. A directory that is not there holds none.
pub(super) fn read(directory: &Path, max_age: Duration, now_ms: i64) -> Result<(Vec<Snapshot>, Vec<String>), Failure> {
    let files = match published(directory) {
        Ok(files) => files,
        Err(error) => return Ok((Vec::new(), vec![format!("no published views in {}: {error}", directory.display())])),
    };
    let mut notes = Vec::new();
    let mut views = Vec::new();
    for file in files {
        let snapshot = compare::read(&file)?;
        let age = now_ms - snapshot.taken_ms;
        let most = i64::try_from(max_age.as_millis()).unwrap_or(i64::MAX);
        if age > most {
            notes.push(format!(
                "the view of {} is {} s old and was refused (at most {} s)",
                snapshot.context.id,
                age / 1000,
                most / 1000
            ));
        } else if age < -TOLERANCE_MS {
            notes.push(format!("the view of {} is dated {} s ahead and was refused", snapshot.context.id, -age / 1000));
        } else if !is_public(snapshot.context.kind) {
            notes.push(format!(
                "the view of {} was refused: only host, users and services are views for a job",
                snapshot.context.id
            ));
        } else {
            views.push(snapshot);
        }
    }
    Ok((views, notes))
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn no_id_leads_out_of_the_directory() {
        assert_eq!(file_name("service:nix-daemon"), "service-nix-daemon.snapshot.json");
        assert_eq!(file_name("user:../../etc/passwd"), "user-..-..-etc-passwd.snapshot.json");
        assert_eq!(file_name("../x"), "-x.snapshot.json");
    }
}
