//! MinIO client: aliases in `config.json`, in `MC_HOST_<alias>` and in the file that `MC_CONFIG_ENV_FILE` names
//! (`minio/mc`, `cmd/config-v10.go` and `cmd/config.go`).
//!
//! Keys are kept in memory that is wiped; no error holds any text of the file. No I/O.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

/// The variable prefix of an alias.
pub const VARIABLE: &str = "MC_HOST_";
/// What `mc` writes as access key of a fresh `s3` and `gcs` alias (`cmd/config-v10.go`, `defaultAccessKey`).
pub const PLACEHOLDER_ACCESS_KEY: &str = "YOUR-ACCESS-KEY-HERE";
/// The public access key of the `play` alias, the same for everybody (`cmd/config-v10.go`).
pub const PLAY_ACCESS_KEY: &str = "Q3AM3UQ867SPQQA43P2F";
/// The aliases that `mc` writes into a fresh configuration, with their URLs.
pub const DEFAULT_ALIASES: [(&str, &str); 4] = [
    ("local", "http://localhost:9000"),
    ("s3", "https://s3.amazonaws.com"),
    ("gcs", "https://storage.googleapis.com"),
    ("play", "https://play.min.io"),
];

/// One alias. Its `Debug` form shows no secret.
#[derive(Debug)]
pub struct Alias {
    /// Its name.
    pub name: String,
    /// The URL without keys.
    pub url: String,
    /// The access key id; empty for an anonymous alias.
    pub access_key: String,
    /// The secret key, if it has one.
    pub secret_key: Option<SecretString>,
    /// The session token of a temporary key, if it has one.
    pub session_token: Option<SecretString>,
    /// 1-based line, where there is one.
    pub line: Option<u32>,
}

/// Why a text is no configuration of `mc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum McError {
    /// The JSON does not parse.
    #[error("not JSON")]
    Syntax { line: u32 },
    /// The JSON has other types than `mc` writes.
    #[error("not the shape that mc writes")]
    Shape { line: u32 },
    /// An alias in a variable is no http or https URL.
    #[error("not an http or https URL")]
    Url { line: Option<u32> },
}

impl McError {
    /// 1-based, where there is one.
    pub fn line(self) -> Option<u32> {
        match self {
            Self::Syntax { line } | Self::Shape { line } => Some(line),
            Self::Url { line } => line,
        }
    }
}

#[derive(Deserialize)]
struct Document {
    /// Version 10.
    #[serde(default)]
    aliases: BTreeMap<String, Written>,
    /// Versions up to 9.
    #[serde(default)]
    hosts: BTreeMap<String, Written>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(default)]
    url: String,
    #[serde(default)]
    access_key: String,
    #[serde(default, deserialize_with = "secret")]
    secret_key: Option<SecretString>,
    #[serde(default, deserialize_with = "secret")]
    session_token: Option<SecretString>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| SecretString::from(text)))
}

/// Reads `config.json`; aliases sorted by name.
pub fn parse(text: &[u8]) -> Result<Vec<Alias>, McError> {
    // The texts of serde_json's errors quote values, so only their place is kept.
    let document: Document = serde_json::from_slice(text).map_err(|error| {
        let line = u32::try_from(error.line()).unwrap_or(u32::MAX);
        if error.is_data() { McError::Shape { line } } else { McError::Syntax { line } }
    })?;
    let mut written = document.hosts;
    written.extend(document.aliases);
    let lines = lines_of_objects(text);
    let alias = |(name, alias): (String, Written)| {
        let line = lines.get(name.as_bytes()).copied();
        let Written { url, access_key, secret_key, session_token } = alias;
        Alias { name, url, access_key, secret_key, session_token, line }
    };
    Ok(written.into_iter().map(alias).collect())
}

/// The line on which each key with an object for its value first stands. serde_json keeps no places; the text is known to be JSON, and
/// one pass over its strings finds them, however many there are.
fn lines_of_objects(text: &[u8]) -> BTreeMap<&[u8], u32> {
    let mut lines = BTreeMap::new();
    let (mut at, mut line) = (0, 1_u32);
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'\n' => line = line.saturating_add(1),
            b'"' => {
                let start = at;
                while let Some(byte) = text.get(at).filter(|byte| **byte != b'"') {
                    at += if *byte == b'\\' { 2 } else { 1 };
                }
                let after = text.get(at + 1..).unwrap_or_default().trim_ascii_start().strip_prefix(b":");
                let is_object = after.is_some_and(|value| value.trim_ascii_start().starts_with(b"{"));
                if let Some(name) = text.get(start..at).filter(|_| is_object) {
                    lines.entry(name).or_insert(line);
                }
                at += 1;
            }
            _ => {}
        }
    }
    lines
}

