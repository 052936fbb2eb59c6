//! The passwd entry and the home directory (`passwd(5)`, `nsswitch.conf(5)`).
//!
//! Only the `files` source is read. Where it has no entry and another source could have one, the entry is unobserved.

use crate::formats::passwd::{self, User};
use crate::probe::{Target, fact, reason};
use crate::snapshot::facts::{Home, Passwd};
use crate::snapshot::{Fact, Reason};
use crate::sys::{Access, Kind, LookError};

const CAP: usize = 8 << 20;

/// The entry of this uid.
pub(super) fn passwd(target: &Target<'_>, uid: &Fact<u32>) -> Passwd {
    let entry = uid.as_ref().and_then(|uid| entry(target, *uid));
    Passwd {
        name: entry.as_ref().map(|user| user.name.clone()),
        gid: entry.as_ref().map(|user| user.gid),
        home: entry.as_ref().map(|user| user.home.clone()),
        shell: entry.map(|user| if user.shell.is_empty() { "/bin/sh".to_owned() } else { user.shell }),
    }
}

fn entry(target: &Target<'_>, uid: u32) -> Fact<User> {
    let sources = sources(target);
    let found = match target.root.read("/etc/passwd", CAP) {
        Ok(text) => passwd::users(&text).into_iter().find(|user| user.uid == uid),
        Err(LookError::NotFound { .. }) => None,
        Err(error) => return Fact::Unobserved(reason(error)),
    };
    let sources = match sources {
        Ok(sources) => sources,
        Err(reason) => return Fact::Unobserved(reason),
    };
    let reads_files = sources.iter().any(|source| source == "files" || source == "compat");
    let other = sources.iter().find(|source| !matches!(source.as_str(), "files"));
    match (found, other) {
        (Some(user), _) if reads_files => Fact::Present(user),
        (_, Some(source)) => {
            Fact::Unobserved(Reason::NotEmulated { what: format!("the NSS module {source} for passwd") })
        }
        (_, None) => Fact::Absent,
    }
}

/// The sources of passwd, in order; glibc's default is `files`. musl reads `/etc/passwd` and knows no such file.
fn sources(target: &Target<'_>) -> Result<Vec<String>, Reason> {
    let text = match target.root.read("/etc/nsswitch.conf", CAP) {
        Ok(text) => text,
        Err(LookError::NotFound { .. }) => Vec::new(),
        Err(error) => return Err(reason(error)),
    };
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let line = lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.trim() == "passwd");
    let Some((_, services)) = line else { return Ok(vec!["files".to_owned()]) };
    let mut plain = String::new();
    let mut depth = 0_u32;
    for letter in services.chars() {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    Ok(plain.split_ascii_whitespace().map(str::to_owned).collect())
}

/// The home directory: `$HOME`, else the passwd entry's.
pub(super) fn observe(target: &Target<'_>, passwd: &Passwd) -> Home {
    let variable = target.variable("HOME").map(str::to_owned);
    let (path, source) = match variable {
        Fact::Present(path) if !path.is_empty() => (Fact::Present(path), "environment"),
        // A user without a process gets HOME from passwd when one starts (login(1), sudo(8), systemd.exec(5) with User=).
        Fact::Unobserved(reason) if target.live => (Fact::Unobserved(reason), "environment"),
        Fact::Present(_) | Fact::Absent | Fact::Unobserved(_) => (passwd.home.clone(), "passwd"),
    };
    let source = path.as_ref().map(|_| source.to_owned());
    let (exists, owner, writable) = match &path {
        Fact::Present(path) if path.starts_with('/') => directory(target, path),
        Fact::Present(path) => {
            let reason =
                Reason::NotEmulated { what: format!("the working directory, which the home {path:?} is relative to") };
            (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason.clone()), Fact::Unobserved(reason))
        }
        Fact::Absent => (Fact::Absent, Fact::Absent, Fact::Absent),
        Fact::Unobserved(reason) => {
            (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason.clone()), Fact::Unobserved(reason.clone()))
        }
    };
    Home { path, source, exists, owner, writable }
}

fn directory(target: &Target<'_>, path: &str) -> (Fact<bool>, Fact<u32>, Fact<bool>) {
    let seen = match fact(target.root.look(path)) {
        Fact::Present(seen) => seen,
        Fact::Absent => return (Fact::Present(false), Fact::Absent, Fact::Absent),
        Fact::Unobserved(reason) => {
            return (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason.clone()), Fact::Unobserved(reason));
        }
    };
    let writable = if !target.incomplete.is_empty() {
        Fact::Unobserved(Reason::IdentityIncomplete { missing: target.incomplete.join(", ") })
    } else if seen.kind != Kind::Directory {
        Fact::Present(false)
    } else {
        let may = |right| fact(target.root.effective_access(path, right));
        may(Access::Write).and_then(|write| may(Access::Execute).map(|search| write && search))
    };
    (Fact::Present(true), Fact::Present(seen.uid), writable)
}
