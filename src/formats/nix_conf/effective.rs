//! How the lines of several configuration files become one value per setting (`src/libutil/config.cc`, `Config::set`).
//!
//! A later assignment replaces an earlier one; `extra-NAME` adds to a list, a set or a map, and to its default as long as
//! nothing replaced it. Every token keeps the line that it came from.

use std::collections::BTreeMap;

use super::settings::{self, Default, Kind, Known};

/// Who said it; later ones win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// `nix.conf` of the system directory. A client never sends it to a daemon.
    System,
    /// Files of the user and of `XDG_CONFIG_DIRS`.
    User,
    /// `NIX_CONFIG`.
    Environment,
}

impl Level {
    /// The word that facts use.
    pub fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Environment => "environment",
        }
    }
}

/// One line `name = tokens…`, with where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub name: String,
    pub tokens: Vec<String>,
    /// `file:line` or `NIX_CONFIG:line`.
    pub origin: String,
    pub level: Level,
}

/// One token of a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token {
    pub text: String,
    /// Where it stands; `None` for a default.
    pub origin: Option<(String, Level)>,
}

/// The value of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// `None` for a name that no release knows.
    pub known: Option<&'static Known>,
    pub tokens: Vec<Token>,
    /// Whether a default that is not known here lies beneath the tokens.
    pub on_unknown_default: bool,
    /// The lines that made it, the last one last.
    pub origins: Vec<String>,
    /// Who decided last.
    pub level: Level,
}

impl Value {
    /// The value as Nix prints it: tokens joined by blanks, booleans as `true` and `false`.
    pub fn text(&self) -> String {
        let joined = self.tokens.iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ");
        let boolean = self.known.is_some_and(|known| known.kind == Kind::Boolean);
        match boolean.then(|| truth(&joined)).flatten() {
            Some(value) => value.to_string(),
            None => joined,
        }
    }
}

/// A line that Nix refuses or warns about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub origin: String,
    pub detail: String,
    /// Whether Nix stops at it.
    pub fatal: bool,
}

/// All settings that some line gives, by canonical name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Effective {
    pub values: BTreeMap<String, Value>,
    pub problems: Vec<Problem>,
}

/// Applies assignments in their order.
pub fn apply<'a>(assignments: impl IntoIterator<Item = &'a Assignment>) -> Effective {
    let mut effective = Effective::default();
    for assignment in assignments {
        effective.set(assignment);
    }
    effective
}

/// A boolean as Nix reads it; `None` for anything else.
pub fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

impl Effective {
    fn set(&mut self, assignment: &Assignment) {
        let (known, append) = meaning(&assignment.name);
        let name = known.map_or(assignment.name.as_str(), |known| known.name);
        let origin = assignment.origin.clone();
        match known {
            None => self.problem(assignment, format!("unknown setting `{name}`"), false),
            Some(known) => {
                if let Some(detail) = refusal(known, &assignment.tokens) {
                    self.problem(assignment, detail, true);
                }
            }
        }
        let value = self.values.entry(name.to_owned()).or_insert_with(|| untouched(known, assignment.level));
        if !append {
            value.tokens.clear();
            value.origins.clear();
            value.on_unknown_default = false;
        }
        let from = (origin.clone(), assignment.level);
        value
            .tokens
            .extend(assignment.tokens.iter().map(|text| Token { text: text.clone(), origin: Some(from.clone()) }));
        if known.is_some_and(|known| known.kind == Kind::Set) {
            // Stable, so that of equal tokens the first line stays.
            value.tokens.sort_by(|one, other| one.text.cmp(&other.text));
            value.tokens.dedup_by(|one, other| one.text == other.text);
        }
        value.origins.push(origin);
        value.level = assignment.level;
    }

    fn problem(&mut self, assignment: &Assignment, detail: String, fatal: bool) {
        self.problems.push(Problem { origin: assignment.origin.clone(), detail, fatal });
    }
}

/// The setting that a name means, and whether it adds to it.
fn meaning(name: &str) -> (Option<&'static Known>, bool) {
    if let Some(known) = settings::lookup(name) {
        return (Some(known), false);
    }
    let base = name.strip_prefix("extra-").and_then(settings::lookup);
    let base = base.filter(|known| known.kind.is_appendable());
    (base, base.is_some())
}

