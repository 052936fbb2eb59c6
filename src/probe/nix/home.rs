//! Nix's own rule for the home directory (`src/libutil/users.cc`, `getHome`): `HOME` where it does not exist yet or belongs to the
//! effective uid, else the one in the user database. So `sudo` that keeps `HOME` does not make root read the user's files. Releases to 2.8
//! take `HOME` as it is.

use crate::formats::passwd;
use crate::probe::store::client;
use crate::probe::{Target, reason};
use crate::snapshot::{Fact, Reason};
use crate::sys::LookError;

/// The most that is read of passwd and group.
pub(super) const CAP: usize = 4 << 20;

/// The home directory that Nix uses here. For a context without an environment the one of the user database, which a login makes `HOME`.
pub(crate) fn of(target: &Target<'_>) -> Result<String, Reason> {
    if !target.incomplete.is_empty() {
        return Err(Reason::IdentityIncomplete { missing: target.incomplete.join(", ") });
    }
    let uid = rustix::process::geteuid().as_raw();
    if let (Fact::Present(_), Some(reason)) = (target.environment, target.unread(&["HOME"])) {
        return Err(reason);
    }
    if let Some(home) = target.variable("HOME").present()
        && (is_own(target, home, uid)? || takes_any(target)?)
    {
        return Ok((*home).to_owned());
    }
    let text = target.root.read("/etc/passwd", CAP).map_err(reason)?;
    let user = passwd::users(&text).into_iter().find(|user| user.uid == uid);
    user.map(|user| user.home).ok_or_else(|| Reason::NotEmulated {
        what: format!("the account of uid {uid}, which /etc/passwd does not have"),
    })
}

/// Whether a directory does not exist yet, or belongs to this uid. One that may not be looked at counts as another's.
fn is_own(target: &Target<'_>, home: &str, uid: u32) -> Result<bool, Reason> {
    match target.root.look(home) {
        Ok(seen) => Ok(seen.uid == uid),
        Err(LookError::NotFound { .. }) => Ok(true),
        Err(LookError::Refused { errno, .. }) if errno == "EACCES" => Ok(false),
        Err(error) => Err(reason(error)),
    }
}

/// Whether this release takes a `HOME` that belongs to somebody else: 2.8 does (its own answer in the tests), 2.14 does not any more.
fn takes_any(target: &Target<'_>) -> Result<bool, Reason> {
    match client::release(target) {
        Some((2, ..=8)) => Ok(true),
        Some((2, 14..) | (3.., _)) => Ok(false),
        _ => Err(Reason::NotEmulated { what: "a HOME of another user in an unknown release of Nix".to_owned() }),
    }
}
