//! The files that ssh_config's `Include` names, beneath the target's root.

use crate::formats::ssh_config::{Included, Sources, matches_pattern};
use crate::probe::Target;
use crate::sys::{Kind, LookError, Root};

/// No such file is longer.
const CAP: usize = 1 << 20;
/// The most names of a directory that are looked at.
const MOST_NAMES: usize = 4096;
/// The most files that one pattern leads to.
const MOST_FILES: usize = 256;

/// The target's files, and the home directory of this identity.
pub struct Files<'a> {
    pub target: &'a Target<'a>,
    pub home: Result<String, String>,
}

impl Files<'_> {
    /// The user's own file; none where there is none, or ssh may not open it, which it takes for none.
    pub fn of_user(&self) -> Option<Included> {
        let path = match &self.home {
            Ok(home) => format!("{home}/.ssh/config"),
            Err(reason) => return Some(Included { path: "~/.ssh/config".into(), text: Err(reason.clone()) }),
        };
        self.optional(path, true)
    }

    /// The system's file.
    pub fn of_system(&self) -> Option<Included> {
        self.optional("/etc/ssh/ssh_config".to_owned(), false)
    }

    fn optional(&self, path: String, is_checked: bool) -> Option<Included> {
        match self.target.root.look(&path) {
            Err(LookError::NotFound { .. }) => None,
            Err(LookError::Refused { errno, .. }) if errno == "EACCES" => None,
            _ => match self.text(&path, is_checked) {
                Err(None) => None,
                Err(Some(reason)) => Some(Included { path, text: Err(reason) }),
                Ok(text) => Some(Included { path, text: Ok(text) }),
            },
        }
    }

    /// The text; an error without a reason where ssh may not open it. What others may write to, ssh refuses to follow (`readconf.c`).
    fn text(&self, path: &str, is_checked: bool) -> Result<Vec<u8>, Option<String>> {
        let seen = self.target.root.look(path).map_err(|error| Some(error.to_string()))?;
        let own = rustix::process::getuid().as_raw();
        if is_checked && ((seen.uid != 0 && seen.uid != own) || seen.mode & 0o022 != 0) {
            return Err(Some(format!("{path}, whose owner or permissions ssh refuses")));
        }
        self.target.root.read(path, CAP).map_err(|error| match error {
            LookError::Refused { errno, .. } if errno == "EACCES" => None,
            error => Some(error.to_string()),
        })
    }
}

impl Sources for Files<'_> {
    fn include(&mut self, word: &str, of_user: bool) -> Result<Vec<Included>, String> {
        if word.contains(['%', '$', '[', '{', '\\']) {
            return Err(format!("the path {word} of an Include"));
        }
        let pattern = match (word.strip_prefix("~/"), word.starts_with('/')) {
            (Some(rest), _) if of_user => format!("{}/{rest}", self.home.clone()?),
            (None, true) => word.to_owned(),
            (None, false) if word.starts_with('~') => return Err(format!("the path {word} of an Include")),
            (None, false) if of_user => format!("{}/.ssh/{word}", self.home.clone()?),
            (None, false) => format!("/etc/ssh/{word}"),
            (Some(_), _) => return Err(format!("the path {word} of an Include")),
        };
        let mut files = Vec::new();
        for path in matching(self.target.root, &pattern)? {
            let text = match self.text(&path, true) {
                Ok(text) => Ok(text),
                Err(reason) => Err(reason.unwrap_or_else(|| format!("{path}, which ssh may not read"))),
            };
            files.push(Included { path, text });
        }
        Ok(files)
    }
}

/// The paths that a pattern matches (`glob(3)`), sorted; none where nothing does.
fn matching(root: &Root, pattern: &str) -> Result<Vec<String>, String> {
    let mut found = vec![String::new()];
    for step in pattern.split('/').filter(|step| !step.is_empty()) {
        let mut next = Vec::new();
        for directory in &found {
            if !step.contains(['*', '?']) {
                next.push(format!("{directory}/{step}"));
                continue;
            }
            let path = if directory.is_empty() { "/" } else { directory };
            let names = match root.list(path, MOST_NAMES) {
                Ok((names, false)) => names,
                Ok((_, true)) => return Err(format!("{path}, which has too many files")),
                Err(LookError::NotFound { .. }) => continue,
                Err(LookError::Refused { errno, .. }) if errno == "EACCES" => continue,
                Err(error) => return Err(error.to_string()),
            };
            let is_shown = |name: &&String| !name.starts_with('.') || step.starts_with('.');
            let matches = names.iter().filter(is_shown).filter(|name| matches_pattern(step, name));
            next.extend(matches.map(|name| format!("{directory}/{name}")));
        }
        if next.len() > MOST_FILES {
            return Err(format!("{pattern}, which matches too many files"));
        }
        found = next;
    }
    found.retain(|path| root.look(path).is_ok_and(|seen| seen.kind != Kind::Directory));
    Ok(found)
}
