//! Secrets: a type that can be read from a file and fingerprinted, and nothing else.
//!
//! [`Secret`] has no `Display`, `Serialize`, `Debug` or `Clone`, and wipes its memory. What may be kept of it is a
//! [`Fingerprint`]: HMAC-SHA-256 (RFC 2104, FIPS 180-4) under a [`RunKey`] that is drawn for one run, is held only by the
//! processes of that run and is never written. Two fingerprints of one run are equal exactly when the secrets are; across
//! runs they say nothing, and recorded snapshots hold none.

use hmac::{Hmac, KeyInit, Mac};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretSlice};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Bytes that must not leave the process.
pub struct Secret(SecretSlice<u8>);

impl Secret {
    /// Takes the bytes over; the caller's copy is gone.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(SecretSlice::from(bytes))
    }

    /// The bytes, for a parser or a signer. Never format them.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// The bytes as text, if they are UTF-8.
    pub fn expose_str(&self) -> Option<&str> {
        std::str::from_utf8(self.expose()).ok()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }

    /// The fingerprint under the key of this run. `purpose` separates kinds, so that a password never equals a token by chance.
    pub fn fingerprint(&self, key: &RunKey, purpose: &str) -> Fingerprint {
        let mut mac = match Hmac::<Sha256>::new_from_slice(key.0.expose_secret()) {
            Ok(mac) => mac,
            // HMAC takes keys of any length (RFC 2104, section 2).
            Err(_) => unreachable!("HMAC takes a key of any length"),
        };
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(self.expose());
        let digest = mac.finalize().into_bytes();
        Fingerprint(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes().to_vec())
    }
}

/// The key of one run.
pub struct RunKey(SecretSlice<u8>);

impl RunKey {
    /// `bytes` come from the kernel's random source.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(SecretSlice::from(bytes))
    }

    /// The bytes, for handing the key to a child of the same run through a pipe.
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// What only a holder of this key can say to a challenge, in hexadecimal. Never equal to a fingerprint of the same bytes.
    pub fn answer(&self, challenge: &[u8]) -> String {
        Secret::new(challenge.to_vec()).fingerprint(self, "challenge of a run").0
    }
}

/// What may be kept of a secret during one run: equal fingerprints mean equal secrets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Fingerprint(String);

#[cfg(test)]
mod tests {
    use super::{RunKey, Secret};

    #[test]
    fn equal_secrets_of_one_run_have_equal_fingerprints_and_other_runs_do_not() {
        let (one, two) = (RunKey::new(vec![1; 32]), RunKey::new(vec![2; 32]));
        let print = |key: &RunKey, text: &str, purpose: &str| Secret::from(text).fingerprint(key, purpose);
        assert_eq!(print(&one, "s", "s3"), print(&one, "s", "s3"));
        assert_ne!(print(&one, "s", "s3"), print(&two, "s", "s3"));
        assert_ne!(print(&one, "s", "s3"), print(&one, "t", "s3"));
        assert_ne!(print(&one, "s", "s3"), print(&one, "s", "netrc"));
    }
}
