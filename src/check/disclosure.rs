//! What one caller is told of contexts that are not its own: which facts, names and reasons, and by which name it is told of a thing whose own
//! name it must not learn.
//!
//! Decides nothing about outcomes: those are computed from everything that was seen, and only what is shown passes through here.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::Sha256;

use crate::snapshot::schema::{self, Disclosure as Mark};
use crate::snapshot::{ContextKind, Header};

/// What stands where something is not told.
pub const WITHHELD: &str = "(withheld)";
/// The user whom every host has: its name says nothing.
const ROOT: &str = "root";

/// How much of other contexts is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Level {
    /// Outcomes.
    Verdict,
    /// Outcomes, and facts whose type is marked public.
    #[default]
    Public,
    /// Everything but fingerprints.
    All,
}

/// Who is told, and how much.
pub struct Disclosure {
    own: String,
    level: Level,
    key: SecretSlice<u8>,
}

/// The marks of all facts. Making them from the schema takes milliseconds.
static MARKS: LazyLock<BTreeMap<String, Mark>> =
    LazyLock::new(|| schema::fact_paths().into_iter().map(|fact| (fact.path, fact.disclosure)).collect());

/// The mark of what stands at a path; of a structure or list, the strictest of what is in it.
pub fn mark(path: &str) -> Mark {
    let path = path.trim_end_matches("[]");
    // Of the header: what kind of context it is, and what it is called, which is told apart.
    match path {
        "kind" | "service" | "role" | "entry" | "boot" | "host" => return Mark::Public,
        "id" | "name" | "user" | "image" => return Mark::Own,
        _ => {}
    }
    let inside = MARKS.range(path.to_owned()..).take_while(|(fact, _)| fact.starts_with(path)).filter(|(fact, _)| {
        let rest = fact.get(path.len()..).unwrap_or_default();
        rest.is_empty() || rest.starts_with(['.', '['])
    });
    // What is no fact was never decided about.
    inside.map(|(_, mark)| *mark).max().unwrap_or(Mark::Never)
}

/// The mark of one of the paths that an expression reads. Where it reads fields of a list's elements, the element itself was read for its presence
/// alone, which is as secret as the list.
pub fn mark_among<'a>(path: &str, mut reads: impl Iterator<Item = &'a str>) -> Mark {
    let has_fields = |read: &str| read.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    match path.strip_suffix("[]").and_then(|list| MARKS.get(list)) {
        Some(of_list) if reads.any(has_fields) => *of_list,
        _ => mark(path),
    }
}

impl Disclosure {
    /// `own` is the id of the caller's context; `key` makes the names of what is withheld, and must be known to this machine alone.
    pub fn new(own: String, level: Level, key: Vec<u8>) -> Self {
        Self { own, level, key: SecretSlice::from(key) }
    }

    /// Whether this is the caller's own context.
    pub fn is_own(&self, id: &str) -> bool {
        self.own == id
    }

    /// Whether everything is told, fingerprints aside.
    pub fn is_open(&self) -> bool {
        self.level == Level::All
    }

    /// Whether nothing but outcomes is told of other contexts.
    pub fn is_closed(&self) -> bool {
        self.level == Level::Verdict
    }

    /// Whether the caller is told the fact at this path, of its own context or of another one.
    pub fn tells(&self, path: &str, is_own: bool) -> bool {
        self.tells_of(mark(path), is_own)
    }

    /// The same, of one of the paths that an expression reads.
    pub fn tells_among<'a>(&self, path: &str, reads: impl Iterator<Item = &'a str>, is_own: bool) -> bool {
        self.tells_of(mark_among(path, reads), is_own)
    }

    fn tells_of(&self, mark: Mark, is_own: bool) -> bool {
        let level = self.level;
        match mark {
            Mark::Never => false,
            Mark::Host => level == Level::All,
            Mark::Own => is_own || level == Level::All,
            Mark::Public => is_own || level != Level::Verdict,
        }
    }

    /// What a context is called before this caller, id and name. Names of the host's users are withheld.
    pub fn called(&self, header: &Header) -> (String, String) {
        let is_user = header.kind == ContextKind::User && header.user.as_deref() != Some(ROOT);
        if self.is_open() || self.is_own(&header.id) || !is_user {
            return (header.id.clone(), header.name.clone());
        }
        let called = format!("user:{}", self.stand_in("user", &header.id));
        (called.clone(), called)
    }

    /// A name that stands for a text that is withheld: the same for the same text on this machine, and no way back without its key.
    pub fn stand_in(&self, purpose: &str, text: &str) -> String {
        let mut mac = match Hmac::<Sha256>::new_from_slice(self.key.expose_secret()) {
            Ok(mac) => mac,
            // HMAC takes keys of any length (RFC 2104, section 2).
            Err(_) => unreachable!("HMAC takes a key of any length"),
        };
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(text.as_bytes());
        let digest = mac.finalize().into_bytes();
        let shown: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("#{shown}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Disclosure, Level, Mark, mark, mark_among};

    #[test]
    fn a_structure_is_as_secret_as_the_most_secret_thing_in_it() {
        assert_eq!(mark("credentials.s3"), Mark::Never);
        assert_eq!(mark("credentials.s3[]"), Mark::Never);
        assert_eq!(mark("identity.namespaces"), Mark::Public);
        assert_eq!(mark("store.db"), Mark::Own);
        assert_eq!(mark("network.names"), Mark::Own);
        assert_eq!(mark("identity.uid"), Mark::Public);
        assert_eq!(mark("nix.trusted_public_keys[]"), Mark::Public);
        assert_eq!(mark("nothing.of.the.kind"), Mark::Never);
        let fields = ["credentials.s3[]", "credentials.s3[].name"];
        assert_eq!(mark_among("credentials.s3[]", fields.into_iter()), Mark::Own);
        assert_eq!(mark_among("credentials.s3[]", fields[..1].iter().copied()), Mark::Never);
    }

    #[test]
    fn no_level_tells_a_fingerprint_and_the_lowest_tells_nothing_of_others() {
        let at = |level| Disclosure::new("container:job".into(), level, vec![1; 32]);
        for level in [Level::Verdict, Level::Public, Level::All] {
            assert!(!at(level).tells("credentials.s3[].fingerprint", true));
            assert!(at(level).tells("store.db.path", true));
        }
        assert!(!at(Level::Verdict).tells("store.db.mode", false));
        assert!(at(Level::Public).tells("store.db.mode", false));
        assert!(!at(Level::Public).tells("store.db.path", false));
        assert!(at(Level::All).tells("store.db.path", false));
        assert!(!at(Level::Public).tells("identity.process.identity", true));
    }

    #[test]
    fn a_stand_in_is_stable_and_says_nothing_without_the_key() {
        let with = |key: u8| Disclosure::new(String::new(), Level::Public, vec![key; 32]);
        assert_eq!(with(1).stand_in("a", "/srv/x"), with(1).stand_in("a", "/srv/x"));
        assert_ne!(with(1).stand_in("a", "/srv/x"), with(2).stand_in("a", "/srv/x"));
        assert_ne!(with(1).stand_in("a", "/srv/x"), with(1).stand_in("b", "/srv/x"));
        assert_eq!(with(1).stand_in("a", "/srv/x").len(), 9);
    }
}
