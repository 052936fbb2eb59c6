//! What an object store's answer says of the key that it was asked with. Pure; says nothing of what should be.
//!
//! Codes: "Error responses" in the Amazon S3 API reference; MinIO `cmd/api-errors.go`; Garage `src/api/common/signature`; the error codes of Cloudflare R2.
//! Where two of them use one code for different things, the words beside it decide.

use hyper::HeaderMap;

use crate::formats::s3_answer::{self, S3Document};
use crate::probe::reach::http::Answer;
use crate::snapshot::{Fact, Reason};

/// A clock that is off by less is not told from a slow answer: the header has whole seconds.
const CLOCK_STEP_MS: i64 = 1000;

/// What was answered, in the words of the facts.
#[derive(Debug)]
pub struct Verdict {
    pub outcome: Fact<String>,
    pub code: Option<String>,
    pub status: u16,
    pub answered_by: Option<&'static str>,
    pub expected_region: Option<String>,
    pub clock_ahead_ms: Option<i64>,
}

/// Translates an answer. `object` says that one was asked for, and not a list.
pub fn of(answer: &Answer, object: bool) -> Verdict {
    let mut document = s3_answer::parse(&answer.body);
    document.code = document.code.filter(|code| is_word(code));
    let region = document.region.as_deref().or_else(|| header(&answer.headers, "x-amz-bucket-region"));
    let region = region.filter(|region| is_word(region)).map(str::to_owned);
    let quoted = || document.message.as_deref().and_then(expected_in_words);
    let outcome = match (answer.status, document.code.as_deref()) {
        (200..=299, _) if answers_the_question(answer, &document, object) => known("accepted"),
        (_, Some(code)) => of_code(code, answer, &document),
        (301 | 302 | 303 | 307 | 308, None) => known("redirected"),
        (status @ (429 | 500..=599), None) => busy(status, None),
        (_, None) => known("not-s3"),
    };
    let is_region = outcome.present().is_some_and(|word| word == "wrong-region");
    Verdict {
        outcome,
        status: answer.status,
        answered_by: answered_by(&answer.headers, &document),
        expected_region: region.or_else(quoted).filter(|_| is_region),
        clock_ahead_ms: clock_ahead(&answer.headers),
        code: document.code,
    }
}

fn known(word: &str) -> Fact<String> {
    Fact::Present(word.to_owned())
}

/// The server is in no state to say anything of the key.
fn busy(status: u16, code: Option<&str>) -> Fact<String> {
    let detail = format!("answered {status} {}", code.unwrap_or_default()).trim_end().to_owned();
    Fact::Unobserved(Reason::Malformed { path: "the endpoint".into(), line: None, detail })
}

fn answers_the_question(answer: &Answer, document: &S3Document, object: bool) -> bool {
    if object {
        return answer.body.starts_with(b"StoreDir:") || answer.body.windows(10).any(|piece| piece == b"\nStoreDir:");
    }
    matches!(document.root.as_str(), "ListAllMyBucketsResult" | "ListBucketResult")
}

fn of_code(code: &str, answer: &Answer, document: &S3Document) -> Fact<String> {
    let words = document.message.as_deref().unwrap_or_default().to_ascii_lowercase();
    let says = |piece: &str| words.contains(piece);
    known(match code {
        "InvalidAccessKeyId" if says("disabled") => "disabled",
        "InvalidAccessKeyId" => "unknown-key",
        // Garage has one code for all of these.
        "AccessDenied" if says("no such key") => "unknown-key",
        "AccessDenied" if says("invalid signature") => "wrong-secret",
        "AccessDenied" if says("request has expired") => "skewed",
        "AccessDenied" | "AllAccessDisabled" => "denied",
        "SignatureDoesNotMatch" => "wrong-secret",
        "RequestTimeTooSkewed" => "skewed",
        "InvalidRequest" | "BadRequest" if says("date is too old") => "skewed",
        "AuthorizationHeaderMalformed" if says("region") || says("unexpected scope") => "wrong-region",
        "IllegalLocationConstraintException" => "wrong-region",
        "PermanentRedirect" | "TemporaryRedirect" if answer.headers.contains_key("x-amz-bucket-region") => {
            "wrong-region"
        }
        "PermanentRedirect" | "TemporaryRedirect" | "Redirect" => "redirected",
        "NoSuchBucket" => "no-bucket",
        // The key was let in; it is the object that is missing.
        "NoSuchKey" => "accepted",
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "InvalidToken" | "InvalidTokenId" => {
            "expired"
        }
        "AccountProblem" | "NotSignedUp" | "InactiveAccount" | "UserSuspended" => "disabled",
        "Unauthorized" if answered_by(&answer.headers, document) == Some("r2") => "unknown-key",
        _ if answer.status >= 500 || matches!(code, "SlowDown" | "XMinioServerNotInitialized") => {
            return busy(answer.status, Some(code));
        }
        _ => "refused",
    })
}

/// The region in `…; expecting 'eu-west-1'`.
fn expected_in_words(message: &str) -> Option<String> {
    let after = message.split_once("expecting '")?.1;
    after.split('\'').next().filter(|region| is_word(region)).map(str::to_owned)
}

/// What a region and a code look like; anything else is not taken from a stranger.
fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(plain)
}

/// Who answered. AWS alone says "AWS Access Key Id"; MinIO says "Access Key Id".
fn answered_by(headers: &HeaderMap, document: &S3Document) -> Option<&'static str> {
    let server = header(headers, "server").unwrap_or_default();
    let words = document.message.as_deref().unwrap_or_default();
    if server == "AmazonS3" || words.contains("AWS Access Key Id") {
        Some("aws")
    } else if server.starts_with("MinIO") || headers.keys().any(|name| name.as_str().starts_with("x-minio-")) {
        Some("minio")
    } else if words.starts_with("Forbidden: ") {
        Some("garage")
    } else if server == "cloudflare" && headers.contains_key("cf-ray") {
        Some("r2")
    } else {
        None
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn clock_ahead(headers: &HeaderMap) -> Option<i64> {
    let theirs = jiff::fmt::rfc2822::parse(header(headers, "date")?).ok()?.timestamp().as_millisecond();
    let ahead = theirs - jiff::Timestamp::now().as_millisecond();
    Some(if ahead.abs() <= CLOCK_STEP_MS { 0 } else { ahead })
}

#[cfg(test)]
mod tests;
