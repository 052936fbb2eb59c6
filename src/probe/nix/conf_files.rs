//! Which configuration files Nix reads here, in which order, and the lines in them (`src/libstore/globals.cc`, `loadConfFile`;
//! `src/libutil/config.cc`, `applyConfig`).
//!
//! A file that this identity may not read is one that Nix ignores. One that could not be looked at for another reason (an I/O
//! error, a FIFO, more than the cap) leaves the settings unobserved.

use crate::formats::nix_conf::effective::{Assignment, Level};
use crate::formats::nix_conf::{self, Statement};
use crate::probe::nix::{Orders, home};
use crate::probe::{Target, reason};
use crate::snapshot::facts::{ConfFile, ConfProblem};
use crate::snapshot::{Fact, Reason};
use crate::sys::{Kind, LookError, Seen};

/// The most that is read of one file.
const CAP: usize = 1 << 20;
/// The most files, and the deepest include, that are followed.
const MOST_FILES: usize = 64;
const DEEPEST: usize = 16;
/// Modification times and start times are taken from clocks of different grain.
const GRAIN_MS: i64 = 1000;

/// When the lines of an included file take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IncludeOrder {
    /// Where the include stands.
    InPlace,
    /// Before all lines of the including file: releases that collected the settings of a file, but not those of its includes.
    First,
}

impl IncludeOrder {
    /// In place to 2.8 and again since 2.24. Which of the releases between did it otherwise is not known, so neither order is
    /// claimed for them.
    pub(super) fn of_release(release: (u32, u32)) -> Option<Self> {
        match release {
            (2, ..=8 | 24..) => Some(Self::InPlace),
            _ => None,
        }
    }
}

/// What the files say.
pub(super) struct Gathered {
    pub(super) files: Vec<ConfFile>,
    pub(super) assignments: Orders,
    pub(super) problems: Vec<ConfProblem>,
    /// The error at which Nix stops, if there is one.
    pub(super) fatal: Option<Reason>,
    /// Why there may be more lines than were seen.
    pub(super) unknown: Option<Reason>,
    /// The directory of the system's file.
    pub(super) system_directory: Fact<String>,
}

/// What became of one file.
enum Found {
    Text(Vec<u8>),
    Missing,
    /// It is there, and Nix goes on as if it were not.
    Ignored,
    Unknown(Reason),
}

/// The variables that decide what is read.
const VARIABLES: [&str; 6] =
    ["NIX_CONFIG", "NIX_CONF_DIR", "NIX_USER_CONF_FILES", "NIX_CONFIG_HOME", "XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"];

/// Reads everything that Nix would read here.
pub(super) fn gather(target: &Target<'_>) -> Gathered {
    let directory = non_empty(target, "NIX_CONF_DIR").unwrap_or_else(|| "/etc/nix".to_owned());
    let mut gathering = Gathering { target, started_ms: started_ms(target), result: empty(target, &directory) };
    if let Some(reason) = target.environment.reason().cloned().or_else(|| target.unread(&VARIABLES)) {
        gathering.unknown(reason);
    }
    gathering.file(&normal(&format!("{directory}/nix.conf")), Level::System);
    match user_files(target) {
        Ok(files) => {
            for file in files.iter().rev() {
                gathering.file(file, Level::User);
            }
        }
        Err(reason) => gathering.unknown(reason),
    }
    if let Some(text) = target.variable("NIX_CONFIG").present() {
        let orders = gathering.lines(text.as_bytes(), "NIX_CONFIG", Level::Environment, &mut Vec::new());
        gathering.take(orders);
    }
    gathering.result
}

fn empty(target: &Target<'_>, directory: &str) -> Gathered {
    let system_directory = match target.environment.reason().cloned().or_else(|| target.unread(&["NIX_CONF_DIR"])) {
        Some(reason) => Fact::Unobserved(reason),
        None => Fact::Present(normal(directory)),
    };
    Gathered {
        files: Vec::new(),
        assignments: Orders::default(),
        problems: Vec::new(),
        fatal: None,
        unknown: None,
        system_directory,
    }
}

/// The user's files, the strongest first. With an unobserved environment those that hold without any variable.
fn user_files(target: &Target<'_>) -> Result<Vec<String>, Reason> {
    if let Some(list) = target.variable("NIX_USER_CONF_FILES").present() {
        return Ok(list.split(':').filter(|path| !path.is_empty()).map(str::to_owned).collect());
    }
    let own = match (target.variable("NIX_CONFIG_HOME").present(), target.variable("XDG_CONFIG_HOME").present()) {
        (Some(directory), _) if knows_config_home(target)? => format!("{directory}/nix.conf"),
        (_, Some(directory)) => format!("{directory}/nix/nix.conf"),
        (_, None) => format!("{}/.config/nix/nix.conf", home::of(target)?),
    };
    let directories = target.variable("XDG_CONFIG_DIRS");
    let directories = directories.present().copied().unwrap_or("/etc/xdg");
    let shared = directories.split(':').filter(|path| !path.is_empty()).map(|path| format!("{path}/nix/nix.conf"));
    Ok(std::iter::once(own).chain(shared).collect())
}

