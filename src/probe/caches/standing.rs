//! What the signatures of a served path are worth: to the keys in use here, and whose they are of all keys of the run. Mirrors `ValidPathInfo::checkSignatures`
//! (`src/libstore/path-info.cc`): a path that its content address gives needs none, and one good signature is enough.

use crate::formats::narinfo::NarInfo;
use crate::formats::nix_signature::{self, PublicKey, Signed};
use crate::formats::store_path;
use crate::snapshot::facts::{PathSignature, ServedPath, TrustedKey};
use crate::snapshot::{Fact, List, Reason};

/// The most signatures of one path that are looked at.
const MAX_SIGNATURES: usize = 32;
/// The longest name of a key that is kept.
const LONGEST: usize = 200;

/// The keys of this context and of the run.
#[derive(Debug, Clone)]
pub struct Keys {
    in_use: Vec<PublicKey>,
    all: Vec<PublicKey>,
    /// Why there may be further keys in use here.
    more: Option<Reason>,
}

impl Keys {
    pub fn new(own: &Fact<List<TrustedKey>>, others: &[String]) -> Self {
        let own_items = own.present().map(|list| list.items.as_slice()).unwrap_or_default();
        let read = |text: &str| PublicKey::parse(text).ok();
        let in_use: Vec<PublicKey> =
            own_items.iter().filter(|key| key.in_use).filter_map(|key| read(&key.text)).collect();
        let own_texts = own_items.iter().filter(|key| key.valid).map(|key| key.text.as_str());
        let mut all: Vec<PublicKey> = own_texts.chain(others.iter().map(String::as_str)).filter_map(read).collect();
        all.sort_by_key(PublicKey::text);
        all.dedup();
        let more = own.reason().cloned().or_else(|| own.present().and_then(|list| list.more.clone()));
        Self { in_use, all, more }
    }

    /// Says what a narinfo is worth.
    pub fn judge(&self, info: &NarInfo) -> ServedPath {
        let signed = nix_signature::fingerprint(info);
        let by_content = by_content(info);
        let texts = info.signatures.iter().take(MAX_SIGNATURES);
        let signatures: Vec<PathSignature> = texts.map(|text| self.signature(text, &signed)).collect();
        let trusted = signatures.iter().any(|signature| signature.standing == "trusted");
        let acceptable = match (&by_content, trusted) {
            (Fact::Present(true), _) | (_, true) => Fact::Present(true),
            (Fact::Unobserved(reason), false) => Fact::Unobserved(reason.clone()),
            (Fact::Present(false) | Fact::Absent, false) => match &self.more {
                Some(reason) => Fact::Unobserved(reason.clone()),
                None if info.signatures.len() > MAX_SIGNATURES => Fact::Unobserved(too_many()),
                None => Fact::Present(false),
            },
        };
        ServedPath {
            path: info.path.within(&info.store),
            standing: standing(&by_content, &signatures).to_owned(),
            content_addressed: by_content,
            signatures,
            acceptable,
        }
    }

    fn signature(&self, text: &str, signed: &str) -> PathSignature {
        let Ok(signature) = nix_signature::parse(text) else {
            let key = text.split(':').next().unwrap_or_default().chars().take(LONGEST).collect();
            return PathSignature {
                key,
                standing: "malformed".to_owned(),
                made_by: Fact::Present(List::complete(Vec::new())),
                not_by: Vec::new(),
            };
        };
        let of_name = |key: &&PublicKey| key.name == signature.key;
        let made = |key: &PublicKey| key.made(&signature.bytes, signed);
        let standing = match self.in_use.iter().find(of_name) {
            Some(key) if made(key) => "trusted",
            Some(_) => "other-bytes",
            None => "unknown-key",
        };
        let (made_by, not_by): (Vec<&PublicKey>, Vec<&PublicKey>) =
            self.all.iter().filter(of_name).partition(|key| made(key));
        let text = |keys: Vec<&PublicKey>| keys.into_iter().map(PublicKey::text).collect();
        PathSignature {
            standing: standing.to_owned(),
            made_by: Fact::Present(List { items: text(made_by), more: Some(unknown_to_the_run()) }),
            not_by: text(not_by),
            key: shortened(signature),
        }
    }
}

fn shortened(signature: Signed) -> String {
    signature.key.chars().take(LONGEST).collect()
}

/// Another host may have the key that made it.
fn unknown_to_the_run() -> Reason {
    Reason::NotEmulated { what: "a key that no context of that run had".to_owned() }
}

fn too_many() -> Reason {
    Reason::Truncated { at: MAX_SIGNATURES as u64, what: "the signatures of the path".to_owned() }
}

fn by_content(info: &NarInfo) -> Fact<bool> {
    let Some(address) = &info.content_address else { return Fact::Present(false) };
    match store_path::is_addressed_by(&info.store, &info.path, &info.references, address) {
        Some(is_so) => Fact::Present(is_so),
        None => Fact::Unobserved(Reason::NotEmulated { what: "a content address of an unknown form".to_owned() }),
    }
}

/// The best of them, in one word.
fn standing<'a>(by_content: &Fact<bool>, signatures: &'a [PathSignature]) -> &'a str {
    if *by_content == Fact::Present(true) {
        return "content-addressed";
    }
    let words = ["trusted", "other-bytes", "unknown-key", "malformed"];
    let has = |word: &&&str| signatures.iter().any(|signature| signature.standing == **word);
    words.iter().find(has).copied().unwrap_or("unsigned")
}
