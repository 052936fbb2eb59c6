//! Nix's own rule for the home directory (`src/libutil/users.cc`, `getHome`): `HOME` where it does not exist yet or belongs to the
//! effective uid, else the one in the user database. So `sudo` that keeps `HOME` does not make root read the user's files.

use crate::formats::passwd;
use crate::probe::{Target, reason};
use crate::snapshot::Reason;
use crate::sys::LookError;

/// The most that is read of passwd and group.
pub(super) const CAP: usize = 4 << 20;

/// The home directory that Nix uses here. For a context without an environment the one of the user database, which a login makes `HOME`.
pub(crate) fn of(target: &Target<'_>) -> Result<String, Reason> {
    if !target.incomplete.is_empty() {
        return Err(Reason::IdentityIncomplete { missing: target.incomplete.join(", ") });
    }
    let uid = rustix::process::geteuid().as_raw();
    if let Some(home) = target.variable("HOME").present() {
        match target.root.look(home) {
            Ok(seen) if seen.uid != uid => {}
            Ok(_) | Err(LookError::NotFound { .. }) => return Ok((*home).to_owned()),
            // Nix warns and falls back as well.
            Err(LookError::Refused { errno, .. }) if errno == "EACCES" => {}
            Err(error) => return Err(reason(error)),
        }
    }
    let text = target.root.read("/etc/passwd", CAP).map_err(reason)?;
    let user = passwd::users(&text).into_iter().find(|user| user.uid == uid);
    user.map(|user| user.home).ok_or_else(|| Reason::NotEmulated {
        what: format!("the account of uid {uid}, which /etc/passwd does not have"),
    })
}
