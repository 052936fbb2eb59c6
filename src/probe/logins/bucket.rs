//! A binary cache in a bucket: its objects, each read by one `GET` with the key that Nix here would read it with (`S3BinaryCacheStore`).
//!
//! The rules of [`super`] hold: the key goes to the endpoint in the substituter's URL and to nobody else, over TLS only after the certificate was
//! verified, and never after a redirect. Nix sends no key where it has none, and neither does this. Nothing is listed and nothing is written.

use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH};

use super::binding::{self, Binding};
use super::route::{Barred, Ways};
use super::{s3, verdict};
use crate::formats::endpoint_url::EndpointUrl;
use crate::formats::s3_answer;
use crate::probe::Target;
use crate::probe::credentials::{Purse, purse};
use crate::probe::reach::bundle::Bundles;
use crate::probe::reach::http::Answer;
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::Facts;
use crate::snapshot::{Fact, Reason};

/// What Nix asks for first.
const MARK: &str = "nix-cache-info";

/// The keys of a context, and its ways to the stores that know them.
pub struct Buckets<'t> {
    ways: Ways<'t>,
    purse: Purse,
    named: &'t [NamedEndpoint],
}

/// One bucket, and who asks.
pub struct Bucket {
    binding: Binding,
    /// Why it is not asked with the key that there is.
    withheld: Option<Reason>,
}

/// What an object comes to.
#[derive(Debug)]
pub enum Object {
    /// It is there, whole.
    Bytes(Vec<u8>),
    /// It is not there, or looks to this key as if it were not.
    Missing,
    /// It is not known.
    Unclear(Reason),
}

/// What the bucket says to whoever asks for the cache's description.
#[derive(Debug)]
pub enum Entry {
    /// The outcome in the words of `logins.s3`, the status, and the description where it is let in and there is one.
    Answered {
        outcome: String,
        status: u16,
        info: Object,
    },
    /// Nobody takes the connection.
    Nobody,
    Unclear(Reason),
}

impl<'t> Buckets<'t> {
    /// Reads the keys of this context.
    pub fn new(target: &'t Target<'t>, named: &'t [NamedEndpoint], facts: &'t Facts) -> Self {
        let bundles = Bundles::new(target, &facts.nix);
        let ways = Ways { target, facts, names: &facts.network.names, bundles };
        Self { ways, purse: purse(target, &facts.nix), named }
    }

    /// The bucket of a substituter; none where the URL names no bucket at an endpoint.
    pub fn of(&mut self, substituter: &str) -> Option<Bucket> {
        let forbidden = self.ways.target.wishes.no_credentials.clone();
        let binding = binding::of_cache(&mut self.ways, self.named, &self.purse.s3, substituter)?;
        let keyless = binding.access_key_id == Fact::Absent && binding.secret.is_none() && binding.unknown.is_none();
        let withheld = forbidden.filter(|_| !keyless).map(|by| Reason::Disabled { by });
        Some(Bucket { binding, withheld })
    }
}

impl Bucket {
    /// The endpoint, `scheme://host:port`.
    pub fn endpoint(&self) -> EndpointUrl {
        EndpointUrl::parse(&self.binding.endpoint)
    }

    /// Where the key stands; absent where there is none.
    pub fn login(&self) -> Fact<String> {
        match &self.binding.access_key_id {
            Fact::Present(_) => Fact::Present(self.binding.origin.clone()),
            Fact::Absent if self.binding.secret.is_some() => Fact::Present(self.binding.origin.clone()),
            Fact::Absent => Fact::Absent,
            Fact::Unobserved(reason) => Fact::Unobserved(reason.clone()),
        }
    }

    /// Asks for `nix-cache-info`. Ends when the endpoint does; the caller has a deadline.
    pub async fn enter(&self) -> Entry {
        let answer = match self.answer(MARK).await {
            Ok(answer) => answer,
            Err(Barred::Outcome("unreachable")) => return Entry::Nobody,
            Err(barred) => return Entry::Unclear(reason(barred)),
        };
        let said = verdict::of(&answer, true);
        let outcome = match said.outcome {
            Fact::Present(outcome) => outcome,
            Fact::Absent => "refused".to_owned(),
            Fact::Unobserved(reason) => return Entry::Unclear(reason),
        };
        let refused = matches!(outcome.as_str(), "denied" | "refused");
        let outcome =
            if refused && self.binding.secret.is_none() { s3::keyless(&self.binding).to_owned() } else { outcome };
        let info = if outcome == "accepted" { object(answer, MARK) } else { Object::Missing };
        Entry::Answered { outcome, status: said.status, info }
    }

    /// Asks for one object.
    pub async fn read(&self, name: &str) -> Object {
        match self.answer(name).await {
            Ok(answer) => object(answer, name),
            Err(barred) => Object::Unclear(reason(barred)),
        }
    }

