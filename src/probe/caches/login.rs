//! The login that Nix here would show a cache: the user part of the substituter's own URL, else the first entry of the netrc-file for that host
//! (curl: `CURLOPT_NETRC` with `CURL_NETRC_OPTIONAL`; entries have no port).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;
use url::Url;
use zeroize::Zeroizing;

use crate::formats::netrc;
use crate::probe::reach::plan::Question;
use crate::probe::{Target, fact};
use crate::snapshot::facts::Nix;
use crate::snapshot::secret::Secret;
use crate::snapshot::{Fact, Reason};

/// No netrc is longer.
const CAP: usize = 1 << 20;

/// The netrc-file of this context.
pub struct Logins {
    entries: Fact<Vec<netrc::Entry>>,
    path: String,
}

/// One login for one cache.
#[derive(Clone)]
pub struct Login {
    /// Where it stands.
    pub origin: String,
    /// The value of `Authorization`; withheld by the caller's wish.
    pub header: Result<HeaderValue, Reason>,
}

impl Logins {
    /// Reads the file, as this context.
    pub fn read(target: &Target<'_>, nix: &Nix) -> Self {
        let path = nix.netrc_file.present().cloned().unwrap_or_default();
        let entries = match &nix.netrc_file {
            // curl knows no other directory than the process' own, and Nix expands no `~`.
            Fact::Present(path) if path.starts_with('/') => fact(target.root.read(path, CAP)).map(Secret::new),
            Fact::Present(_) | Fact::Absent => Fact::Absent,
            Fact::Unobserved(reason) => Fact::Unobserved(reason.clone()),
        };
        let entries = match entries {
            // curl goes on without a file that it can't read.
            Fact::Unobserved(Reason::Unreadable { .. }) => Fact::Absent,
            other => other.map(|text| netrc::parse(text.expose()).entries),
        };
        Self { entries, path }
    }

    /// The login for this cache; absent when there is none.
    pub fn of(&self, written: Option<&Secret>, question: &Question, forbidden: &Option<String>) -> Fact<Login> {
        let permitted = |header: Option<HeaderValue>| match (forbidden, header) {
            (Some(by), _) => Err(Reason::Disabled { by: by.clone() }),
            (None, Some(header)) => Ok(header),
            (None, None) => Err(Reason::NotEmulated { what: "a login that is no header".to_owned() }),
        };
        if let Some((user, password)) = written.and_then(of_url) {
            let header = permitted(basic(&user, &password));
            return Fact::Present(Login { origin: "the substituter's own URL".to_owned(), header });
        }
        self.entries.as_ref().and_then(|entries| {
            let is_for = |entry: &&netrc::Entry| {
                entry.machine.as_ref().is_none_or(|machine| machine.eq_ignore_ascii_case(&question.host))
            };
            let Some(entry) = entries.iter().find(is_for) else { return Fact::Absent };
            let Some(password) = &entry.password else { return Fact::Absent };
            let user = entry.login.as_deref().unwrap_or_default();
            let header = permitted(basic(user, password.expose_secret()));
            Fact::Present(Login { origin: format!("{}:{}", self.path, entry.line), header })
        })
    }
}

/// User and password of a URL.
fn of_url(written: &Secret) -> Option<(Zeroizing<String>, Zeroizing<String>)> {
    let url = Url::parse(written.expose_str()?).ok()?;
    let decoded = |text: &str| Zeroizing::new(percent_decode_str(text).decode_utf8_lossy().into_owned());
    (!url.username().is_empty() || url.password().is_some())
        .then(|| (decoded(url.username()), decoded(url.password().unwrap_or_default())))
}

/// `Basic` (RFC 7617).
fn basic(user: &str, password: &str) -> Option<HeaderValue> {
    let pair = Zeroizing::new(format!("{user}:{password}"));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut header = HeaderValue::from_str(&text).ok()?;
    header.set_sensitive(true);
    Some(header)
}
