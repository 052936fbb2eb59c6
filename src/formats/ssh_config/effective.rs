//! Which options hold for one host.

use std::collections::BTreeMap;

use super::criteria::{Matched, Subject, decide};
use super::words::{Line, lines};
use crate::formats::openssh_pattern;

/// How deep one file may include another (`readconf.h`, `READCONF_MAX_DEPTH`).
const DEEPEST: u32 = 16;
/// The most files that are read.
const MOST_FILES: u32 = 128;

/// The most private keys that ssh takes (`readconf.h`, `SSH_MAX_IDENTITY_FILES`).
const MOST_IDENTITIES: usize = 100;

/// The options that decide to whom ssh connects, whom it believes, and as whom; in lower case.
const TRACKED: [&str; 17] = [
    "hostname",
    "port",
    "user",
    "hostkeyalias",
    "userknownhostsfile",
    "globalknownhostsfile",
    "identityfile",
    "identitiesonly",
    "identityagent",
    "stricthostkeychecking",
    "proxyjump",
    "proxycommand",
    "knownhostscommand",
    "canonicalizehostname",
    "verifyhostkeydns",
    "hostkeyalgorithms",
    "checkhostip",
];

/// A file that an `Include` leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Included {
    pub path: String,
    /// Its text, or why it could not be read.
    pub text: Result<Vec<u8>, String>,
}

/// Where the files are.
pub trait Sources {
    /// The files that a word of `Include` names, in order; none where nothing matches. An error where that is not known.
    fn include(&mut self, word: &str, of_user: bool) -> Result<Vec<Included>, String>;
}

/// The value of one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Set.
    Is(Vec<String>),
    /// Perhaps set, by what this place decides in a way that is not known here.
    Doubtful(String),
}

/// The options for one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effective {
    options: BTreeMap<&'static str, Value>,
    /// Every `IdentityFile`, in order, with where it stands.
    pub identities: Vec<(String, String)>,
    /// Why there may be further ones.
    pub more_identities: Option<String>,
    /// Why nothing at all is known after a point: a file that could not be read, or a line that ssh refuses.
    pub broken: Option<String>,
    /// Who runs ssh, for `Match localuser` and where no option names a user; none where that is not known.
    local_user: Option<String>,
    files: u32,
}

impl Effective {
    /// Nothing yet, for ssh run by this user.
    pub fn of(local_user: Option<String>) -> Self {
        Self { local_user, ..Self::default() }
    }

    /// The words of an option; none where nothing sets it.
    pub fn words(&self, name: &str) -> Result<Option<&[String]>, String> {
        match self.options.get(name) {
            Some(Value::Is(words)) => Ok(Some(words)),
            Some(Value::Doubtful(place)) => Err(place.clone()),
            None => self.broken.clone().map_or(Ok(None), Err),
        }
    }

    /// The first word of an option.
    pub fn word(&self, name: &str) -> Result<Option<&str>, String> {
        Ok(self.words(name)?.and_then(|words| words.first()).map(String::as_str))
    }

    /// Sets an option as the command line does: before all files.
    pub fn set(&mut self, name: &str, words: Vec<String>) {
        if let Some(name) = TRACKED.iter().find(|tracked| **tracked == name) {
            self.options.entry(name).or_insert(Value::Is(words));
        }
    }
}

/// Whether what stands here is for the host.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Active {
    Yes,
    No,
    Perhaps(String),
}

struct Reader<'a> {
    host: &'a str,
    /// The name that was given, which `host` is too in the first reading.
    original: &'a str,
    sources: &'a mut dyn Sources,
    effective: &'a mut Effective,
    of_user: bool,
    /// The second reading, after the name is settled: `Match final` is for it.
    is_final: bool,
    wants_final: bool,
}

/// Adds what these files, the user's first, say of a host; `set` was called for the command line before.
pub fn effective(host: &str, files: &[(bool, Included)], sources: &mut dyn Sources, effective: &mut Effective) {
    let wants_final = read((host, host), files, sources, effective, false);
    if !wants_final {
        return;
    }
    // Read again, for the name that was settled on.
    match settled_name(host, effective) {
        Ok(name) => {
            // ssh takes the name for set then: a later HostName does nothing.
            effective.options.insert("hostname", Value::Is(vec![name.replace('%', "%%")]));
            read((&name, host), files, sources, effective, true);
        }
        Err(reason) => {
            effective.broken.get_or_insert(reason);
        }
    }
}

fn read(
    (host, original): (&str, &str),
    files: &[(bool, Included)],
    sources: &mut dyn Sources,
    effective: &mut Effective,
    is_final: bool,
) -> bool {
    let mut wants_final = false;
    for (of_user, file) in files {
        let mut reader = Reader { host, original, sources, effective, of_user: *of_user, is_final, wants_final };
        reader.file(file, &mut Active::Yes, false, 0);
        wants_final = reader.wants_final;
    }
    wants_final
}