/// `NIX_CONFIG_HOME` is read since 2.25; 2.24 is not known to.
fn knows_config_home(target: &Target<'_>) -> Result<bool, Reason> {
    match crate::probe::store::client::release(target) {
        Some((2, 25..)) => Ok(true),
        Some((2, ..=23)) => Ok(false),
        _ => Err(Reason::NotEmulated { what: "NIX_CONFIG_HOME of an unknown release of Nix".to_owned() }),
    }
}

fn non_empty(target: &Target<'_>, name: &str) -> Option<String> {
    target.variable(name).present().filter(|value| !value.is_empty()).map(|value| (*value).to_owned())
}

/// When this context's process started, in milliseconds since 1970 (`proc_pid_stat(5)`, field 22).
fn started_ms(target: &Target<'_>) -> Fact<i64> {
    if !target.live {
        return Fact::Absent;
    }
    crate::probe::fact(target.process.stat.as_ref().map_err(Clone::clone)).and_then(|stat| {
        crate::sys::process::start_ticks(stat)
            .and_then(crate::sys::process::ticks_to_unix_ms)
            .map_or(Fact::Unobserved(Reason::Vanished), Fact::Present)
    })
}

struct Gathering<'a, 'b> {
    target: &'a Target<'b>,
    started_ms: Fact<i64>,
    result: Gathered,
}

impl Gathering<'_, '_> {
    fn unknown(&mut self, reason: Reason) {
        self.result.unknown.get_or_insert(reason);
    }

    fn take(&mut self, orders: Orders) {
        self.result.assignments.in_place.extend(orders.in_place);
        self.result.assignments.includes_first.extend(orders.includes_first);
    }

    /// One of the files that Nix looks for by itself.
    fn file(&mut self, path: &str, level: Level) {
        if !path.starts_with('/') {
            self.unknown(Reason::NotEmulated { what: format!("the relative path {path}") });
            return;
        }
        if let Some(text) = self.text(path, level.word()) {
            let orders = self.lines(&text, path, level, &mut vec![path.to_owned()]);
            self.take(orders);
        }
    }

    /// The text of a file, after its fact was recorded; `None` where there is none for Nix, or where it is unknown.
    fn text(&mut self, path: &str, level: &str) -> Option<Vec<u8>> {
        if self.result.files.len() >= MOST_FILES {
            let at = u64::try_from(MOST_FILES).unwrap_or(u64::MAX);
            self.unknown(Reason::Truncated { at, what: "configuration files".to_owned() });
            return None;
        }
        let (found, seen) = read(self.target, path);
        let looked = match &found {
            Found::Unknown(reason) => Fact::Unobserved(reason.clone()),
            Found::Text(_) => Fact::Present(true),
            Found::Ignored => Fact::Present(false),
            Found::Missing => Fact::Absent,
        };
        let modified = match (&seen, &looked) {
            (Some(seen), _) => Fact::Present(seen.modified_ms),
            (None, Fact::Absent) => Fact::Absent,
            (None, _) => Fact::Unobserved(refusal(path)),
        };
        let newer_than_process = match (&modified, &self.started_ms) {
            (Fact::Present(modified), Fact::Present(started)) => Fact::Present(*modified > started + GRAIN_MS),
            (Fact::Absent, _) | (_, Fact::Absent) => Fact::Absent,
            (Fact::Unobserved(reason), _) | (_, Fact::Unobserved(reason)) => Fact::Unobserved(reason.clone()),
        };
        let exists = match (&seen, &found) {
            (Some(_), _) | (None, Found::Text(_)) => Fact::Present(true),
            (None, Found::Missing) => Fact::Present(false),
            (None, Found::Ignored) => Fact::Unobserved(refusal(path)),
            (None, Found::Unknown(reason)) => Fact::Unobserved(reason.clone()),
        };
        let level = level.to_owned();
        let path = path.to_owned();
        self.result.files.push(ConfFile { path, level, exists, readable: looked, modified, newer_than_process });
        match found {
            Found::Text(text) => Some(text),
            Found::Missing | Found::Ignored => None,
            Found::Unknown(reason) => {
                self.unknown(reason);
                None
            }
        }
    }

