//! The machine's id, in a form of parallax's own (`machine-id(5)`, `sd_id128_get_machine_app_specific(3)`): equal where the ids are,
//! and useless for anything else. The id itself is not kept.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::probe::{Target, reason};
use crate::snapshot::{Fact, Reason};
use crate::sys::{LookError, Root};

const PATH: &str = "/etc/machine-id";
/// parallax's application id. Fixed for ever: snapshots of two versions are compared.
const APPLICATION: [u8; 16] =
    [0x7a, 0x1d, 0x0c, 0x52, 0x94, 0xe6, 0x4b, 0x1f, 0xa3, 0x38, 0x5d, 0xc9, 0x60, 0x2e, 0x81, 0xf7];

/// The id; absent where the file is missing, empty or `uninitialized`.
pub(super) fn observe(target: &Target<'_>) -> Fact<String> {
    let text = match target.root.read(PATH, 4096) {
        Ok(text) => text,
        Err(LookError::NotFound { .. }) => return Fact::Absent,
        Err(error) => return Fact::Unobserved(reason(error)),
    };
    match text.trim_ascii() {
        b"" | b"uninitialized" => Fact::Absent,
        id => bytes(id).map_or_else(
            || {
                Fact::Unobserved(Reason::Malformed {
                    path: PATH.into(),
                    line: Some(1),
                    detail: "not a machine id".into(),
                })
            },
            |id| Fact::Present(application_specific(id, APPLICATION)),
        ),
    }
}

/// A key that only this machine has, for one purpose: HMAC-SHA-256 of an application's id under the machine's. Absent and unobserved as the
/// id itself is.
pub fn key(root: &Root, application: [u8; 16]) -> Fact<Vec<u8>> {
    match root.read(PATH, 4096) {
        Ok(text) => bytes(text.trim_ascii()).map(|id| digest(id, application).to_vec()).into(),
        Err(LookError::NotFound { .. }) => Fact::Absent,
        Err(error) => Fact::Unobserved(reason(error)),
    }
}

fn bytes(text: &[u8]) -> Option<[u8; 16]> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() == 32 && text.is_ascii())?;
    let number = u128::from_str_radix(text, 16).ok().filter(|_| !text.starts_with('+'))?;
    Some(number.to_be_bytes())
}

/// HMAC-SHA-256 of the application's id under the machine's, cut to 16 bytes and marked as a random UUID.
fn application_specific(machine: [u8; 16], application: [u8; 16]) -> String {
    let mut id = [0_u8; 16];
    for (to, from) in id.iter_mut().zip(digest(machine, application)) {
        *to = from;
    }
    id[6] = (id[6] & 0x0f) | 0x40;
    id[8] = (id[8] & 0x3f) | 0x80;
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(machine: [u8; 16], application: [u8; 16]) -> [u8; 32] {
    let mut mac = match Hmac::<Sha256>::new_from_slice(&machine) {
        Ok(mac) => mac,
        // HMAC takes keys of any length (RFC 2104, section 2).
        Err(_) => unreachable!("HMAC takes a key of any length"),
    };
    mac.update(&application);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::{application_specific, bytes};

    #[test]
    fn the_application_specific_id_is_that_of_systemd() {
        // HMAC-SHA-256 computed with another implementation, then the two version fields set as systemd sets them.
        let machine = bytes(b"0123456789abcdef0123456789abcdef").expect("an id");
        let application = bytes(b"00112233445566778899aabbccddeeff").expect("an id");
        assert_eq!(application_specific(machine, application), "4e7a918525b94da8ad4b4f264a130726");
    }

    #[test]
    fn a_text_that_is_no_id_is_none() {
        assert_eq!(bytes(b"+123456789abcdef0123456789abcdef"), None);
        assert_eq!(bytes(b"0123"), None);
    }
}
