//! Base 32 as Nix writes hashes (`src/libutil/hash.cc`, `printHash32`, `parseHash32`): an alphabet without `e`, `o`, `t` and `u`, the most
//! significant digit first. No I/O.

const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// The digits of these bytes; five bits each.
pub fn encode(bytes: &[u8]) -> String {
    let length = (bytes.len() * 8).div_ceil(5);
    let byte = |at: usize| u16::from(bytes.get(at).copied().unwrap_or_default());
    let digit = |place: usize| {
        let (at, shift) = (place * 5 / 8, place * 5 % 8);
        let window = byte(at) | byte(at + 1) << 8;
        ALPHABET.get(usize::from(window >> shift & 31)).copied().map_or('0', char::from)
    };
    (0..length).rev().map(digit).collect()
}

/// The bytes of these digits, or nothing: another letter, another length than `size` bytes have, or bits beyond the last byte.
pub fn decode(text: &str, size: usize) -> Option<Vec<u8>> {
    if text.len() != (size * 8).div_ceil(5) {
        return None;
    }
    let mut bytes = vec![0_u8; size];
    for (place, letter) in text.bytes().rev().enumerate() {
        let value = u16::try_from(ALPHABET.iter().position(|known| *known == letter)?).ok()?;
        let (at, shift) = (place * 5 / 8, place * 5 % 8);
        let [low, high] = (value << shift).to_le_bytes();
        *bytes.get_mut(at)? |= low;
        match bytes.get_mut(at + 1) {
            Some(next) => *next |= high,
            None if high == 0 => {}
            None => return None,
        }
    }
    Some(bytes)
}

/// Whether every letter is a digit.
pub fn is_digits(text: &str) -> bool {
    text.bytes().all(|letter| ALPHABET.contains(&letter))
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};
    use sha2::{Digest, Sha256};

    #[test]
    fn hashes_are_written_as_nix_hash_writes_them() {
        assert_eq!(encode(&Sha256::digest(b"")), "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73");
        assert_eq!(encode(&Sha256::digest(b"coherence")), "00ghzylxxs76mri4f63hxmq02bskxfj488azhfwdyk67i5ig5xxj");
    }

    #[test]
    fn a_letter_outside_the_alphabet_and_a_wrong_length_are_refused() {
        let good = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
        assert!(decode(good, 32).is_some());
        assert!(decode(&good.replace('m', "e"), 32).is_none());
        assert!(decode(&good[1..], 32).is_none());
        // 52 digits have 260 bits; those beyond 256 must be nothing.
        assert!(decode(&good.replacen('0', "z", 1), 32).is_none());
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(bytes: Vec<u8>) {
            proptest::prop_assert_eq!(decode(&encode(&bytes), bytes.len()), Some(bytes));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text: String, size in 0_usize..64) {
            let _ = decode(&text, size);
        }
    }
}
