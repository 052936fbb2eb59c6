//! Hashes as Nix reads them (`src/libutil/hash.cc`, `Hash::parseAnyPrefixed`): `sha256:` with base 16, Nix's base 32 or base 64, or SRI `sha256-…`.
//! No I/O.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::nix_base32;

/// The algorithm of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

impl Algorithm {
    const ALL: [Self; 4] = [Self::Md5, Self::Sha1, Self::Sha256, Self::Sha512];

    /// As Nix writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn size(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// A hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hash {
    pub algorithm: Algorithm,
    /// As many as the algorithm has.
    pub bytes: Vec<u8>,
}

impl Hash {
    /// `sha256:` and Nix's base 32, the form in which it is signed.
    pub fn base32(&self) -> String {
        format!("{}:{}", self.algorithm.word(), nix_base32::encode(&self.bytes))
    }

    /// Lower-case hexadecimal, without the algorithm.
    pub fn base16(&self) -> String {
        self.bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Reads a hash with its algorithm before it; nothing where it is none.
pub fn parse(text: &str) -> Option<Hash> {
    let at = text.find([':', '-'])?;
    let (name, digits) = (text.get(..at)?, text.get(at + 1..)?);
    let algorithm = Algorithm::ALL.into_iter().find(|known| known.word() == name)?;
    let size = algorithm.size();
    let of_base64 = || STANDARD.decode(digits).ok().filter(|bytes| bytes.len() == size);
    let bytes = if text.as_bytes().get(at) == Some(&b'-') {
        of_base64()?
    } else if digits.len() == size * 2 {
        base16(digits)?
    } else if digits.len() == (size * 8).div_ceil(5) {
        nix_base32::decode(digits, size)?
    } else {
        of_base64()?
    };
    Some(Hash { algorithm, bytes })
}

fn base16(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    text.as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn one_hash_has_four_spellings() {
        let spellings = [
            "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        ];
        for text in spellings {
            assert_eq!(parse(text).map(|hash| hash.base32()).as_deref(), Some(spellings[0]), "{text}");
        }
    }

    #[test]
    fn what_is_no_hash_is_none() {
        for text in ["", "sha256", "sha256:", "sha3:00", "sha256:zz", "md5-AAAA", "sha256:0mdq"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            let _ = parse(&text);
        }
    }
}