/// The name after the first reading, in lower case; `%h` in it is the name that was given.
fn settled_name(host: &str, effective: &Effective) -> Result<String, String> {
    let Some(text) = effective.word("hostname")? else { return Ok(host.to_ascii_lowercase()) };
    let mut name = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, if letter == '%' { letters.next() } else { None }) {
            ('%', Some('h')) => name.push_str(host),
            ('%', Some('%')) => name.push('%'),
            ('%', _) => return Err("the tokens of HostName".to_owned()),
            (letter, _) => name.push(letter),
        }
    }
    Ok(name.to_ascii_lowercase())
}

impl Reader<'_> {
    /// Reads one file; `never` where it is included for another host.
    fn file(&mut self, file: &Included, active: &mut Active, never: bool, depth: u32) {
        self.effective.files += 1;
        let text = match &file.text {
            Ok(text) if depth <= DEEPEST && self.effective.files <= MOST_FILES => text,
            Ok(_) => return self.broken(format!("{}: too many files are included", file.path)),
            Err(reason) => return self.broken(reason.clone()),
        };
        let (lines, error) = lines(text);
        for line in &lines {
            if self.effective.broken.is_some() {
                return;
            }
            let place = format!("{}:{}", file.path, line.number);
            match line.keyword.as_str() {
                "host" => *active = if never { Active::No } else { self.host_line(line) },
                "match" => *active = if never { Active::No } else { self.match_line(line, &place) },
                "include" => self.include(line, active, never, depth),
                _ => self.option(line, active, &place),
            }
        }
        if let Some(error) = error {
            self.broken(format!("{}:{}: {}", file.path, error.line, error.detail));
        }
    }

    fn broken(&mut self, why: String) {
        self.effective.broken.get_or_insert(why);
    }

    fn host_line(&self, line: &Line) -> Active {
        let mut active = Active::No;
        for word in &line.words {
            let (negated, pattern) = word.strip_prefix('!').map_or((false, word.as_str()), |pattern| (true, pattern));
            if openssh_pattern::matches(pattern, self.host) {
                if negated {
                    return Active::No;
                }
                active = Active::Yes;
            }
        }
        active
    }

    fn match_line(&mut self, line: &Line, place: &str) -> Active {
        let user = match self.effective.word("user") {
            Ok(None) => self.effective.local_user.clone().ok_or_else(|| "who runs ssh".to_owned()),
            Ok(Some(user)) => Ok(user.to_owned()),
            Err(place) => Err(place),
        };
        let subject = Subject {
            host: settled_name(self.host, self.effective),
            original: self.original,
            user,
            local_user: self.effective.local_user.as_deref(),
            is_final: self.is_final,
        };
        let (matched, wants_final) = decide(&line.words, &subject);
        self.wants_final |= wants_final;
        match matched {
            Matched::Yes => Active::Yes,
            Matched::No => Active::No,
            Matched::Perhaps => Active::Perhaps(place.to_owned()),
            Matched::Refused => {
                self.broken(format!("{place}: a criterion of Match is not complete"));
                Active::No
            }
        }
    }

    fn include(&mut self, line: &Line, active: &mut Active, never: bool, depth: u32) {
        for word in &line.words {
            let files = match self.sources.include(word, self.of_user) {
                Ok(files) => files,
                // What is for another host says nothing of this one.
                Err(_) if never || *active == Active::No => Vec::new(),
                Err(reason) => return self.broken(reason),
            };
            for file in files {
                let before = active.clone();
                let never = never || before == Active::No;
                self.file(&file, active, never, depth + 1);
                *active = before;
            }
        }
    }

    fn option(&mut self, line: &Line, active: &Active, place: &str) {
        let Some(name) = TRACKED.iter().find(|tracked| **tracked == line.keyword) else { return };
        if *name == "identityfile" {
            return self.identity(line, active, place);
        }
        let options = &self.effective.options;
        // What is set first of the two keeps the other out; only `ProxyJump none` keeps no command out.
        let rival = match *name {
            "proxycommand" => options.get("proxyjump").filter(|jump| **jump != Value::Is(vec!["none".to_owned()])),
            "proxyjump" => options.get("proxycommand"),
            _ => None,
        };
        if options.contains_key(name) || rival.is_some() {
            return;
        }
        let value = match active {
            Active::Yes if line.words.is_empty() => return self.broken(format!("{place}: a value is missing")),
            Active::Yes => Value::Is(line.words.clone()),
            Active::Perhaps(place) => Value::Doubtful(place.clone()),
            Active::No => return,
        };
        self.effective.options.insert(name, value);
    }

    fn identity(&mut self, line: &Line, active: &Active, place: &str) {
        match (active, line.words.first()) {
            (Active::Yes, Some(word)) => {
                // The second reading finds the same lines again.
                if !self.effective.identities.iter().any(|(path, _)| path == word) {
                    if self.effective.identities.len() == MOST_IDENTITIES {
                        return self.broken(format!("{place}: too many files of private keys"));
                    }
                    self.effective.identities.push((word.clone(), place.to_owned()));
                }
            }
            (Active::Yes, None) => self.broken(format!("{place}: a value is missing")),
            (Active::Perhaps(place), _) => {
                self.effective.more_identities.get_or_insert_with(|| place.clone());
            }
            (Active::No, _) => {}
        }
    }
}