fn untouched(known: Option<&'static Known>, level: Level) -> Value {
    let default = known.map_or(Default::Known(&[]), |known| known.default);
    let (tokens, on_unknown_default) = match default {
        Default::Known(tokens) => (tokens, false),
        Default::Other => (&[][..], true),
    };
    let tokens = tokens.iter().map(|text| Token { text: (*text).to_owned(), origin: None }).collect();
    Value { known, tokens, on_unknown_default, origins: Vec::new(), level }
}

/// Why Nix refuses a value, if it does. The value is not repeated.
fn refusal(known: &Known, tokens: &[String]) -> Option<String> {
    let text = tokens.join(" ");
    let name = known.name;
    match known.kind {
        Kind::Boolean if truth(&text).is_none() => Some(format!("`{name}` is neither true nor false")),
        Kind::Integer if !(is_number(&text) || (name == "max-jobs" && text == "auto")) => {
            Some(format!("`{name}` is not a number"))
        }
        Kind::Text if name == "sandbox" && !matches!(text.as_str(), "true" | "false" | "relaxed") => {
            Some("`sandbox` is none of true, false, relaxed".to_owned())
        }
        _ => None,
    }
}

/// Digits with an optional binary suffix; which releases take the suffix is not judged here.
fn is_number(text: &str) -> bool {
    let digits = text.strip_suffix(['K', 'M', 'G', 'T']).unwrap_or(text);
    let digits = digits.strip_prefix('-').unwrap_or(digits);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::{Assignment, Level, apply};

    fn assign(lines: &[(&str, &str)]) -> Vec<Assignment> {
        let line = |(index, (name, value)): (usize, &(&str, &str))| Assignment {
            name: (*name).to_owned(),
            tokens: value.split_whitespace().map(str::to_owned).collect(),
            origin: format!("f:{}", index + 1),
            level: Level::User,
        };
        lines.iter().enumerate().map(line).collect()
    }

    fn value(lines: &[(&str, &str)], name: &str) -> String {
        apply(&assign(lines)).values[name].text()
    }

    #[test]
    fn extra_adds_to_the_default_until_a_line_replaces_it() {
        assert_eq!(value(&[("extra-substituters", "https://a")], "substituters"), "https://cache.nixos.org/ https://a");
        let lines = [("extra-substituters", "https://a"), ("binary-caches", "https://b"), ("extra-binary-caches", "c")];
        assert_eq!(value(&lines, "substituters"), "https://b c");
    }

    #[test]
    fn a_default_that_nix_computes_is_not_made_up() {
        assert!(apply(&assign(&[("extra-system-features", "kvm")])).values["system-features"].on_unknown_default);
        assert!(!apply(&assign(&[("system-features", "kvm")])).values["system-features"].on_unknown_default);
    }

    #[test]
    fn sets_are_sorted_and_lists_are_not() {
        assert_eq!(value(&[("trusted-substituters", "b a b")], "trusted-substituters"), "a b");
        assert_eq!(value(&[("trusted-users", "b a b")], "trusted-users"), "b a b");
    }

    #[test]
    fn extra_of_a_scalar_is_an_unknown_setting() {
        let effective = apply(&assign(&[("extra-cores", "4")]));
        assert_eq!(effective.problems.len(), 1);
        assert!(!effective.problems[0].fatal);
    }

    #[test]
    fn a_boolean_of_another_word_stops_nix() {
        assert!(apply(&assign(&[("fallback", "on")])).problems[0].fatal);
        assert!(apply(&assign(&[("sandbox", "yes")])).problems[0].fatal);
        assert!(apply(&assign(&[("fallback", "yes")])).problems.is_empty());
    }

    #[test]
    fn every_token_knows_its_line() {
        let effective = apply(&assign(&[("substituters", "a"), ("extra-substituters", "b")]));
        let origins: Vec<_> =
            effective.values["substituters"].tokens.iter().map(|token| token.origin.clone()).collect();
        assert_eq!(origins, [Some(("f:1".to_owned(), Level::User)), Some(("f:2".to_owned(), Level::User))]);
    }
}
