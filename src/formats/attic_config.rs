//! The configuration of attic's client, `config.toml`, and the claims of its tokens (`zhaofengli/attic`, `client/src/config.rs`, `token/src/lib.rs`).
//!
//! Tokens are kept in memory that is wiped; no error holds any text of the file. The signature of a token is not looked at: only its server can verify
//! it. No I/O.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use zeroize::Zeroizing;

/// The most servers that are kept.
const MAX_SERVERS: usize = 256;
/// The longest text of a claim.
const LONGEST: usize = 200;

/// What the file says.
pub struct AtticConfig {
    /// The server that a cache without a server's name is on.
    pub default_server: Option<String>,
    /// By name.
    pub servers: BTreeMap<String, AtticServer>,
    /// Whether there are more than are kept.
    pub more: bool,
}

/// One server.
pub struct AtticServer {
    pub endpoint: String,
    pub token: Option<Zeroizing<String>>,
    /// A path, where the token is not in the file itself.
    pub token_file: Option<String>,
}

/// Why a text is no such configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the configuration of attic's client")]
pub struct AtticConfigError {
    /// 1-based.
    pub line: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    default_server: Option<String>,
    #[serde(default)]
    servers: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Entry {
    endpoint: String,
    token: Option<Zeroizing<String>>,
    token_file: Option<String>,
}

/// Reads the file.
pub fn parse(text: &[u8]) -> Result<AtticConfig, AtticConfigError> {
    let text = std::str::from_utf8(text).map_err(|_| AtticConfigError { line: 1 })?;
    let document: Document = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let lines = before.bytes().filter(|byte| *byte == b'\n').count();
        AtticConfigError { line: u32::try_from(lines + 1).unwrap_or(u32::MAX) }
    })?;
    let more = document.servers.len() > MAX_SERVERS;
    let server = |entry: Entry| AtticServer {
        endpoint: entry.endpoint,
        token: entry.token.filter(|token| !token.is_empty()),
        token_file: entry.token_file,
    };
    let servers = document.servers.into_iter().take(MAX_SERVERS).map(|(name, entry)| (name, server(entry))).collect();
    Ok(AtticConfig { default_server: document.default_server, servers, more })
}

/// The public half of a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// Whom it was made for.
    pub subject: Option<String>,
    /// Seconds since 1970.
    pub expires: Option<i64>,
    pub not_before: Option<i64>,
    /// By pattern, sorted.
    pub caches: Vec<(String, Rights)>,
}

/// What a token permits on the caches of a pattern.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rights {
    pub pull: bool,
    pub push: bool,
}

#[derive(Deserialize)]
struct WrittenClaims {
    sub: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
    /// The permissions stand under a claim of attic's own.
    #[serde(rename = "https://jwt.attic.rs/v1")]
    attic: Option<WrittenAttic>,
}

#[derive(Deserialize)]
struct WrittenAttic {
    #[serde(default)]
    caches: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
}

/// Reads the claims of a token (RFC 7519); nothing where it is none.
pub fn claims(token: &str) -> Option<Claims> {
    let mut parts = token.trim().split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?);
    let written: WrittenClaims = serde_json::from_slice(&payload).ok()?;
    let is = |rights: &BTreeMap<String, serde_json::Value>, name: &str| {
        rights
            .get(name)
            .is_some_and(|value| value.as_i64().is_some_and(|flag| flag != 0) || value.as_bool() == Some(true))
    };
    let of = |rights: &BTreeMap<String, serde_json::Value>| Rights { pull: is(rights, "r"), push: is(rights, "w") };
    let caches = written.attic.map(|attic| attic.caches).unwrap_or_default();
    Some(Claims {
        subject: written.sub.map(|text| text.chars().take(LONGEST).collect()),
        expires: seconds(written.exp),
        not_before: seconds(written.nbf),
        caches: caches
            .iter()
            .take(MAX_SERVERS)
            .map(|(name, rights)| (name.chars().take(LONGEST).collect(), of(rights)))
            .collect(),
    })
}

/// A NumericDate, which may have a fraction.
fn seconds(date: Option<f64>) -> Option<i64> {
    // `as` saturates, and makes 0 of what is no number.
    #[expect(clippy::cast_possible_truncation, reason = "a fraction of a second does not matter")]
    date.map(|date| date as i64)
}

impl Claims {
    /// What it permits on a cache: the exact name decides, then the first pattern that matches, in their order.
    pub fn rights_on(&self, cache: &str) -> Rights {
        let exact = self.caches.iter().find(|(pattern, _)| pattern == cache);
        let found = exact.or_else(|| self.caches.iter().find(|(pattern, _)| matches(pattern, cache)));
        found.map(|(_, rights)| *rights).unwrap_or_default()
    }
}

/// `*` stands for any letters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(before) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = left.find(part) else { return false };
        left = left.get(at + part.len()..).unwrap_or_default();
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::{Rights, claims, matches, parse};
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn token(payload: &str) -> String {
        format!("eyJhbGciOiJIUzI1NiJ9.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn servers_have_an_endpoint_and_a_token_or_its_file() {
        let text = "default-server = \"home\"\n[servers.home]\nendpoint = \"https://attic.example/\"\ntoken = \"t\"\n\
                    [servers.ci]\nendpoint = \"http://ci:8080\"\ntoken-file = \"/run/token\"\nfuture = 1\n";
        let read = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read.default_server.as_deref(), Some("home"));
        assert_eq!(read.servers["home"].token.as_deref().map(String::as_str), Some("t"));
        assert_eq!(read.servers["ci"].token_file.as_deref(), Some("/run/token"));
    }

    #[test]
    fn a_mistake_is_named_by_its_line_and_not_by_its_text() {
        let error = parse(b"default-server = \"a\"\n[servers.a]\ntoken = secret-canary\n").err().unwrap();
        assert_eq!(error.line, 3);
        assert!(!format!("{error} {error:?}").contains("canary"));
    }

    #[test]
    fn a_token_tells_whom_it_is_for_until_when_and_what_it_permits() {
        let payload = r#"{"sub":"ci","exp":1790000000,"nbf":1,"https://jwt.attic.rs/v1":{"caches":{"team-*":{"r":1},"team-ci":{"r":1,"w":1}}}}"#;
        let read = claims(&token(payload)).unwrap();
        assert_eq!(
            (read.subject.as_deref(), read.expires, read.not_before),
            (Some("ci"), Some(1_790_000_000), Some(1))
        );
        assert_eq!(read.rights_on("team-ci"), Rights { pull: true, push: true });
        assert_eq!(read.rights_on("team-docs"), Rights { pull: true, push: false });
        assert_eq!(read.rights_on("other"), Rights::default());
    }

    #[test]
    fn a_star_stands_for_any_letters() {
        for (pattern, name, is_so) in [
            ("*", "x", true),
            ("a-*", "a-", true),
            ("*-b", "a-b", true),
            ("a*c*e", "abcde", true),
            ("a*c", "abd", false),
        ] {
            assert_eq!(matches(pattern, name), is_so, "{pattern} {name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(bytes: Vec<u8>, text: String, pattern in "[a*]{0,8}") {
            let _ = (parse(&bytes).is_ok(), claims(&text), claims(&token(&text)), matches(&pattern, &text));
        }
    }
}
