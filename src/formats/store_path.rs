//! Store paths: their two parts, and the path that a content address gives (`src/libstore/path.cc`, `store-api.cc`: `makeStorePath`,
//! `makeFixedOutputPath`, `makeTextPath`). No I/O.

use sha2::{Digest, Sha256};

use super::nix_base32;
use super::nix_hash::{self, Algorithm, Hash};

/// The digits of the hash part.
const HASH: usize = 32;
/// The longest name (`StorePath::MaxPathLen`).
const MAX_NAME: usize = 211;

/// The base name of a store path. Ordered as Nix orders them: by the base name's bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StorePath(String);

impl StorePath {
    /// Reads `<hash>-<name>`.
    pub fn parse(base: &str) -> Option<Self> {
        let (hash, rest) = base.split_at_checked(HASH)?;
        let name = rest.strip_prefix('-')?;
        let known = |letter: u8| letter.is_ascii_alphanumeric() || b"+-._?=".contains(&letter);
        let is_name = !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(known);
        (nix_base32::is_digits(hash) && is_name).then(|| Self(base.to_owned()))
    }

    /// Reads a whole path: its directory and its base name.
    pub fn with_directory(path: &str) -> Option<(String, Self)> {
        let (directory, base) = path.rsplit_once('/')?;
        (directory.starts_with('/') && directory.len() > 1).then_some(())?;
        Some((directory.to_owned(), Self::parse(base)?))
    }

    /// `<hash>-<name>`.
    pub fn base_name(&self) -> String {
        self.0.clone()
    }

    /// The 32 digits under which a cache keeps it.
    pub fn hash_part(&self) -> &str {
        self.0.get(..HASH).unwrap_or_default()
    }

    /// What follows the hash.
    pub fn name(&self) -> &str {
        self.0.get(HASH + 1..).unwrap_or_default()
    }

    /// The whole path.
    pub fn within(&self, store: &str) -> String {
        format!("{store}/{}", self.0)
    }
}

/// Whether the content address, over these references, gives this very path. `None` for an address of a form that is not known.
pub fn is_addressed_by(store: &str, path: &StorePath, references: &[StorePath], address: &str) -> Option<bool> {
    let (method, rest) = address.split_once(':')?;
    let (others, has_self) = (references.iter().filter(|other| *other != path), references.contains(path));
    let others: Vec<&StorePath> = others.collect();
    let made = match method {
        "text" => {
            let hash = nix_hash::parse(rest).filter(|hash| hash.algorithm == Algorithm::Sha256)?;
            let all: Vec<&StorePath> = references.iter().collect();
            make(store, &kind("text", store, &all, false), &hash, path.name())
        }
        "fixed" => {
            let (recursive, hash) = rest.strip_prefix("r:").map_or((false, rest), |hash| (true, hash));
            let hash = nix_hash::parse(hash)?;
            if recursive && hash.algorithm == Algorithm::Sha256 {
                make(store, &kind("source", store, &others, has_self), &hash, path.name())
            } else if references.is_empty() {
                let method = if recursive { "r:" } else { "" };
                let inner = format!("fixed:out:{method}{}:{}:", hash.algorithm.word(), hash.base16());
                let bytes = Sha256::digest(inner.as_bytes()).to_vec();
                make(store, "output:out", &Hash { algorithm: Algorithm::Sha256, bytes }, path.name())
            } else {
                // Nix makes no such path.
                return Some(false);
            }
        }
        _ => return None,
    };
    Some(made == path.0)
}

fn kind(word: &str, store: &str, references: &[&StorePath], has_self: bool) -> String {
    let mut kind = word.to_owned();
    for reference in references {
        kind.push(':');
        kind.push_str(&reference.within(store));
    }
    if has_self {
        kind.push_str(":self");
    }
    kind
}

/// The base name: the digest of the description, folded to 20 bytes.
fn make(store: &str, kind: &str, hash: &Hash, name: &str) -> String {
    let described = format!("{kind}:{}:{}:{store}:{name}", hash.algorithm.word(), hash.base16());
    let mut folded = [0_u8; 20];
    for (at, byte) in Sha256::digest(described.as_bytes()).iter().enumerate() {
        if let Some(slot) = folded.get_mut(at % 20) {
            *slot ^= byte;
        }
    }
    format!("{}-{name}", nix_base32::encode(&folded))
}

#[cfg(test)]
mod tests {
    use super::{StorePath, is_addressed_by};

    #[test]
    fn a_store_path_has_32_digits_and_a_name() {
        let read = StorePath::with_directory("/nix/store/00000000000000000000000000000000-demo-1.0").unwrap();
        assert_eq!((read.0.as_str(), read.1.name()), ("/nix/store", "demo-1.0"));
        for wrong in ["demo", "0000-demo", "e0000000000000000000000000000000-demo", "00000000000000000000000000000000-"]
        {
            assert_eq!(StorePath::parse(wrong), None, "{wrong}");
        }
        assert_eq!(StorePath::with_directory("/00000000000000000000000000000000-demo"), None);
    }

    #[test]
    fn a_content_address_of_an_unknown_form_is_not_judged() {
        let path = StorePath::parse("00000000000000000000000000000000-demo").unwrap();
        assert_eq!(is_addressed_by("/nix/store", &path, &[], "git:sha1:x"), None);
        let empty = "text:sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
        assert_eq!(is_addressed_by("/nix/store", &path, &[], empty), Some(false));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(path: String, address: String) {
            let _ = StorePath::with_directory(&path);
            let known = StorePath::parse("00000000000000000000000000000000-demo").unwrap();
            let _ = is_addressed_by("/nix/store", &known, std::slice::from_ref(&known), &address);
        }
    }
}
