//! What an attic server says of one cache, the JSON of `_api/v1/cache-config/<cache>` (`attic/src/api/v1/cache_config.rs`). Total. No I/O.

use serde::Deserialize;

/// The longest text that is kept.
const LONGEST: usize = 4096;

/// What a server says of a cache; what it leaves out is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct CacheConfig {
    /// Where Nix is to fetch from.
    pub substituter_endpoint: Option<String>,
    /// `name:base64`.
    pub public_key: Option<String>,
    pub is_public: Option<bool>,
    pub store_dir: Option<String>,
}

/// Reads the answer; nothing where it is none.
pub fn parse(text: &[u8]) -> Option<CacheConfig> {
    let config: CacheConfig = serde_json::from_slice(text).ok()?;
    let short = |text: &Option<String>| text.as_ref().is_none_or(|text| text.len() <= LONGEST);
    (short(&config.substituter_endpoint) && short(&config.public_key) && short(&config.store_dir)).then_some(config)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn what_is_known_is_kept_and_what_is_new_is_passed_over() {
        let text = br#"{"substituter_endpoint":"https://a/ci","public_key":"ci:AAAA","is_public":false,"store_dir":"/nix/store",
            "priority":41,"upstream_cache_key_names":[],"retention_period":"Global"}"#;
        let read = parse(text).unwrap();
        assert_eq!((read.substituter_endpoint.as_deref(), read.is_public), (Some("https://a/ci"), Some(false)));
        assert_eq!(parse(b"<html>"), None);
        assert_eq!(parse(b"{}"), Some(super::CacheConfig::default()));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
