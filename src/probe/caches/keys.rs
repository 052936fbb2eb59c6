//! The public keys by which Nix here judges signatures (`src/libstore/crypto.cc`, `getDefaultPublicKeys`). Of a secret key file only the public half is
//! kept; the rest is wiped.

use crate::formats::nix_signature::PublicKey;
use crate::probe::{Target, fact};
use crate::snapshot::facts::{Nix, TrustedKey};
use crate::snapshot::secret::Secret;
use crate::snapshot::{Fact, List, Reason};

/// A key file has about a hundred bytes.
const CAP: usize = 64 * 1024;
/// The most keys that are kept.
const MAX_KEYS: usize = 512;
/// The longest name of a text that is no key.
const LONGEST: usize = 80;

/// The keys, in Nix's order.
pub fn observe(target: &Target<'_>, nix: &Nix) -> Fact<List<TrustedKey>> {
    let texts = match &nix.trusted_public_keys {
        Fact::Present(texts) => texts,
        Fact::Absent => return Fact::Absent,
        Fact::Unobserved(reason) => return Fact::Unobserved(reason.clone()),
    };
    let mut list = List::complete(Vec::new());
    for text in texts {
        add(&mut list, PublicKey::parse(text).ok(), text, "trusted-public-keys");
    }
    of_secret_files(target, nix, &mut list);
    Fact::Present(list)
}

fn add(list: &mut List<TrustedKey>, key: Option<PublicKey>, text: &str, origin: &str) {
    if list.items.len() == MAX_KEYS {
        list.more = Some(Reason::Truncated { at: MAX_KEYS as u64, what: "the trusted keys".into() });
        return;
    }
    // A text without the form of a public key may be a secret one in the wrong place.
    let shown = || text.split_once(':').map_or("(no name)", |(name, _)| name).chars().take(LONGEST).collect();
    let taken = key.as_ref().is_some_and(|key| list.items.iter().any(|one| one.name.present() == Some(&key.name)));
    list.items.push(TrustedKey {
        text: key.as_ref().map_or_else(shown, PublicKey::text),
        valid: key.is_some(),
        in_use: key.is_some() && !taken,
        name: key.map(|key| key.name).into(),
        origin: origin.to_owned(),
    });
}

fn of_secret_files(target: &Target<'_>, nix: &Nix, list: &mut List<TrustedKey>) {
    let setting = match &nix.settings {
        Fact::Present(settings) => {
            let found = settings.items.iter().find(|setting| setting.name == "secret-key-files");
            found.map_or(Fact::Absent, |setting| setting.value.clone())
        }
        Fact::Absent => Fact::Absent,
        Fact::Unobserved(reason) => Fact::Unobserved(reason.clone()),
    };
    let files = match setting {
        Fact::Present(files) => files,
        Fact::Absent => return,
        Fact::Unobserved(reason) => return list.more = Some(reason),
    };
    for path in files.split(' ').filter(|path| path.starts_with('/')) {
        if let Some(missing) = target.incomplete.first() {
            list.more = Some(Reason::IdentityIncomplete { missing: missing.clone() });
            return;
        }
        // Nix, too, passes over a file that it can't read.
        let Fact::Present(secret) = fact(target.root.read(path, CAP)).map(Secret::new) else { continue };
        match secret.expose_str().map(PublicKey::of_secret) {
            Some(Ok(key)) => add(list, Some(key), "", path),
            Some(Err(_)) | None => {
                let detail = "is no secret key file".to_owned();
                list.more = Some(Reason::Malformed { path: path.to_owned(), line: None, detail });
            }
        }
    }
}
