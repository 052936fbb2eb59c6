//! Docker's client configuration, `config.json`: which registries it has logins for, and who holds them
//! (`docker/cli`, `cli/config/configfile/file.go`).
//!
//! Passwords and tokens are kept in memory that is wiped; no error holds any text of the file. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde::Deserialize;
use zeroize::Zeroizing;

/// One login. Its `Debug` form shows no secret.
#[derive(Debug)]
pub struct Login {
    /// The registry as written.
    pub registry: String,
    /// Who holds the login.
    pub holder: Holder,
}

/// Who holds a login.
#[derive(Debug)]
pub enum Holder {
    /// `docker-credential-<name>`. What the file itself holds for the registry is then not used.
    Helper(String),
    /// The file: user name and password.
    Password { user: String, password: SecretString },
    /// The file: an identity or registry token.
    Token(SecretString),
    /// The file names the registry and holds nothing for it.
    Nobody,
    /// `auth` is not base64 of `user:password`.
    Malformed,
}

/// Why a text is no configuration of Docker's client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DockerConfigError {
    /// The JSON does not parse.
    #[error("not JSON")]
    Syntax { line: u32 },
    /// The JSON has other types than Docker writes.
    #[error("not the shape that docker writes")]
    Shape { line: u32 },
}

impl DockerConfigError {
    /// 1-based.
    pub fn line(self) -> u32 {
        match self {
            Self::Syntax { line } | Self::Shape { line } => line,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: String,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    auth: Zeroizing<String>,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: Zeroizing<String>,
    #[serde(default)]
    identitytoken: Zeroizing<String>,
    #[serde(default)]
    registrytoken: Zeroizing<String>,
}

/// Reads the file; logins sorted by registry.
pub fn parse(text: &[u8]) -> Result<Vec<Login>, DockerConfigError> {
    // The texts of serde_json's errors quote values, so only their place is kept.
    let document: Document = serde_json::from_slice(text).map_err(|error| {
        let line = u32::try_from(error.line()).unwrap_or(u32::MAX);
        if error.is_data() { DockerConfigError::Shape { line } } else { DockerConfigError::Syntax { line } }
    })?;
    let registries: BTreeSet<&String> = document.auths.keys().chain(document.cred_helpers.keys()).collect();
    let login = |registry: &String| {
        let store = Some(&document.creds_store);
        let helper = document.cred_helpers.get(registry).or(store).filter(|helper| !helper.is_empty());
        let holder = match (helper, document.auths.get(registry)) {
            (Some(helper), _) => Holder::Helper(helper.clone()),
            (None, Some(auth)) => held(auth),
            (None, None) => Holder::Nobody,
        };
        Login { registry: registry.clone(), holder }
    };
    Ok(registries.into_iter().map(login).collect())
}

/// The context that the client uses by default (`currentContext`), where `config.json` names one.
pub fn context(text: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Current {
        #[serde(default)]
        current_context: String,
    }
    let current: Current = serde_json::from_slice(text).ok()?;
    Some(current.current_context).filter(|name| !name.is_empty())
}

/// The engine of a context, by its `meta.json` (`docker/cli`, `cli/context/store/metadatastore.go`).
pub fn context_host(text: &[u8]) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(text).ok()?;
    document.pointer("/Endpoints/docker/Host")?.as_str().map(str::to_owned)
}

fn held(auth: &Auth) -> Holder {
    for token in [&auth.identitytoken, &auth.registrytoken] {
        if !token.is_empty() {
            return Holder::Token(SecretString::from(token.as_str()));
        }
    }
    if !auth.auth.is_empty() {
        return decoded(&auth.auth).unwrap_or(Holder::Malformed);
    }
    if auth.username.is_empty() && auth.password.is_empty() {
        return Holder::Nobody;
    }
    Holder::Password { user: auth.username.clone(), password: SecretString::from(auth.password.as_str()) }
}

/// `user:password` in base64; NUL bytes at the end are dropped (`decodeAuth`).
fn decoded(auth: &str) -> Option<Holder> {
    let bytes = Zeroizing::new(STANDARD.decode(auth).ok()?);
    let (user, password) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    Some(Holder::Password { user: user.to_owned(), password: SecretString::from(password.trim_matches('\0')) })
}

#[cfg(test)]
mod tests {
    use super::{DockerConfigError, Holder, parse};
    use secrecy::ExposeSecret;

    /// Registry and holder in words, for comparing.
    fn plain(text: &str) -> Vec<(String, String)> {
        let words = |holder: Holder| match holder {
            Holder::Helper(name) => format!("helper {name}"),
            Holder::Password { user, password } => format!("{user} with {}", password.expose_secret()),
            Holder::Token(token) => format!("token {}", token.expose_secret()),
            Holder::Nobody => "nobody".to_owned(),
            Holder::Malformed => "malformed".to_owned(),
        };
        let logins = parse(text.as_bytes()).expect("it is a configuration");
        logins.into_iter().map(|login| (login.registry, words(login.holder))).collect()
    }

    #[test]
    fn the_first_colon_ends_the_user_and_a_token_comes_before_a_password() {
        // "me:pa:ss" and "me:x".
        let text = r#"{"auths":{"a":{"auth":"bWU6cGE6c3M="},"b":{"auth":"bWU6eA==","identitytoken":"t"},"c":{},"d":{"auth":"%%"}}}"#;
        let expected = [("a", "me with pa:ss"), ("b", "token t"), ("c", "nobody"), ("d", "malformed")];
        assert_eq!(plain(text), expected.map(|(registry, words)| (registry.to_owned(), words.to_owned())));
    }

    #[test]
    fn a_helper_holds_the_login_even_when_the_file_has_one() {
        let text = r#"{"auths":{"a":{"auth":"bWU6eA=="},"b":{}},"credHelpers":{"a":"ecr-login","c":"gcloud"},"credsStore":"pass"}"#;
        let expected = [("a", "helper ecr-login"), ("b", "helper pass"), ("c", "helper gcloud")];
        assert_eq!(plain(text), expected.map(|(registry, words)| (registry.to_owned(), words.to_owned())));
    }

    #[test]
    fn an_error_names_the_place_and_quotes_nothing() {
        let error = parse(b"{\"auths\":\n \"hidden\"}").expect_err("auths is an object");
        assert_eq!(
            (error, error.to_string()),
            (DockerConfigError::Shape { line: 2 }, "not the shape that docker writes".into())
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
