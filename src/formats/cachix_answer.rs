//! What a cachix server says of one cache, the JSON of `api/v1/cache/<name>` (`cachix-api/src/Cachix/Types/BinaryCache.hs`). Total. No I/O.

use serde::Deserialize;

/// The longest text that is kept.
const LONGEST: usize = 4096;
/// The most keys that are kept.
const MAX_KEYS: usize = 64;

/// What a server says of a cache; what it leaves out is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BinaryCache {
    /// `name:base64`, each.
    pub public_signing_keys: Option<Vec<String>>,
    pub is_public: Option<bool>,
    /// `Read`, `Write`, `Admin`.
    pub permission: Option<String>,
}

/// Reads the answer; nothing where it is none.
pub fn parse(text: &[u8]) -> Option<BinaryCache> {
    let cache: BinaryCache = serde_json::from_slice(text).ok()?;
    let keys = cache.public_signing_keys.as_deref().unwrap_or_default();
    let short = keys.len() <= MAX_KEYS && keys.iter().chain(&cache.permission).all(|text| text.len() <= LONGEST);
    short.then_some(cache)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_is_known_is_kept_and_what_is_new_is_passed_over() {
        let text = br#"{"name":"team","uri":"https://team.cachix.org","isPublic":false,"publicSigningKeys":["team.cachix.org-1:AAAA"],
            "githubUsername":"x","permission":"Write","preferredCompressionMethod":"ZSTD"}"#;
        let read = parse(text).unwrap();
        assert_eq!(read.public_signing_keys.as_deref(), Some(["team.cachix.org-1:AAAA".to_owned()].as_slice()));
        assert_eq!((read.is_public, read.permission.as_deref()), (Some(false), Some("Write")));
        assert_eq!(parse(b"<html>"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
