//! The private keys that ssh would offer: whether they are there and can be used, and their public halves. The secret half is not parsed.

use super::client::Connection;
use super::named::Named;
use crate::formats::{known_hosts, openssh_key};
use crate::probe::{Target, fact, reason};
use crate::snapshot::facts::SshIdentity;
use crate::snapshot::secret::Secret;
use crate::snapshot::{Fact, Reason};
use crate::sys::{Access, Kind, LookError};

/// No key is longer.
const CAP: usize = 64 << 10;

/// The keys for one address, and why there may be further ones; that matters only while none of them, and no agent, can be used.
pub fn observe(target: &Target<'_>, named: &Named, connection: &Connection) -> (Vec<SshIdentity>, Option<Reason>) {
    let mut more = connection.more_identities.clone();
    let mut all = Vec::new();
    for offered in &connection.identities {
        let path = match &offered.path {
            Fact::Present(path) => path,
            Fact::Absent => continue,
            Fact::Unobserved(reason) => {
                more.get_or_insert(reason.clone());
                continue;
            }
        };
        // Of the defaults those that are there say something.
        if offered.named_by == "default" && matches!(target.root.look(path), Err(LookError::NotFound { .. })) {
            continue;
        }
        let mut identity = one(target, path);
        identity.url = named.url.clone();
        identity.endpoint_named_by = named.named_by.to_owned();
        identity.named_by = offered.named_by.to_owned();
        identity.origin = offered.origin.clone().into();
        all.push(identity);
    }
    // Where ssh has what it needs, it does not matter what else it would offer.
    if any(all.iter().map(|identity| &identity.usable).chain([&connection.agent])) == Fact::Present(true) {
        more = None;
    }
    let further = more.clone().map_or(Fact::Present(false), Fact::Unobserved);
    let usable: Vec<Fact<bool>> = all.iter().map(|identity| identity.usable.clone()).collect();
    for (index, identity) in all.iter_mut().enumerate() {
        let others = usable.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, usable)| usable);
        identity.alternative = any(others.chain([&connection.agent, &further]));
    }
    (all, more)
}

/// One that is settles it; one that is not known leaves it open.
fn any<'a>(facts: impl Iterator<Item = &'a Fact<bool>>) -> Fact<bool> {
    let mut result = Fact::Present(false);
    for fact in facts {
        match fact {
            Fact::Present(true) => return Fact::Present(true),
            Fact::Unobserved(reason) => result = Fact::Unobserved(reason.clone()),
            Fact::Present(false) | Fact::Absent => {}
        }
    }
    result
}

fn one(target: &Target<'_>, path: &str) -> SshIdentity {
    let mut identity =
        SshIdentity { path: path.to_owned(), public_key: beside(target, path), ..SshIdentity::default() };
    let seen = match target.root.look(path) {
        Ok(seen) => seen,
        Err(LookError::NotFound { .. }) => {
            identity.exists = Fact::Present(false);
            (identity.readable, identity.too_open, identity.encrypted) = (Fact::Absent, Fact::Absent, Fact::Absent);
            identity.usable = Fact::Present(false);
            return identity;
        }
        Err(error) => {
            // A directory that may not be passed is a key that may not be read.
            let closed = matches!(&error, LookError::Refused { errno, .. } if errno == "EACCES");
            let reason = reason(error);
            identity.exists = Fact::Unobserved(reason.clone());
            identity.readable = if closed { Fact::Present(false) } else { Fact::Unobserved(reason.clone()) };
            (identity.too_open, identity.encrypted) =
                (Fact::Unobserved(reason.clone()), Fact::Unobserved(reason.clone()));
            identity.usable = identity.readable.clone();
            return identity;
        }
    };
    identity.exists = Fact::Present(true);
    identity.readable = if seen.kind == Kind::File {
        fact(target.root.effective_access(path, Access::Read))
    } else {
        Fact::Present(false)
    };
    // Only of its own files ssh looks at the permissions (`authfile.c`).
    let own = seen.uid == rustix::process::getuid().as_raw();
    identity.too_open = Fact::Present(own && seen.mode & 0o077 != 0);
    if identity.readable != Fact::Present(true) {
        identity.encrypted = identity.readable.clone().and_then(|_| Fact::Absent);
        identity.usable = identity.readable.clone();
        return identity;
    }
    read(target, path, &mut identity);
    identity
}

fn read(target: &Target<'_>, path: &str, identity: &mut SshIdentity) {
    let half = match target.root.read(path, CAP).map(Secret::new) {
        Ok(text) => openssh_key::public_half(text.expose()).ok_or_else(|| Reason::Malformed {
            path: path.to_owned(),
            line: None,
            detail: "not a private key".to_owned(),
        }),
        Err(error) => Err(reason(error)),
    };
    match half {
        Ok(half) => {
            identity.encrypted = Fact::Present(half.encrypted);
            identity.usable = Fact::Present(!half.encrypted && identity.too_open == Fact::Present(false));
            if let Some(key) = half.key {
                identity.public_key = Fact::Present(known_hosts::fingerprint(&key));
            }
        }
        Err(reason) => {
            identity.encrypted = Fact::Unobserved(reason.clone());
            let is_open = identity.too_open == Fact::Present(true);
            identity.usable = if is_open { Fact::Present(false) } else { Fact::Unobserved(reason) };
        }
    }
}

/// What the public key beside a private one says.
fn beside(target: &Target<'_>, path: &str) -> Fact<String> {
    fact(target.root.read(&format!("{path}.pub"), CAP)).and_then(|text| {
        let key = std::str::from_utf8(&text).ok().and_then(|text| known_hosts::public_key(text.trim_start()));
        key.map(|(_, key)| known_hosts::fingerprint(&key)).into()
    })
}
