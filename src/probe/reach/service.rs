//! What kind of service answered, by its answer alone, and what is particular to it.
//!
//! | kind | by |
//! |---|---|
//! | `nix-cache` | a `nix-cache-info` with a `StoreDir` (`src/libstore/binary-cache-store.cc`) |
//! | `s3` | an `<Error>` document with a `Code`, or the headers `x-amz-request-id`, `x-amz-id-2` |
//! | `registry` | the header `Docker-Distribution-Api-Version` (OCI distribution specification) |
//! | `gitlab` | the header `X-Gitlab-Meta`, or the form of its API's refusal |
//! | `http` | anything else |

use sha2::{Digest, Sha256};

use super::certificate::hexadecimal;
use super::http::Answer;
use super::plan::Expected;
use crate::snapshot::Fact;
use crate::snapshot::facts::{Certificate, Service};

/// The longest value of an answer that is kept.
const LONGEST: usize = 200;

/// Says what answered.
pub fn observe(answer: &Answer, expected: Expected, tls: &Certificate) -> Service {
    let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let store_dir = cache_store(answer, expected);
    let (kind, particular) = if let Some(store) = &store_dir {
        ("nix-cache", format!("{store} {}", String::from_utf8_lossy(&answer.body)))
    } else if let Some(version) = header("docker-distribution-api-version") {
        // Who gives out its tokens is the registry's own; a nonce is another one each time.
        let challenge = header("www-authenticate").filter(|challenge| !challenge.contains("nonce"));
        ("registry", format!("{version} {}", challenge.unwrap_or_default()))
    } else if is_s3(answer) {
        ("s3", header("x-amz-bucket-region").unwrap_or_default())
    } else if expected == Expected::GitLab && is_gitlab(answer) {
        ("gitlab", String::new())
    } else {
        ("http", String::new())
    };
    let program = header("server").map(|server| without_version(&server));
    Service {
        kind: Fact::Present(kind.to_owned()),
        identity: Fact::Present(identity(kind, &particular, program.as_deref(), tls)),
        status: Fact::Present(answer.status),
        program: program.into(),
        store_dir: store_dir.into(),
    }
}

/// A digest of what does not depend on who asks, when, or from where. Of a certificate its names and the issuer's organisation: machines behind one
/// name have leaves of their own, and an authority signs with several keys at a time.
fn identity(kind: &str, particular: &str, program: Option<&str>, tls: &Certificate) -> String {
    let names = tls.names.present().map(|names| names.join(",")).unwrap_or_default();
    let issuer = tls.issuer.present().map(String::as_str).unwrap_or_default();
    let issuer = issuer.split(", ").find(|part| part.starts_with("O=")).unwrap_or(issuer);
    let mut digest = Sha256::new();
    for part in [kind, particular, program.unwrap_or_default(), &names, issuer] {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    hexadecimal(&digest.finalize()[..8])
}

fn cache_store(answer: &Answer, expected: Expected) -> Option<String> {
    let text =
        std::str::from_utf8(&answer.body).ok().filter(|_| expected == Expected::NixCache && answer.status == 200)?;
    let store = text.lines().find_map(|line| line.strip_prefix("StoreDir:"))?.trim();
    (store.starts_with('/') && store.len() <= LONGEST).then(|| store.to_owned())
}

fn is_s3(answer: &Answer) -> bool {
    let by_header = ["x-amz-request-id", "x-amz-id-2"].iter().any(|name| answer.headers.contains_key(*name));
    let text = String::from_utf8_lossy(&answer.body);
    by_header || text.contains("<Error>") && text.contains("<Code>")
}

fn is_gitlab(answer: &Answer) -> bool {
    answer.headers.contains_key("x-gitlab-meta")
        || answer.status == 401 && answer.body.starts_with(br#"{"message":"401 Unauthorized"}"#)
}

fn without_version(server: &str) -> String {
    let name = server.split(['/', ' ', '(']).next().unwrap_or_default();
    name.chars().filter(|letter| letter.is_ascii_graphic()).take(LONGEST).collect()
}
