//! How Nix writes stores: `auto`, `daemon`, `local?root=/mnt`, `/mnt`, `ssh-ng://host`, `s3://bucket?endpoint=…`
//! (`src/libstore/store-reference.cc`). Says what the text means, not which store `auto` then becomes.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

/// A store reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreReference {
    pub kind: StoreKind,
    /// Parameters after `?`, percent-decoded; of two equal names the first.
    pub parameters: BTreeMap<String, String>,
}

/// Which store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreKind {
    /// Empty or `auto`: Nix looks around.
    Auto,
    /// `daemon`: the daemon at the default socket.
    Daemon,
    /// `local`: the files themselves.
    Local,
    /// A path: the local store below this root.
    Path(String),
    /// `scheme://authority`.
    Uri { scheme: String, authority: String },
}

/// It is none of the forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a store reference")]
pub struct StoreReferenceError;

/// Reads a store reference.
pub fn parse(text: &str) -> Result<StoreReference, StoreReferenceError> {
    let (base, query) = text.split_once('?').unwrap_or((text, ""));
    let kind = match base {
        "" | "auto" => StoreKind::Auto,
        "daemon" => StoreKind::Daemon,
        "local" => StoreKind::Local,
        _ => match base.split_once("://") {
            Some((scheme, authority)) if is_scheme(scheme) => {
                StoreKind::Uri { scheme: scheme.to_owned(), authority: decode(authority) }
            }
            Some(_) => return Err(StoreReferenceError),
            None if base.contains('/') => StoreKind::Path(base.to_owned()),
            None => return Err(StoreReferenceError),
        },
    };
    Ok(StoreReference { kind, parameters: parameters(query) })
}

/// The text without what must not be kept of a URL: the user part, and values of parameters that sound like credentials.
pub fn without_secrets(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    // A password may hold a slash or a question mark, whatever RFC 3986 says of it: no number follows the colon then.
    let start = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_cut = start.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_err() && !port.is_empty());
    let rest = if is_cut && !start.contains('@') && !start.starts_with('[') { after_user(rest) } else { rest };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let host = after_user(authority);
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty() && !names_a_credential(pair));
    let kept = pairs.map(value_without_user).collect::<Vec<_>>();
    let question = if kept.is_empty() { "" } else { "?" };
    format!("{scheme}://{host}{path}{question}{}", kept.join("&"))
}

/// The same of every word of the remote builders, which need no scheme: `user:password@host`. `;` and line ends part them too, and a list of files
/// (`@/etc/nix/machines`) is kept.
pub fn builders_without_secrets(text: &str) -> String {
    let is_end = |letter: char| letter.is_whitespace() || letter == ';';
    let clean = |word: &str| match word.strip_prefix('@') {
        Some(file) if !file.contains('@') => word.to_owned(),
        _ if word.contains("://") => without_secrets(word),
        _ => {
            let (start, query) = word.split_once('?').unwrap_or((word, ""));
            let url = without_secrets(&format!("ssh://{word}"));
            let is_address = start.contains('@') || !query.is_empty();
            if is_address { after_user(url.strip_prefix("ssh://").unwrap_or(&url)).to_owned() } else { word.to_owned() }
        }
    };
    text.split_inclusive(is_end)
        .map(|part| {
            let word = part.trim_end_matches(is_end);
            format!("{}{}", clean(word), part.get(word.len()..).unwrap_or_default())
        })
        .collect()
}

fn after_user(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// A parameter may be an address itself: `endpoint=https://user:password@host`.
fn value_without_user(pair: &str) -> String {
    let Some((name, value)) = pair.split_once('=').filter(|(_, value)| decode(value).contains('@')) else {
        return pair.to_owned();
    };
    let value = decode(value);
    let scheme = value.split_once("://").map(|(scheme, _)| format!("{scheme}://")).unwrap_or_default();
    format!("{name}={scheme}{}", after_user(&value))
}

fn names_a_credential(pair: &str) -> bool {
    // `secret-key` of a binary cache is the path of a file, and is kept.
    const PATHS: [&str; 2] = ["secret-key", "secret-keys"];
    const SOUNDS: [&str; 7] = ["token", "password", "secret", "signature", "credential", "auth", "key-id"];
    let name = pair.split('=').next().unwrap_or_default().to_ascii_lowercase();
    !PATHS.contains(&name.as_str()) && SOUNDS.iter().any(|sound| name.contains(sound))
}

fn is_scheme(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

fn parameters(query: &str) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    for pair in query.split('&') {
        if let Some((name, value)) = pair.split_once('=') {
            parameters.entry(decode(name)).or_insert_with(|| decode(value));
        }
    }
    parameters
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::{StoreKind, StoreReferenceError, parse, without_secrets};

    #[test]
    fn the_short_forms_are_what_nix_takes_them_for() {
        let kind = |text| parse(text).map(|reference| reference.kind);
        assert_eq!(kind(""), Ok(StoreKind::Auto));
        assert_eq!(kind("auto?state=/x"), Ok(StoreKind::Auto));
        assert_eq!(kind("daemon"), Ok(StoreKind::Daemon));
        assert_eq!(kind("./x"), Ok(StoreKind::Path("./x".into())));
        assert_eq!(kind("nonsense"), Err(StoreReferenceError));
        let ssh = StoreKind::Uri { scheme: "ssh-ng".into(), authority: "builder@host".into() };
        assert_eq!(kind("ssh-ng://builder@host"), Ok(ssh));
    }

    #[test]
    fn parameters_are_decoded() {
        let reference = parse("local?root=%2Fmnt&state=/s").expect("a reference");
        assert_eq!(reference.parameters["root"], "/mnt");
        assert_eq!(reference.parameters["state"], "/s");
    }

    #[test]
    fn a_password_in_a_url_is_not_kept_and_the_path_of_a_key_is() {
        assert_eq!(without_secrets("https://u:p@cache.example/x?token=t&a=b"), "https://cache.example/x?a=b");
        assert_eq!(without_secrets("s3://b?secret-key=/etc/k"), "s3://b?secret-key=/etc/k");
        assert_eq!(without_secrets("https://cache.nixos.org/"), "https://cache.nixos.org/");
        assert_eq!(without_secrets("a@b://c"), "a@b://c");
        assert_eq!(without_secrets("https://u:p/w?x@cache.example/x"), "https://cache.example/x");
        assert_eq!(without_secrets("https://[::1]/x@y"), "https://[::1]/x@y");
        assert_eq!(without_secrets("s3://b?endpoint=u:p@h:9000&scheme=http"), "s3://b?endpoint=h:9000&scheme=http");
        assert_eq!(without_secrets("s3://b?endpoint=http://u:p%40h"), "s3://b?endpoint=http://h");
    }
}
