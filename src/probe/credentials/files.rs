//! Where credential files of this context lie, and reading them.
//!
//! The home directory is `$HOME`, or the passwd entry's of this uid in the target's own `/etc/passwd`. Every file that is looked at is
//! kept as a fact, whether it exists or not.

use super::{unread_environment, variable};
use crate::formats::passwd;
use crate::probe::{Target, fact, reason};
use crate::snapshot::facts::CredentialFile;
use crate::snapshot::secret::Secret;
use crate::snapshot::{Fact, List, Reason};
use crate::sys::{Access, LookError};

/// No credential file is longer; one that is may be a trap.
const CAP: usize = 1 << 20;
/// Files of tens of thousands of users stay below it.
const PASSWD_CAP: usize = 16 << 20;

/// A path and what named it.
pub(super) struct Place {
    pub path: String,
    pub named_by: String,
}

/// The files of one context.
pub(super) struct Files<'a> {
    pub target: &'a Target<'a>,
    home: Fact<String>,
    seen: Vec<CredentialFile>,
}

impl<'a> Files<'a> {
    pub fn new(target: &'a Target<'a>) -> Self {
        Self { target, home: home(target), seen: Vec::new() }
    }

    /// What was looked at, in order.
    pub fn seen(self) -> List<CredentialFile> {
        let more = unread_environment(self.target).or_else(|| self.home.reason().cloned());
        List { items: self.seen, more }
    }

    /// The path that a variable holds or, where it is not set, one beneath the home directory. Absent where there is no home.
    pub fn place(&self, name: &str, beneath_home: &str) -> Fact<Place> {
        match self.named(name, "") {
            Fact::Present(place) => Fact::Present(place),
            // An environment that could not be read is noted by the lists; the default place may still be the right one.
            Fact::Absent | Fact::Unobserved(Reason::NoProcess) => self.beneath_home(beneath_home),
            Fact::Unobserved(_) if self.target.environment.present().is_none() => self.beneath_home(beneath_home),
            Fact::Unobserved(reason) => Fact::Unobserved(reason),
        }
    }

    /// The path that a variable holds, with something appended.
    pub fn named(&self, name: &str, beneath: &str) -> Fact<Place> {
        variable(self.target, name).and_then(|value| {
            let path = match value.strip_prefix("~/") {
                Some(rest) => self.home.as_ref().map(|home| format!("{home}/{rest}")),
                None => Fact::Present(value.to_owned()),
            };
            path.and_then(|path| absolute(format!("{path}{beneath}"), name))
        })
    }

    /// A path beneath the home directory.
    pub fn beneath_home(&self, path: &str) -> Fact<Place> {
        self.home.as_ref().map(|home| Place {
            path: format!("{}/{path}", home.trim_end_matches('/')),
            named_by: "default".to_owned(),
        })
    }

    /// Looks at a file, keeps what was seen, and gives its bytes.
    pub fn read(&mut self, purpose: &str, place: &Place) -> Fact<Secret> {
        let (file, content) = self.look(purpose, place);
        self.seen.push(file);
        content
    }

    fn look(&self, purpose: &str, place: &Place) -> (CredentialFile, Fact<Secret>) {
        let root = self.target.root;
        let (path, named_by) = (place.path.clone(), place.named_by.clone());
        let file =
            CredentialFile { purpose: purpose.to_owned(), path: path.clone(), named_by, ..CredentialFile::default() };
        let seen = match root.look(&path) {
            Ok(seen) => seen,
            Err(LookError::NotFound { .. }) => {
                let (exists, mode, owner) = (Fact::Present(false), Fact::Absent, Fact::Absent);
                return (CredentialFile { exists, mode, owner, readable: Fact::Absent, ..file }, Fact::Absent);
            }
            Err(error) => return unseen(file, &reason(error)),
        };
        let (readable, content) = match incomplete(self.target) {
            Some(reason) => (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason)),
            None => (fact(root.effective_access(&path, Access::Read)), fact(root.read(&path, CAP)).map(Secret::new)),
        };
        let (mode, owner) = (Fact::Present(format!("{:04o}", seen.mode)), Fact::Present(seen.uid));
        (CredentialFile { exists: Fact::Present(true), mode, owner, readable, ..file }, content)
    }
}

fn unseen(file: CredentialFile, reason: &Reason) -> (CredentialFile, Fact<Secret>) {
    let file = CredentialFile {
        exists: Fact::Unobserved(reason.clone()),
        mode: Fact::Unobserved(reason.clone()),
        owner: Fact::Unobserved(reason.clone()),
        readable: Fact::Unobserved(reason.clone()),
        ..file
    };
    (file, Fact::Unobserved(reason.clone()))
}

/// A path that does not begin at the root depends on a working directory that nobody knows.
pub(super) fn absolute(path: String, named_by: &str) -> Fact<Place> {
    if path.starts_with('/') {
        return Fact::Present(Place { path, named_by: named_by.to_owned() });
    }
    Fact::Unobserved(Reason::NotEmulated { what: format!("the working directory, to which {named_by} is relative") })
}

/// Our own rights may be more than the target's: what they reach would be said of it wrongly.
fn incomplete(target: &Target<'_>) -> Option<Reason> {
    let missing = target.incomplete.join(", ");
    (!missing.is_empty()).then_some(Reason::IdentityIncomplete { missing })
}

/// `$HOME`; without it the passwd entry's.
pub(in crate::probe) fn home(target: &Target<'_>) -> Fact<String> {
    if let Fact::Present(home) = variable(target, "HOME") {
        return absolute(home.to_owned(), "HOME").map(|place| place.path);
    }
    if let (Fact::Present(_), Some(reason)) = (target.environment, target.unread(&["HOME"])) {
        return Fact::Unobserved(reason);
    }
    if let Some(reason) = incomplete(target) {
        return Fact::Unobserved(reason);
    }
    let uid = rustix::process::geteuid().as_raw();
    fact(target.root.read("/etc/passwd", PASSWD_CAP)).and_then(|text| {
        let entry = passwd::users(&text).into_iter().find(|entry| entry.uid == uid);
        entry.map(|entry| entry.home).filter(|home| home.starts_with('/')).into()
    })
}