/// Reads the value of `MC_HOST_<name>`: `https://ACCESS:SECRET[:TOKEN]@HOST[:PORT]`. Keys are taken as they stand, without
/// percent-decoding: the host begins after the last `@`, the access key ends at the first `:`;
/// without one there are no keys.
pub fn parse_variable(name: &str, value: &str, line: Option<u32>) -> Result<Alias, McError> {
    let scheme_ends = ["https://", "http://"].into_iter().find(|scheme| value.starts_with(scheme)).map(str::len);
    let (scheme, rest) = scheme_ends.and_then(|at| value.split_at_checked(at)).ok_or(McError::Url { line })?;
    let (keys, host) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (access_key, secrets) = keys.split_once(':').unwrap_or_default();
    let (secret_key, token) = secrets.split_once(':').unwrap_or((secrets, ""));
    let filled = |text: &str| (!text.is_empty()).then(|| SecretString::from(text));
    Ok(Alias {
        name: name.to_owned(),
        url: format!("{scheme}{host}"),
        access_key: access_key.to_owned(),
        secret_key: filled(secret_key),
        session_token: filled(token),
        line,
    })
}

/// Reads the file that `MC_CONFIG_ENV_FILE` names: lines `MC_HOST_name=url`, blank lines and comments.
pub fn parse_variables(text: &str) -> impl Iterator<Item = Result<Alias, McError>> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let line_number = u32::try_from(index + 1).ok();
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        let (name, value) = line.split_once('=')?;
        let name = name.trim().strip_prefix(VARIABLE)?;
        let value = value.trim().trim_matches(['"', '\'']);
        Some(parse_variable(name, value, line_number))
    })
}

#[cfg(test)]
mod tests {
    use super::{McError, parse, parse_variable, parse_variables};
    use secrecy::ExposeSecret;

    const CONFIG: &str = r#"{
  "version": "10",
  "aliases": {
    "cache": {
      "url": "https://s3.example:9000",
      "accessKey": "AK",
      "secretKey": "a/b+c",
      "api": "S3v4",
      "path": "auto"
    },
    "local": { "url": "http://localhost:9000", "accessKey": "", "secretKey": "" }
  }
}"#;

    #[test]
    fn an_alias_is_read_with_its_line_and_empty_keys_are_none() {
        let aliases = parse(CONFIG.as_bytes()).expect("it is a configuration");
        assert_eq!(
            (aliases[0].name.as_str(), aliases[0].access_key.as_str(), aliases[0].line),
            ("cache", "AK", Some(4))
        );
        assert_eq!(aliases[0].secret_key.as_ref().map(|key| key.expose_secret()), Some("a/b+c"));
        assert!(aliases[1].secret_key.is_none());
    }

    #[test]
    fn the_configuration_of_an_old_mc_is_read_too() {
        let aliases = parse(br#"{"version":"9","hosts":{"a":{"url":"http://x","accessKey":"k","secretKey":"s"}}}"#);
        assert_eq!(aliases.expect("it is a configuration")[0].url, "http://x");
    }

    #[test]
    fn signs_in_the_keys_of_a_variable_are_taken_as_they_stand() {
        let alias = parse_variable("m", "https://AK/1:s/e+c@r%2Fet:to:ken@host.example:9000", None).expect("a URL");
        assert_eq!((alias.access_key.as_str(), alias.url.as_str()), ("AK/1", "https://host.example:9000"));
        assert_eq!(alias.secret_key.as_ref().map(|key| key.expose_secret()), Some("s/e+c@r%2Fet"));
        assert_eq!(alias.session_token.as_ref().map(|token| token.expose_secret()), Some("to:ken"));
        let anonymous = parse_variable("m", "http://host:9000", None).expect("a URL");
        assert_eq!((anonymous.access_key.as_str(), anonymous.secret_key.is_none()), ("", true));
        let lone = parse_variable("m", "http://lone@host:9000", None).expect("a URL");
        assert_eq!((lone.access_key.as_str(), lone.url.as_str()), ("", "http://host:9000"));
    }

    #[test]
    fn a_file_of_variables_gives_its_aliases_and_names_the_line_that_is_wrong() {
        let text = "# comment\nMC_HOST_a=http://k:s@one\nOTHER=1\nMC_HOST_b=nothing\n";
        let read: Vec<_> = parse_variables(text).map(|alias| alias.map(|alias| alias.line)).collect();
        assert_eq!(read, [Ok(Some(2)), Err(McError::Url { line: Some(4) })]);
    }

    #[test]
    fn an_error_names_the_place_and_quotes_nothing() {
        let error = parse(b"{\n\"aliases\": {\"x\": \"hidden\"}}").expect_err("an alias is an object");
        assert_eq!(error, McError::Shape { line: 2 });
        assert_eq!(error.to_string(), "not the shape that mc writes");
        assert_eq!(parse(b"{\n\n").expect_err("it ends early"), McError::Syntax { line: 3 });
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, text: String) {
            let _ = parse(&bytes);
            let _ = parse_variable("x", &text, None);
            let _ = parse_variables(&text).count();
        }
    }
}
