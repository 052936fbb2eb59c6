//! One question to an object store, signed with the key that is asked about: AWS Signature Version 4 in the headers ("Authenticating Requests:
//! Using the Authorization Header" in the Amazon S3 API reference), signed by reqsign.
//!
//! | the configuration names | question |
//! |---|---|
//! | a binary cache of Nix | `GET /BUCKET/nix-cache-info` |
//! | the bucket of a runner's cache | `GET` of an object that is not there |
//! | another bucket | `GET /BUCKET?list-type=2&max-keys=1` |
//! | an endpoint | `GET /` (ListBuckets) |

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONNECTION, HOST, HeaderValue, USER_AGENT};
use reqsign_aws_v4::{Credential, RequestSigner};
use reqsign_core::{Context, SignRequest};

use super::binding::Binding;
use super::route::{Barred, Route};
use super::verdict::{self, Verdict};
use crate::formats::endpoint_url::EndpointUrl;
use crate::probe::reach::http::Answer;
use crate::snapshot::facts::S3Answer;
use crate::snapshot::secret::Secret;
use crate::snapshot::{Fact, Reason};

/// What is known before asking.
pub fn unasked(binding: &Binding) -> S3Answer {
    let url = EndpointUrl::parse(&binding.endpoint);
    S3Answer {
        used_by: binding.used_by.clone(),
        origin: binding.origin.clone(),
        endpoint: binding.endpoint.clone(),
        host: url.host.clone().unwrap_or_default(),
        port: url.effective_port().unwrap_or_default(),
        account: binding.account.clone(),
        access_key_id: binding.access_key_id.clone(),
        bucket: binding.bucket.clone().into(),
        region: Fact::Present(binding.region.clone()),
        outcome: Fact::Absent,
        code: Fact::Absent,
        status: Fact::Absent,
        answered_by: Fact::Absent,
        expected_region: Fact::Absent,
        clock_ahead_ms: Fact::Absent,
    }
}

/// Asks. Ends when the endpoint does; the caller has a deadline.
pub async fn ask(binding: Binding) -> S3Answer {
    let mut answer = unasked(&binding);
    let route = match (binding.unknown.clone(), binding.placeholder, &binding.route) {
        (Some(reason), _, _) => return without(answer, Barred::Unknown(reason)),
        (None, true, _) => return without(answer, Barred::Outcome("placeholder")),
        (None, false, Err(Barred::Outcome(word))) => return without(answer, Barred::Outcome(word)),
        (None, false, Err(Barred::Unknown(reason))) => return without(answer, Barred::Unknown(reason.clone())),
        (None, false, Ok(route)) => route,
    };
    let mut verdict = match once(&binding, route, &binding.region).await {
        Ok(verdict) => verdict,
        Err(barred) => return without(answer, barred),
    };
    if let (true, Some(region), Fact::Present("wrong-region")) =
        (binding.follows_region, verdict.expected_region.clone(), verdict.outcome.as_ref().map(String::as_str))
    {
        answer.region = Fact::Present(region.clone());
        verdict = match once(&binding, route, &region).await {
            Ok(verdict) => verdict,
            Err(barred) => return without(answer, barred),
        };
    }
    // Whoever has no key asks as nobody; that nobody may read is what the missing key comes to.
    let refused = |word: &String| matches!(word.as_str(), "denied" | "refused");
    if binding.secret.is_none() && verdict.outcome.present().is_some_and(refused) {
        verdict.outcome = Fact::Present(keyless(&binding).to_owned());
    }
    answer.outcome = verdict.outcome;
    answer.code = verdict.code.into();
    answer.status = Fact::Present(verdict.status);
    answer.answered_by = verdict.answered_by.map(str::to_owned).into();
    answer.expected_region = verdict.expected_region.into();
    answer.clock_ahead_ms = verdict.clock_ahead_ms.into();
    answer
}

/// Nothing was answered: nothing that an answer would hold is known, except where nothing could be.
fn without(mut answer: S3Answer, barred: Barred) -> S3Answer {
    if let Barred::Unknown(reason) = &barred {
        answer.code = Fact::Unobserved(reason.clone());
        answer.status = Fact::Unobserved(reason.clone());
        answer.answered_by = Fact::Unobserved(reason.clone());
        answer.expected_region = Fact::Unobserved(reason.clone());
        answer.clock_ahead_ms = Fact::Unobserved(reason.clone());
    }
    answer.outcome = barred.fact();
    answer
}

async fn once(binding: &Binding, route: &Route, region: &str) -> Result<Verdict, Barred> {
    let path = match (&binding.bucket, binding.object) {
        (Some(bucket), Some(object)) => format!("/{bucket}/{object}"),
        (Some(bucket), None) => format!("/{bucket}?list-type=2&max-keys=1"),
        (None, _) => "/".to_owned(),
    };
    let answer = read(binding, route, region, &path).await?;
    Ok(verdict::of(&answer, binding.object.is_some()))
}

/// One `GET`.
pub async fn read(binding: &Binding, route: &Route, region: &str, path: &str) -> Result<Answer, Barred> {
    let request = question(binding, route, region, path).await.map_err(|detail| {
        let path = binding.origin.clone();
        Barred::Unknown(Reason::Malformed { path, line: None, detail: detail.to_owned() })
    })?;
    route.send(request).await
}

/// The request, signed where there is a key. An error says what is wrong and quotes nothing.
async fn question(
    binding: &Binding,
    route: &Route,
    region: &str,
    path: &str,
) -> Result<Request<Empty<Bytes>>, &'static str> {
    let request = Request::get(route.whole(path)).body(()).map_err(|_| "no URL can be made of it")?;
    let mut parts = request.into_parts().0;
    if let (Some((secret, session)), Some(id)) = (&binding.secret, binding.access_key_id.present()) {
        let text = |secret: &Secret| secret.expose_str().map(str::to_owned).ok_or("a key that is not UTF-8");
        let credential = Credential {
            access_key_id: id.clone(),
            secret_access_key: text(secret)?,
            session_token: session.as_ref().map(text).transpose()?,
            expires_in: None,
        };
        let signer = RequestSigner::new("s3", region);
        let signed = signer.sign_request(&Context::new(), &mut parts, Some(&credential), None).await;
        wipe(credential);
        signed.map_err(|_| "a key that nothing can be signed with")?;
        if let Some(authorization) = parts.headers.get_mut(AUTHORIZATION) {
            authorization.set_sensitive(true);
        }
    }
    let host = HeaderValue::from_str(&route.authority()).map_err(|_| "no host can be made of it")?;
    parts.headers.insert(HOST, host);
    parts.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    parts.headers.insert(USER_AGENT, HeaderValue::from_static(concat!("parallax/", env!("CARGO_PKG_VERSION"))));
    Ok(Request::from_parts(parts, Empty::new()))
}

/// What the refusal of an unsigned request comes to.
pub fn keyless(binding: &Binding) -> &'static str {
    if binding.perhaps_role { "unsigned" } else { "no-key" }
}

/// The signer's type does not wipe its memory.
fn wipe(mut credential: Credential) {
    use zeroize::Zeroize;
    credential.secret_access_key.zeroize();
    credential.session_token.zeroize();
}