    /// The assignments of one text, with those of its includes.
    fn lines(&mut self, text: &[u8], name: &str, level: Level, above: &mut Vec<String>) -> Orders {
        let (lines, error) = nix_conf::parse(text);
        let mut orders = Orders::default();
        let mut own = Vec::new();
        for line in lines {
            let origin = format!("{name}:{}", line.number);
            match line.statement {
                Statement::Set { name, tokens } => {
                    // Nix forgets this line where the variable is set.
                    if name == "nix-path" && level != Level::Environment && self.has_nix_path() {
                        continue;
                    }
                    let assignment = Assignment { name, tokens, origin, level };
                    orders.in_place.push(assignment.clone());
                    own.push(assignment);
                }
                Statement::Include { path, optional } => {
                    let included = self.include(&path, optional, name, &origin, level, above);
                    orders.in_place.extend(included.in_place);
                    orders.includes_first.extend(included.includes_first);
                }
            }
        }
        orders.includes_first.extend(own);
        if let Some(error) = error {
            self.fatal(&format!("{name}:{}", error.line), error.detail);
        }
        orders
    }

    fn has_nix_path(&self) -> bool {
        self.target.variable("NIX_PATH").present().is_some()
    }

    fn include(
        &mut self,
        written: &str,
        optional: bool,
        from: &str,
        origin: &str,
        level: Level,
        above: &mut Vec<String>,
    ) -> Orders {
        let Some(path) = included_path(written, from) else {
            let what = format!("the include at {origin}, which names no absolute path");
            self.unknown(Reason::NotEmulated { what });
            return Orders::default();
        };
        if above.contains(&path) || above.len() >= DEEPEST {
            self.fatal(origin, "includes lead back to themselves, or too deep");
            return Orders::default();
        }
        // Nix asks whether the name is there, and takes a dangling link for a file that it can't read.
        match self.target.root.look_at_link(&path) {
            Ok(_) => {}
            Err(LookError::NotFound { .. }) => {
                if !optional {
                    self.fatal(origin, "the included file does not exist");
                }
                self.text(&path, "include");
                return Orders::default();
            }
            Err(error) => {
                self.unknown(reason(error));
                return Orders::default();
            }
        }
        match self.text(&path, "include") {
            Some(text) => {
                above.push(path.clone());
                let orders = self.lines(&text, &path, level, above);
                above.pop();
                orders
            }
            None => Orders::default(),
        }
    }

    fn fatal(&mut self, origin: &str, detail: &str) {
        let (path, line) = origin.rsplit_once(':').unwrap_or((origin, ""));
        let malformed = Reason::Malformed { path: path.to_owned(), line: line.parse().ok(), detail: detail.to_owned() };
        self.result.fatal.get_or_insert(malformed);
        self.result.problems.push(ConfProblem { origin: origin.to_owned(), detail: detail.to_owned(), fatal: true });
    }
}

fn included_path(written: &str, from: &str) -> Option<String> {
    // `~` is expanded by some releases only.
    if written.starts_with('~') {
        return None;
    }
    if written.starts_with('/') {
        return Some(normal(written));
    }
    let (directory, _) = from.rsplit_once('/')?;
    Some(normal(&format!("{directory}/{written}")))
}

/// The path without `.`, `..` and doubled slashes, by its text alone, as Nix's `canonPath` has it.
fn normal(path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    format!("/{}", steps.join("/"))
}

fn read(target: &Target<'_>, path: &str) -> (Found, Option<Seen>) {
    let seen = match target.root.look(path) {
        Ok(seen) => seen,
        Err(LookError::NotFound { .. }) => return (Found::Missing, None),
        Err(error) => return (denied(target, error), None),
    };
    let found = match seen.kind {
        // Opening a directory succeeds and reading it fails, which Nix swallows.
        Kind::Directory => Found::Ignored,
        // The usual way to say "no file".
        Kind::Device if path == "/dev/null" => Found::Text(Vec::new()),
        _ => match target.root.read(path, CAP) {
            Ok(text) => Found::Text(text),
            Err(error) => denied(target, error),
        },
    };
    (found, Some(seen))
}

/// A refusal to this identity is one to Nix too, as long as the identity is the context's own.
fn denied(target: &Target<'_>, error: LookError) -> Found {
    let refused = matches!(&error, LookError::Refused { errno, .. } if errno == "EACCES");
    match (refused, target.incomplete.is_empty()) {
        (true, true) => Found::Ignored,
        (true, false) => Found::Unknown(Reason::IdentityIncomplete { missing: target.incomplete.join(", ") }),
        (false, _) => Found::Unknown(reason(error)),
    }
}

fn refusal(path: &str) -> Reason {
    Reason::Unreadable { path: path.to_owned(), errno: "EACCES".to_owned() }
}
