//! Credentials with the secrets beside them, for a signer in this very process. What goes into a snapshot is the entry alone.

use super::{Everything, everything};
use crate::probe::Target;
use crate::snapshot::List;
use crate::snapshot::facts::{Nix, RegistryLogin, S3Key};
use crate::snapshot::secret::Secret;

/// One entry of the facts, and what must not leave this process.
pub struct Held<T> {
    /// What is kept of it.
    pub entry: T,
    /// The secret key, or the password; none where the entry has none.
    pub secret: Option<Secret>,
    /// The session token that goes with the key, if there is one.
    pub session: Option<Secret>,
    /// The name to log in with, where the facts may withhold it.
    pub user: Option<Secret>,
}

impl<T> Held<T> {
    /// An entry without secrets.
    pub fn bare(entry: T) -> Self {
        Self { entry, secret: None, session: None, user: None }
    }
}

/// The entries alone; the secrets are wiped.
pub(super) fn entries<T>(held: List<Held<T>>) -> List<T> {
    List { items: held.items.into_iter().map(|held| held.entry).collect(), more: held.more }
}

/// What may be shown to an endpoint.
pub struct Purse {
    /// Keys for object stores, in the order of the facts.
    pub s3: Vec<Held<S3Key>>,
    /// Logins at registries, in the order of the facts.
    pub registries: Vec<Held<RegistryLogin>>,
}

/// Reads the credentials again, and keeps the secrets this time.
pub fn purse(target: &Target<'_>, nix: &Nix) -> Purse {
    let (Everything { s3, registries, .. }, _) = everything(target, nix);
    Purse { s3: s3.items, registries: registries.items }
}
