//! Which credentials this context would use: keys for object stores, netrc entries, registry logins, and the files they stand in.
//!
//! Reads variables and the files that they or the home directory name, beneath the target's root. Nothing is sent anywhere and no
//! helper is run. Every secret stays in a [`Secret`](crate::snapshot::secret::Secret) or in memory that wipes itself; what leaves is
//! origin, public half and fingerprint. Must not judge, and must not put any text of a credential file into an origin or a reason.
//!
//! A user without a process has no environment. What he would find at the default places is looked at all the same, and such
//! lists are complete: the user database, not a variable, says where his home is. What a variable would decide (`credentials.aws`,
//! `chosen`) stays unobserved. A process whose environment could not be *read* may have further keys in it: those lists say so.

mod aws;
mod endpoints;
mod files;
mod held;
mod mc;
mod netrc;
mod registries;
#[cfg(test)]
mod tests;

use super::Target;
use crate::probe::runner::CacheKey;
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::{AwsChain, CredentialFile, Credentials, NetrcEntry, Nix, RegistryLogin, S3Key};
use crate::snapshot::secret::{Fingerprint, Secret};
use crate::snapshot::{Fact, List, Reason};
pub use endpoints::{account as account_of, substituter_endpoint};
use files::Files;
pub(in crate::probe) use files::home;
pub use held::{Held, Purse, purse};

/// What was read, the secrets still beside it.
struct Everything {
    s3: List<Held<S3Key>>,
    aws: AwsChain,
    netrc: List<NetrcEntry>,
    registries: List<Held<RegistryLogin>>,
    files: List<CredentialFile>,
}

/// Looks at everything. `nix` gives the `netrc-file` and the substituters.
pub fn observe(target: &Target<'_>, nix: &Nix) -> (Credentials, Vec<NamedEndpoint>) {
    let (everything, named) = everything(target, nix);
    let credentials = Credentials {
        s3: Fact::Present(held::entries(everything.s3)),
        aws: everything.aws,
        netrc: Fact::Present(everything.netrc),
        registries: Fact::Present(held::entries(everything.registries)),
        files: Fact::Present(everything.files),
    };
    (credentials, named)
}

fn everything(target: &Target<'_>, nix: &Nix) -> (Everything, Vec<NamedEndpoint>) {
    let mut files = Files::new(target);
    let mut named = Vec::new();
    let mut s3 = List { items: Vec::new(), more: unread_environment(target) };
    let aws = aws::observe(&mut files, &mut s3, &mut named);
    mc::observe(&mut files, &mut s3, &mut named);
    crate::probe::runner::add_keys(target, &mut s3, |found| runner_key(target, found));
    endpoints::substituters(nix, &mut named);
    let netrc = netrc::observe(&mut files, nix);
    let registries = registries::observe(&mut files);
    named.sort();
    named.dedup();
    (Everything { s3, aws, netrc, registries, files: files.seen() }, named)
}

/// The key of a runner's cache. The runner signs with it whatever the environment holds.
fn runner_key(target: &Target<'_>, found: CacheKey<'_>) -> Held<S3Key> {
    let endpoint = found.endpoint.as_deref().and_then(endpoints::normal).into();
    let entry = S3Key {
        provider: "gitlab-runner".to_owned(),
        name: found.short.to_owned(),
        access_key_id: key_id(Some(found.access_key), &found.origin),
        fingerprint: found.secret.as_ref().map_or(Fact::Absent, |secret| fingerprint(target, secret, "s3")),
        account: endpoints::account(target, &endpoint),
        endpoint,
        region: found.region.map(str::to_owned).into(),
        chosen: Fact::Present(false),
        placeholder: Fact::Present(false),
        origin: found.origin,
    };
    Held { secret: found.secret, ..Held::bare(entry) }
}

/// Why there may be variables that were not seen. A user without a process has none to see.
fn unread_environment(target: &Target<'_>) -> Option<Reason> {
    target.environment.reason().filter(|reason| **reason != Reason::NoProcess).cloned()
}

/// A variable that is set to something. The tools here take an empty one for unset.
fn variable<'a>(target: &'a Target<'_>, name: &str) -> Fact<&'a str> {
    target.variable(name).and_then(|value| if value.is_empty() { Fact::Absent } else { Fact::Present(value) })
}

/// The fingerprint of a secret; withheld in a run without a key.
fn fingerprint(target: &Target<'_>, secret: &Secret, purpose: &str) -> Fact<Fingerprint> {
    match target.key {
        Some(key) => Fact::Present(secret.fingerprint(key, purpose)),
        None => Fact::Unobserved(Reason::Withheld),
    }
}

/// Notes why a list may lack elements; the first reason stays.
fn lacks<T>(list: &mut List<T>, reason: Reason) {
    list.more.get_or_insert(reason);
}

/// The public half of a key. One that has the form of a secret key (generated ones have 40 characters or more, or signs of base64) was put
/// into the wrong place, and is not shown.
fn key_id(id: Option<&str>, origin: &str) -> Fact<String> {
    match id.filter(|id| !id.is_empty()) {
        None => Fact::Absent,
        Some(id) if id.len() >= 40 || id.contains(['/', '+', '=']) => Fact::Unobserved(Reason::Malformed {
            path: origin.to_owned(),
            line: None,
            detail: "the access key id has the form of a secret key".to_owned(),
        }),
        Some(id) => Fact::Present(id.to_owned()),
    }
}

/// The login name beside a password. Some hosts take a token in its place, or in both places; such a login is a secret and is not shown.
fn login_name(login: &str, password: Option<&secrecy::SecretString>, path: &str, line: Option<u32>) -> Fact<String> {
    let password = password.map(secrecy::ExposeSecret::expose_secret);
    if password.is_some_and(|password| password == login || password == "x-oauth-basic") || looks_like_token(login) {
        let detail = "the login has the form of a token".to_owned();
        return Fact::Unobserved(Reason::Malformed { path: path.to_owned(), line, detail });
    }
    Fact::Present(login.to_owned())
}

/// Prefixes as GitHub and GitLab document them, and JWT; or as long as no name that a person was given.
fn looks_like_token(login: &str) -> bool {
    const PREFIXES: [&str; 7] = ["ghp_", "gho_", "ghu_", "ghs_", "github_pat_", "glpat-", "eyJ"];
    const LONG: usize = 32;
    let of_tokens = |letter: char| letter.is_ascii_alphanumeric() || "_-.=+/".contains(letter);
    PREFIXES.iter().any(|prefix| login.starts_with(prefix)) || (login.len() >= LONG && login.chars().all(of_tokens))
}

/// The first elements; that there are more is noted.
fn capped<T, U>(list: &mut List<T>, mut elements: Vec<U>, path: &str) -> Vec<U> {
    const MOST: usize = 1024;
    if elements.len() > MOST {
        elements.truncate(MOST);
        lacks(list, Reason::Truncated { at: MOST as u64, what: format!("entries of {path}") });
    }
    elements
}

/// A place in a file, as origins are written.
fn place(path: &str, line: Option<u32>) -> String {
    line.map_or_else(|| path.to_owned(), |line| format!("{path}:{line}"))
}
