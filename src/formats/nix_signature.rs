//! Signatures of store paths: key texts, the fingerprint that is signed, and whether a key signed it (`src/libstore/crypto.cc`, `path-info.cc`).
//!
//! Nix finds the key by its name alone: a key of the same name with other bytes refuses what the old one signed, without a hint. No I/O.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use ed25519_dalek::{Signature, VerifyingKey};

use zeroize::Zeroizing;

use super::narinfo::NarInfo;

/// A public key, `name:base64` of 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    pub name: String,
    bytes: [u8; 32],
}

/// What is wrong with a text that should be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("is not `name:base64`")]
    Form,
    #[error("has not the length of a key")]
    Length,
}

impl PublicKey {
    /// Reads what stands in `trusted-public-keys`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, encoded) = split(text).ok_or(KeyError::Form)?;
        let bytes = decode(encoded)?;
        Ok(Self { name: name.to_owned(), bytes: bytes.as_slice().try_into().map_err(|_| KeyError::Length)? })
    }

    /// The public half of a secret key file, `name:base64` of the seed and the public key.
    pub fn of_secret(text: &str) -> Result<Self, KeyError> {
        let (name, encoded) = split(text.trim_end()).ok_or(KeyError::Form)?;
        let bytes = decode(encoded)?;
        let public = bytes.get(32..64).filter(|_| bytes.len() == 64).ok_or(KeyError::Length)?;
        Ok(Self { name: name.to_owned(), bytes: public.try_into().map_err(|_| KeyError::Length)? })
    }

    /// `name:base64`.
    pub fn text(&self) -> String {
        format!("{}:{}", self.name, STANDARD.encode(self.bytes))
    }

    /// Whether this key made this signature of this text. The name is not looked at.
    pub fn made(&self, signature: &[u8; 64], signed: &str) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(&self.bytes) else { return false };
        // As libsodium, which Nix asks: points of small order are refused.
        key.verify_strict(signed.as_bytes(), &Signature::from_bytes(signature)).is_ok()
    }
}

/// A signature, `name:base64` of 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The key's name.
    pub key: String,
    pub bytes: [u8; 64],
}

/// Reads what stands behind `Sig:`.
pub fn parse(text: &str) -> Result<Signed, KeyError> {
    let (key, encoded) = split(text).ok_or(KeyError::Form)?;
    let bytes = decode(encoded)?;
    Ok(Signed { key: key.to_owned(), bytes: bytes.as_slice().try_into().map_err(|_| KeyError::Length)? })
}

/// As Nix reads it (`src/libutil/util.cc`, base64Decode): the first `=` ends it, whether it is due or not, and what is behind it is not looked at.
fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let digits = text.split('=').next().unwrap_or_default();
    LENIENT.decode(digits).map(Zeroizing::new).map_err(|_| KeyError::Form)
}

/// The text that is signed.
pub fn fingerprint(info: &NarInfo) -> String {
    let references: Vec<String> = info.references.iter().map(|path| path.within(&info.store)).collect();
    let (path, hash) = (info.path.within(&info.store), info.nar_hash.base32());
    format!("1;{path};{hash};{};{}", info.nar_size, references.join(","))
}

/// Name and rest, at the first colon; neither is empty.
fn split(text: &str) -> Option<(&str, &str)> {
    text.split_once(':').filter(|(name, rest)| !name.is_empty() && !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{KeyError, PublicKey, fingerprint, parse};
    use crate::formats::narinfo::{self, NarInfo};
    use ed25519_dalek::{Signer, SigningKey};

    const PUBLIC: &str = "demo-1:A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
    const SIGNATURE: &str =
        "demo-1:b0ANYNNGJKN8JkPdUzPCY1zhMeaXeW8BIuTluLRIlCb9vT7P2oDxTqK5v98spwDOYThODg9SAiUbhhU2fyfuAg==";
    const SIGNED: &str = "1;/nix/store/00000000000000000000000000000000-demo;sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73;0;\
        /nix/store/11111111111111111111111111111111-dep-a,/nix/store/22222222222222222222222222222222-dep-b";

    fn info(size: u64) -> NarInfo {
        let text = format!(
            "StorePath: /nix/store/00000000000000000000000000000000-demo\nURL: x\nNarSize: {size}\n\
             NarHash: sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73\n\
             References: 22222222222222222222222222222222-dep-b 11111111111111111111111111111111-dep-a\n"
        );
        narinfo::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_fingerprint_is_the_text_that_nix_signs() {
        assert_eq!(fingerprint(&NarInfo { nar_size: 0, ..info(1) }), SIGNED);
    }

    #[test]
    fn a_signature_is_made_by_its_key_over_its_text_and_no_other() {
        let (key, signature) = (PublicKey::parse(PUBLIC).unwrap(), parse(SIGNATURE).unwrap());
        assert_eq!(signature.key, key.name);
        assert!(key.made(&signature.bytes, SIGNED));
        assert!(!key.made(&signature.bytes, &SIGNED.replace("dep-b", "dep-c")));
        let other = PublicKey { name: key.name, bytes: SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes() };
        assert!(!other.made(&signature.bytes, SIGNED), "the same name, other bytes");
    }

    #[test]
    fn a_secret_key_file_gives_its_public_half() {
        let secret =
            "demo-1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA==\n";
        assert_eq!(PublicKey::of_secret(secret).unwrap().text(), PUBLIC);
        assert_eq!(PublicKey::of_secret(PUBLIC), Err(KeyError::Length));
    }

    #[test]
    fn what_is_no_key_is_told_from_one_of_the_wrong_length() {
        for wrong in ["", "name", "name:", ":AAAA", "name:***"] {
            assert_eq!(PublicKey::parse(wrong), Err(KeyError::Form), "{wrong}");
        }
        assert_eq!(PublicKey::parse("name:AAAA"), Err(KeyError::Length));
    }

    proptest::proptest! {
        #[test]
        fn what_a_key_signs_it_verifies_and_a_changed_text_it_does_not(seed: [u8; 32], size in 1_u64.., change in 1_u64..) {
            let key = SigningKey::from_bytes(&seed);
            let public = PublicKey { name: "k".into(), bytes: key.verifying_key().to_bytes() };
            let signature = key.sign(fingerprint(&info(size)).as_bytes()).to_bytes();
            proptest::prop_assert!(public.made(&signature, &fingerprint(&info(size))));
            let changed = info(size.wrapping_add(change).max(1));
            proptest::prop_assert_eq!(public.made(&signature, &fingerprint(&changed)), changed.nar_size == size);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            let _ = (PublicKey::parse(&text), PublicKey::of_secret(&text), parse(&text));
        }
    }
}
