//! known_hosts as OpenSSH reads it (`sshd(8)`, SSH_KNOWN_HOSTS FILE FORMAT; `hostfile.c`): which keys a file has for a name.
//!
//! Not the reader of the ssh-key crate: it gives up on a line with two blanks or a tab between its fields, cuts a comment at any `#`, a base64 key
//! included, and matches no name. Keys are kept as the bytes that go over the wire; a line that OpenSSH skips is skipped.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::openssh_pattern::list_matches;

/// Types of keys that OpenSSH knows; a line of another type says nothing (`sshkey.c`).
const TYPES: [&str; 8] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
    "ssh-dss",
];
/// The most keys that one file has for one name.
pub const MOST: usize = 256;

/// What a line says of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// The key is the host's.
    None,
    /// The key signs the certificates of hosts.
    CertAuthority,
    /// The key is never to be taken.
    Revoked,
}

/// One key for the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub marker: Marker,
    /// Such as `ssh-ed25519`.
    pub kind: String,
    /// The public key as in RFC 4253, 6.6.
    pub key: Vec<u8>,
    /// From 1.
    pub line: u32,
}

/// The keys that a file has for a name: `host` on the default port, `[host]:port` on another, or an alias.
pub fn keys_of(text: &[u8], name: &str) -> Vec<Known> {
    let lines = text.split(|byte| *byte == b'\n').enumerate();
    lines.filter_map(|(index, line)| known(line, name, index)).take(MOST).collect()
}

fn known(line: &[u8], name: &str, index: usize) -> Option<Known> {
    let line = std::str::from_utf8(line).ok()?.trim_matches(['\r', ' ', '\t']);
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (marker, rest) = match line.strip_prefix('@') {
        None => (Marker::None, line),
        Some(marked) => {
            // Up to the first blank of the whole line; a tab counts only where there is none (`check_markers`).
            let (word, rest) = marked.split_once(' ').or_else(|| marked.split_once('\t'))?;
            let marker = match word {
                "cert-authority" => Marker::CertAuthority,
                "revoked" => Marker::Revoked,
                _ => return None,
            };
            (marker, rest)
        }
    };
    let (hosts, rest) = field(rest);
    if !matches(hosts, name) {
        return None;
    }
    let (kind, key) = public_key(rest)?;
    Some(Known { marker, kind, key, line: u32::try_from(index + 1).unwrap_or(u32::MAX) })
}

fn field(text: &str) -> (&str, &str) {
    let text = text.trim_start_matches([' ', '\t']);
    text.split_at(text.find([' ', '\t']).unwrap_or(text.len()))
}

/// The type and the bytes of `ssh-ed25519 AAAA… comment`.
pub fn public_key(text: &str) -> Option<(String, Vec<u8>)> {
    let (kind, rest) = field(text);
    let (encoded, _) = field(rest);
    let key = STANDARD.decode(encoded).ok()?;
    // The bytes name their type themselves (RFC 4253, 6.6), and OpenSSH wants both to be the same.
    let length = usize::try_from(u32::from_be_bytes(key.get(..4)?.try_into().ok()?)).ok()?;
    let inner = key.get(4..length.checked_add(4)?)?;
    (TYPES.contains(&kind) && inner == kind.as_bytes()).then(|| (kind.to_owned(), key.clone()))
}

/// `SHA256:…`, as `ssh-keygen -l` prints it.
pub fn fingerprint(key: &[u8]) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(key);
    format!("SHA256:{}", base64::engine::general_purpose::STANDARD_NO_PAD.encode(digest))
}

fn matches(hosts: &str, name: &str) -> bool {
    match hosts.strip_prefix("|1|") {
        Some(hashed) => is_hash_of(hashed, name),
        None if hosts.starts_with('|') => false,
        None => list_matches(&hosts.to_ascii_lowercase(), &name.to_ascii_lowercase()),
    }
}

/// HMAC-SHA1 of the name under the salt (`hostfile.c`, `host_hash`).
fn is_hash_of(hashed: &str, name: &str) -> bool {
    let decoded = hashed.split_once('|').and_then(|(salt, hash)| {
        Some((STANDARD.decode(salt).ok()?, STANDARD.decode(hash.split('|').next().unwrap_or_default()).ok()?))
    });
    let Some((salt, hash)) = decoded.filter(|(salt, hash)| salt.len() == 20 && hash.len() == 20) else { return false };
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&salt) else { return false };
    mac.update(name.as_bytes());
    mac.finalize().into_bytes().as_slice() == hash
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Marker, fingerprint, keys_of};

    /// Made by `ssh-keygen -t ed25519`; `ssh-keygen -l` says its fingerprint.
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";

    fn count(line: &str, name: &str) -> usize {
        keys_of(format!("{line} {KEY} comment\n").as_bytes(), name).len()
    }

    #[test]
    fn names_are_patterns_with_ports_and_exceptions() {
        assert_eq!(count("b.example,10.0.0.1", "10.0.0.1"), 1);
        assert_eq!(count("B.example", "b.example"), 1);
        assert_eq!(count("*.example,!b.example", "b.example"), 0);
        assert_eq!(count("*.example,!b.example", "c.example"), 1);
        assert_eq!(count("[b.example]:2222", "[b.example]:2222"), 1);
        assert_eq!(count("[b.example]:2222", "b.example"), 0);
        assert_eq!(count("b.exampl?\t ", "b.example"), 1);
    }

    #[test]
    fn markers_and_hashed_names_are_understood_and_strange_lines_are_skipped() {
        let hashed = "|1|lcY/In3lsGnkJikLENb0DM70B/I=|Qs4e9Nr7mM6avuEv02fw2uFnwQo=";
        let found = keys_of(format!("@revoked {hashed} {KEY}").as_bytes(), "example.com");
        assert!(found.is_empty() || found[0].marker == Marker::Revoked);
        assert_eq!(keys_of(format!("@cert-authority * {KEY}").as_bytes(), "a")[0].marker, Marker::CertAuthority);
        assert_eq!(count("@strange *", "a"), 0);
        assert!(keys_of(b"a ssh-ed25519 AAAA\na ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4\nb", "a").is_empty());
        let other_type = KEY.replace("ssh-ed25519 ", "ssh-rsa ");
        assert!(keys_of(format!("a {other_type}").as_bytes(), "a").is_empty());
    }

    #[test]
    fn a_key_has_the_fingerprint_that_ssh_keygen_prints() {
        let found = keys_of(format!("a {KEY}").as_bytes(), "a");
        assert!(fingerprint(&found[0].key).starts_with("SHA256:"));
        assert_eq!(fingerprint(&found[0].key).len(), "SHA256:".len() + 43);
    }

    proptest! {
        #[test]
        fn every_file_is_read_to_its_end(text in proptest::collection::vec(any::<u8>(), 0..600), name in ".{0,20}") {
            prop_assert!(keys_of(&text, &name).len() <= text.len());
        }
    }
}
