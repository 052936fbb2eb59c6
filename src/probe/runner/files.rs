//! Where a runner's configuration lies for this context, by the runner's own rules (`commands/config_unix.go`, `common/config.go`): an option, else
//! `CONFIG_FILE`, else `/etc/gitlab-runner` for root and `~/.gitlab-runner` for everybody else.

use super::{incomplete, words};
use crate::probe::credentials::home;
use crate::probe::{Target, fact};
use crate::snapshot::facts::RunnerFile;
use crate::snapshot::{Fact, List, Reason};
use crate::sys::LookError;

/// The directory of root's configuration.
const ROOT: &str = "/etc/gitlab-runner";
/// The name of the file.
const NAME: &str = "config.toml";

/// A path and what names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub path: String,
    pub named_by: String,
}

/// All places of this context.
pub(super) struct Places {
    used: Fact<Place>,
    /// What is there beside the one in use.
    others: Vec<Fact<Place>>,
}

impl Places {
    /// Only the command line of a runner names a file of it.
    pub fn of(target: &Target<'_>, is_manager: bool) -> Self {
        let option = if is_manager { option(target) } else { Fact::Absent };
        let variable = match target.variable("CONFIG_FILE") {
            Fact::Present("") | Fact::Unobserved(Reason::NoProcess) => Fact::Absent,
            // The name is used by others too: only a runner's own environment speaks of a runner.
            Fact::Present(path) if is_manager => absolute(path, "CONFIG_FILE"),
            Fact::Present(_) | Fact::Absent => Fact::Absent,
            Fact::Unobserved(reason) if is_manager => Fact::Unobserved(reason),
            Fact::Unobserved(_) => Fact::Absent,
        };
        let of = |directory: Fact<String>, named_by: &str| {
            directory.map(|directory| Place { path: format!("{directory}/{NAME}"), named_by: named_by.to_owned() })
        };
        let root = of(Fact::Present(ROOT.to_owned()), "root");
        let own = of(home_directory(target), "home");
        let default = if is_root(target) { root.clone() } else { own.clone() };
        let order = [option, variable, default];
        let used = order.iter().find(|place| **place != Fact::Absent).cloned().unwrap_or(Fact::Absent);
        let others = order.into_iter().chain([root, own]).filter(|place| *place != used && *place != Fact::Absent);
        let mut unique: Vec<Fact<Place>> = Vec::new();
        for place in others {
            let path = |place: &Fact<Place>| place.present().map(|place| place.path.clone());
            if path(&place).is_some()
                && path(&place) != path(&used)
                && !unique.iter().any(|one| path(one) == path(&place))
            {
                unique.push(place);
            }
        }
        Self { used, others: unique }
    }

    /// The one that is used, or would be.
    pub fn used(&self) -> Fact<&Place> {
        self.used.as_ref()
    }

    /// All of them, looked at.
    pub fn files(&self, target: &Target<'_>) -> Fact<List<RunnerFile>> {
        let used = self.used.present().map(|place| look(target, place, true));
        let others = self.others.iter().filter_map(Fact::present).map(|place| look(target, place, false));
        Fact::Present(List { items: used.into_iter().chain(others).collect(), more: self.used.reason().cloned() })
    }
}

/// The runner's configuration directory, which has nothing to do with the options: certificates are looked for in it.
pub(super) fn directory(target: &Target<'_>) -> Fact<String> {
    if is_root(target) { Fact::Present(ROOT.to_owned()) } else { home_directory(target) }
}

fn home_directory(target: &Target<'_>) -> Fact<String> {
    home(target).map(|home| format!("{}/.gitlab-runner", home.trim_end_matches('/')))
}

fn is_root(target: &Target<'_>) -> bool {
    target.incomplete.is_empty() && rustix::process::geteuid().is_root()
}

/// `--config FILE`, `--config=FILE`, `-c FILE` and their like; the last one holds.
fn option(target: &Target<'_>) -> Fact<Place> {
    words(target).and_then(|words| {
        let mut found = None;
        let mut words = words.iter().skip(1);
        while let Some(word) = words.next() {
            let name = word.trim_start_matches('-');
            match name.split_once('=') {
                _ if name.len() == word.len() => {}
                Some(("config" | "c", path)) => found = Some(path.to_owned()),
                None if name == "config" || name == "c" => found = words.next().cloned(),
                _ => {}
            }
        }
        match found {
            Some(path) => absolute(&path, "--config"),
            None => Fact::Absent,
        }
    })
}

/// A path that does not begin at the root depends on a working directory.
fn absolute(path: &str, named_by: &str) -> Fact<Place> {
    if path.starts_with('/') {
        return Fact::Present(Place { path: path.to_owned(), named_by: named_by.to_owned() });
    }
    Fact::Unobserved(Reason::NotEmulated { what: format!("the working directory, to which {named_by} is relative") })
}

fn look(target: &Target<'_>, place: &Place, used: bool) -> RunnerFile {
    let file = RunnerFile { path: place.path.clone(), named_by: place.named_by.clone(), used, ..RunnerFile::default() };
    if let Some(reason) = incomplete(target) {
        return unseen(file, &reason);
    }
    match target.root.look(&place.path) {
        Ok(seen) => RunnerFile {
            exists: Fact::Present(true),
            mode: Fact::Present(format!("{:04o}", seen.mode)),
            owner: Fact::Present(seen.uid),
            ..file
        },
        Err(LookError::NotFound { .. }) => {
            RunnerFile { exists: Fact::Present(false), mode: Fact::Absent, owner: Fact::Absent, ..file }
        }
        Err(error) => match fact::<()>(Err(error)) {
            Fact::Unobserved(reason) => unseen(file, &reason),
            Fact::Present(()) | Fact::Absent => file,
        },
    }
}

fn unseen(file: RunnerFile, reason: &Reason) -> RunnerFile {
    RunnerFile {
        exists: Fact::Unobserved(reason.clone()),
        mode: Fact::Unobserved(reason.clone()),
        owner: Fact::Unobserved(reason.clone()),
        ..file
    }
}
