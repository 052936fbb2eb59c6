//! Paths that configuration names: what they lead to here, and what is here at the paths that other contexts name.
//!
//! Asks the kernel what a path is (`openat2(2)` beneath the target's root with `O_PATH`, `statx(2)`, `faccessat2(2)`), reads links, and connects to engine
//! sockets without a word. Reads no file but Docker's own client configuration. A path beneath a dead filesystem may never answer: then the
//! child is left behind at its deadline, and the family is unobserved. Must not judge.

mod binds;
mod files;
mod roots;
mod seen;
mod sockets;

use serde::{Deserialize, Serialize};

use super::Target;
use super::store::places::Mounts;
use crate::snapshot::facts::{Facts, Paths};
use crate::snapshot::{Fact, Reason};

/// No longer path can be asked for (`PATH_MAX`, `linux/limits.h`); a longer one in an environment is a trap or nonsense.
const LONGEST: usize = 4096;

/// What one context is asked about paths, for what other contexts and engines say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathWishes {
    /// Who left out asking for the paths of others; none where it comes later.
    pub left_out: Option<String>,
    /// Source and destination of what an engine mounted into this context; none where no engine lists it.
    pub binds: Option<Vec<(String, String)>>,
    /// The second round: what others name. Then nothing else is looked at.
    pub asked: Option<Vec<AskedPath>>,
    /// Look at those of them alone that lie on filesystems which may never answer; else at all others.
    pub waiting: bool,
}

/// A path that another context names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AskedPath {
    /// The path.
    pub path: String,
    /// As what.
    pub named_as: NamedAs,
}

/// What a path is named as.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamedAs {
    /// A root that this daemon holds.
    OwnRoot,
    /// A root that the daemon of this context holds.
    RootOfDaemon,
    /// A file of a setting that a trusted client sends.
    File,
    /// A volume that this context, by its id, has mounted.
    Volume(String),
}

/// Who looks at what may never answer, where that was left for later.
pub const LATER: &str = "a child that waits for filesystems of others";

/// Looks at what this context names itself; or, in the second round, at what others name and nothing else.
pub fn observe(target: &Target<'_>, facts: &Facts) -> Paths {
    let wishes = &target.wishes.paths;
    let mounts = Mounts::read(target);
    if let Some(asked) = &wishes.asked {
        return Paths { seen: seen::observe(target, &mounts, &facts.store, asked), ..Paths::default() };
    }
    let by = wishes.left_out.clone().unwrap_or_else(|| "the first round of looking".to_owned());
    Paths {
        files: files::observe(target, &mounts, &facts.nix),
        sockets: sockets::observe(target, &mounts),
        registered: roots::observe(target, &facts.store),
        workplaces: workplaces(target),
        binds: binds::observe(target, &mounts),
        seen: Fact::Unobserved(Reason::Disabled { by }),
    }
}

/// Where a job works, by the variables that its runner gives it.
fn workplaces(target: &Target<'_>) -> Fact<Vec<String>> {
    const NAMES: [&str; 2] = ["CI_PROJECT_DIR", "CI_BUILDS_DIR"];
    if let Some(reason) = target.unread(&NAMES) {
        return Fact::Unobserved(reason);
    }
    let values = NAMES.iter().filter_map(|name| target.variable(name).present().map(|value| (*value).to_owned()));
    Fact::Present(values.filter(|value| is_path(value) && !value.trim_end_matches('/').is_empty()).collect())
}

/// Whether a text can be asked for: relative paths depend on a working directory that nobody knows.
fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.len() < LONGEST
}

/// What our own rights reach may be more than the target's do.
fn incomplete(target: &Target<'_>) -> Option<Reason> {
    let missing = target.incomplete.join(", ");
    (!missing.is_empty()).then_some(Reason::IdentityIncomplete { missing })
}

#[cfg(test)]
mod tests;
