//! The files that ssh_config's `Include` names, beneath the target's root.

use glob::{MatchOptions, Pattern, PatternError};

use super::reads::Reads;
use crate::formats::ssh_config::{Included, Sources};
use crate::probe::Target;
use crate::sys::{Kind, LookError};

/// No such file is longer.
const CAP: usize = 1 << 20;
/// The most files that one pattern leads to.
const MOST_FILES: usize = 128;

/// The target's files, and the home directory of this identity.
pub struct Files<'a> {
    pub target: &'a Target<'a>,
    pub home: Result<String, String>,
    pub reads: &'a Reads<'a>,
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
        let text = self.reads.read(path, CAP).map(|text| text.to_vec());
        text.map_err(|error| match error {
            LookError::Refused { errno, .. } if errno == "EACCES" => None,
            error => Some(error.to_string()),
        })
    }
}

impl Sources for Files<'_> {
    fn include(&mut self, word: &str, of_user: bool) -> Result<Vec<Included>, String> {
        if word.contains(['%', '$', '{', '\\']) || word.contains("[:") {
            return Err("the path of an Include".to_owned());
        }
        let pattern = match (word.strip_prefix("~/"), word.starts_with('/')) {
            (Some(rest), _) if of_user => format!("{}/{rest}", self.home.clone()?),
            (None, true) => word.to_owned(),
            (None, false) if word.starts_with('~') => return Err("the path of an Include".to_owned()),
            (None, false) if of_user => format!("{}/.ssh/{word}", self.home.clone()?),
            (None, false) => format!("/etc/ssh/{word}"),
            (Some(_), _) => return Err("the path of an Include".to_owned()),
        };
        let mut files = Vec::new();
        for path in self.matching(&pattern)? {
            let text = match self.text(&path, true) {
                Ok(text) => Ok(text),
                Err(reason) => Err(reason.unwrap_or_else(|| format!("{path}, which ssh may not read"))),
            };
            files.push(Included { path, text });
        }
        Ok(files)
    }
}

impl Files<'_> {
    /// The paths that a pattern matches (`glob(3)`), sorted; none where nothing does.
    fn matching(&self, pattern: &str) -> Result<Vec<String>, String> {
        let mut found = vec![String::new()];
        for step in pattern.split('/').filter(|step| !step.is_empty()) {
            let mut next = Vec::new();
            let matcher = step_pattern(step).map_err(|_| "the path of an Include".to_owned())?;
            for directory in &found {
                if !step.contains(['*', '?', '[']) {
                    next.push(format!("{directory}/{step}"));
                    continue;
                }
                let path = if directory.is_empty() { "/" } else { directory };
                let names = match self.reads.list(path)? {
                    Ok(names) => names,
                    Err(LookError::NotFound { .. }) => continue,
                    Err(LookError::Refused { errno, .. }) if errno == "EACCES" || errno == "ENOTDIR" => continue,
                    Err(error) => return Err(error.to_string()),
                };
                let matches = names.iter().filter(|name| matcher.matches_with(name, AS_GLOB));
                next.extend(matches.map(|name| format!("{directory}/{name}")));
            }
            if next.len() > MOST_FILES {
                return Err("an Include that matches too many files".to_owned());
            }
            found = next;
        }
        // What may not be looked at is no match for ssh either; what could not be is read, and says so.
        found.retain(|path| match self.target.root.look(path) {
            Ok(seen) => seen.kind != Kind::Directory,
            Err(LookError::NotFound { .. }) => false,
            Err(LookError::Refused { errno, .. }) => errno != "EACCES" && errno != "ENOTDIR",
            Err(_) => true,
        });
        Ok(found)
    }
}

/// Names that begin with a dot are for patterns that do (`glob(3)`).
const AS_GLOB: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// One step of a pattern as the C library takes it: `^` is `!`, two stars are one, and a bracket that is not closed is a letter (`glob(7)`).
fn step_pattern(step: &str) -> Result<Pattern, PatternError> {
    let mut step = step.replace("[^", "[!");
    while step.contains("**") {
        step = step.replace("**", "*");
    }
    Pattern::new(&step).or_else(|_| Pattern::new(&step.replace('[', "[[]")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_set_in_a_pattern_is_that_of_glob() {
        for (pattern, name, expected) in [
            ("[0-9][0-9]-*.conf", "10-builders.conf", true),
            ("[0-9][0-9]-*.conf", "a0-builders.conf", false),
            ("[!.a-c]*", "d", true),
            ("[!.a-c]*", "b", false),
            ("[^.a-c]*", "b", false),
            ("[]x]", "]", true),
            ("*[ab]", "xxa", true),
            ("*[ab]", "xab", true),
            ("[", "[", true),
            ("[ab", "[ab", true),
            ("a**b", "axb", true),
            ("*", ".hidden", false),
            (".*", ".hidden", true),
        ] {
            let matcher = super::step_pattern(pattern).expect("a pattern");
            assert_eq!(matcher.matches_with(name, super::AS_GLOB), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_step_full_of_stars_is_decided_before_anybody_gives_up() {
        for (pattern, name) in [("*a".repeat(120) + "b", "a".repeat(255)), ("*a[!b]c?".repeat(50), "aac".repeat(85))] {
            let matcher = super::step_pattern(&pattern).expect("a pattern");
            assert!(!matcher.matches_with(&name, super::AS_GLOB));
        }
    }
}
