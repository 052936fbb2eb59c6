//! What a private key's file says without its secret: whether it is encrypted, and its public half (OpenSSH's `PROTOCOL.key`).
//!
//! The part that holds the secret is skipped, not parsed; what was decoded on the way is wiped.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The head of OpenSSH's own format.
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// What can be told of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicHalf {
    /// Whether a passphrase is needed to use it.
    pub encrypted: bool,
    /// The public key as in RFC 4253, 6.6; the older formats do not say it.
    pub key: Option<Vec<u8>>,
}

/// Reads the file; `None` for what is no private key.
pub fn public_half(text: &[u8]) -> Option<PublicHalf> {
    let text = std::str::from_utf8(text).ok()?;
    let (_, begun) = text.split_once("-----BEGIN ")?;
    let (kind, rest) = begun.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    match kind {
        "OPENSSH PRIVATE KEY" => own_format(body),
        "ENCRYPTED PRIVATE KEY" => Some(PublicHalf { encrypted: true, key: None }),
        // RFC 1421, 4.6.1.1.
        kind if kind.ends_with("PRIVATE KEY") => {
            Some(PublicHalf { encrypted: body.contains("Proc-Type: 4,ENCRYPTED"), key: None })
        }
        _ => None,
    }
}

fn own_format(body: &str) -> Option<PublicHalf> {
    let encoded: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    let bytes = Zeroizing::new(STANDARD.decode(encoded.as_bytes()).ok()?);
    let rest = bytes.strip_prefix(MAGIC)?;
    let (cipher, rest) = string(rest)?;
    let (_, rest) = string(rest)?;
    let (_, rest) = string(rest)?;
    let (count, rest) = rest.split_at_checked(4)?;
    if count != [0, 0, 0, 1] {
        return None;
    }
    let (key, _) = string(rest)?;
    Some(PublicHalf { encrypted: cipher != b"none", key: Some(key.to_vec()) })
}

/// A length of four bytes and that many (RFC 4251, 5).
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_at_checked(4)?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    rest.split_at_checked(usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PublicHalf, public_half};

    #[test]
    fn the_older_formats_say_whether_they_are_encrypted_and_nothing_else() {
        let plain = b"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(public_half(plain), Some(PublicHalf { encrypted: false, key: None }));
        let locked =
            b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIE\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(public_half(locked), Some(PublicHalf { encrypted: true, key: None }));
        assert_eq!(public_half(b"-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----\n"), None);
    }

    proptest! {
        #[test]
        fn every_file_is_read_to_its_end(inner in proptest::collection::vec(any::<u8>(), 0..300)) {
            use base64::Engine;
            let _ = public_half(&inner);
            let body = [super::MAGIC, inner.as_slice()].concat();
            let body = base64::engine::general_purpose::STANDARD.encode(body);
            let text = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n");
            if let Some(PublicHalf { key: Some(key), .. }) = public_half(text.as_bytes()) {
                prop_assert!(key.len() <= inner.len());
            }
        }
    }
}