    async fn answer(&self, name: &str) -> Result<Answer, Barred> {
        if let Some(reason) = self.withheld.as_ref().or(self.binding.unknown.as_ref()) {
            return Err(Barred::Unknown(reason.clone()));
        }
        let route = match &self.binding.route {
            Ok(route) => route,
            Err(Barred::Outcome(word)) => return Err(Barred::Outcome(word)),
            Err(Barred::Unknown(reason)) => return Err(Barred::Unknown(reason.clone())),
        };
        if self.binding.placeholder {
            return Err(Barred::Outcome("placeholder"));
        }
        let bucket = self.binding.bucket.as_deref().unwrap_or_default();
        s3::read(&self.binding, route, &self.binding.region, &format!("/{bucket}/{name}")).await
    }
}

fn reason(barred: Barred) -> Reason {
    match barred {
        Barred::Unknown(reason) => reason,
        Barred::Outcome("untrusted") => Reason::NotEmulated {
            what: "a certificate that no root of this context signs; no key is shown to it".to_owned(),
        },
        Barred::Outcome("placeholder") => {
            Reason::NotEmulated { what: "a key that is a placeholder; it is sent to nobody".to_owned() }
        }
        Barred::Outcome(_) => Reason::Unreadable { path: "the bucket".to_owned(), errno: "no answer".to_owned() },
    }
}

/// An object only where all of it came: half a narinfo lacks its signatures.
fn object(answer: Answer, name: &str) -> Object {
    let malformed = |detail: String| Object::Unclear(Reason::Malformed { path: name.to_owned(), line: None, detail });
    match answer.status {
        200 => {}
        // Without the right to list, an object that is missing is a 403; Nix takes both for "not there" (`src/libstore/s3-binary-cache-store.cc`).
        403 | 404 if is_missing(&answer) => return Object::Missing,
        status => return malformed(format!("answered with status {status}")),
    }
    let header = |name| answer.headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(encoding) = header(CONTENT_ENCODING).filter(|encoding| !matches!(*encoding, "" | "identity" | "none")) {
        let plain = encoding.len() <= 16 && encoding.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let what = format!("an object that is compressed by {}", if plain { encoding } else { "what has no name" });
        return Object::Unclear(Reason::NotEmulated { what });
    }
    let whole = header(CONTENT_LENGTH).and_then(|length| length.parse().ok()) == Some(answer.body.len());
    if !whole {
        return Object::Unclear(Reason::Truncated { at: answer.body.len() as u64, what: name.to_owned() });
    }
    Object::Bytes(answer.body)
}

fn is_missing(answer: &Answer) -> bool {
    let code = s3_answer::parse(&answer.body).code;
    matches!(code.as_deref(), Some("NoSuchKey" | "AccessDenied"))
}

#[cfg(test)]
mod tests {
    use super::{Object, object};
    use crate::probe::reach::http::Answer;
    use crate::snapshot::Reason;
    use hyper::HeaderMap;

    fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Answer {
        let pairs = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        Answer { status, headers: pairs.collect::<HeaderMap>(), body: body.as_bytes().to_vec() }
    }

    fn error(status: u16, code: &str) -> Answer {
        answer(status, &[], &format!("<Error><Code>{code}</Code></Error>"))
    }

    #[test]
    fn an_object_counts_only_where_all_of_it_came() {
        assert!(matches!(object(answer(200, &[("content-length", "3")], "abc"), "x"), Object::Bytes(_)));
        for cut in [answer(200, &[("content-length", "9")], "abc"), answer(200, &[], "abc")] {
            assert!(matches!(object(cut, "x"), Object::Unclear(Reason::Truncated { at: 3, .. })));
        }
    }

    #[test]
    fn a_compressed_object_is_not_taken_for_an_unsigned_one() {
        let answer = answer(200, &[("content-length", "3"), ("content-encoding", "xz")], "abc");
        let Object::Unclear(Reason::NotEmulated { what }) = object(answer, "x") else { panic!("unclear") };
        assert!(what.ends_with("compressed by xz"), "{what}");
    }

    #[test]
    fn an_object_that_the_store_hides_is_missing_and_any_other_refusal_is_unclear() {
        assert!(matches!(object(error(404, "NoSuchKey"), "x"), Object::Missing));
        assert!(matches!(object(error(403, "AccessDenied"), "x"), Object::Missing));
        assert!(matches!(object(error(403, "SignatureDoesNotMatch"), "x"), Object::Unclear(_)));
        assert!(matches!(object(error(404, "NoSuchBucket"), "x"), Object::Unclear(_)));
        assert!(matches!(object(error(503, "SlowDown"), "x"), Object::Unclear(_)));
    }
}
