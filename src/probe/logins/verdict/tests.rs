//! Answers of object stores as their documentation and sources give them, and what they say of a key. MinIO's are seen for real in the worlds.

use super::{Verdict, of};
use crate::probe::reach::http::Answer;
use crate::snapshot::{Fact, Reason};

fn answer(status: u16, headers: &[(&'static str, &str)], body: &str) -> Verdict {
    let headers =
        headers.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect();
    of(&Answer { status, headers, body: body.as_bytes().to_vec() }, false)
}

fn error(status: u16, headers: &[(&'static str, &str)], code: &str, message: &str, more: &str) -> Verdict {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>");
    answer(status, headers, &body)
}

fn word(verdict: &Verdict) -> &str {
    verdict.outcome.present().map(String::as_str).expect("an outcome")
}

#[test]
fn the_words_of_aws_tell_that_a_key_went_to_the_wrong_provider() {
    let words = "The AWS Access Key Id you provided does not exist in our records.";
    let aws = error(403, &[("server", "AmazonS3")], "InvalidAccessKeyId", words, "");
    assert_eq!((word(&aws), aws.answered_by), ("unknown-key", Some("aws")));
    let minio =
        error(403, &[("server", "MinIO")], "InvalidAccessKeyId", "The Access Key Id you provided does not exist", "");
    assert_eq!((word(&minio), minio.answered_by), ("unknown-key", Some("minio")));
}

#[test]
fn the_one_code_of_garage_is_told_apart_by_its_words() {
    let garage = |words: &str| error(403, &[], "AccessDenied", words, "<Region>garage</Region>");
    assert_eq!(word(&garage("Forbidden: No such key: GK31c2f218a2e44f485b94239e")), "unknown-key");
    assert_eq!(word(&garage("Forbidden: Invalid signature")), "wrong-secret");
    let denied = garage("Forbidden: Operation is not allowed for this key.");
    assert_eq!((word(&denied), denied.answered_by), ("denied", Some("garage")));
    assert_eq!(denied.expected_region, None, "a region beside another error is not the expected one");
    assert_eq!(word(&error(400, &[], "InvalidRequest", "Bad request: Date is too old", "")), "skewed");
    let scope = "Authorization header malformed, unexpected scope: 20260519/made-up/s3/aws4_request";
    let region = error(400, &[], "AuthorizationHeaderMalformed", scope, "<Region>garage</Region>");
    assert_eq!((word(&region), region.expected_region.as_deref()), ("wrong-region", Some("garage")));
}

#[test]
fn the_region_that_is_expected_is_found_wherever_a_provider_says_it() {
    let quoted = error(
        400,
        &[],
        "AuthorizationHeaderMalformed",
        "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'",
        "",
    );
    assert_eq!(quoted.expected_region.as_deref(), Some("eu-west-1"));
    let moved = error(301, &[("x-amz-bucket-region", "eu-west-1")], "PermanentRedirect", "Use the other endpoint", "");
    assert_eq!((word(&moved), moved.expected_region.as_deref()), ("wrong-region", Some("eu-west-1")));
    let hostile = error(400, &[], "AuthorizationHeaderMalformed", "region", "<Region>a/b c\u{7}</Region>");
    assert_eq!(hostile.expected_region, None, "what is no region is not taken from a stranger");
}

#[test]
fn temporary_keys_end_and_accounts_are_closed() {
    assert_eq!(word(&error(400, &[], "ExpiredToken", "The provided token has expired.", "")), "expired");
    assert_eq!(
        word(&error(403, &[], "InvalidAccessKeyId", "Your account is disabled; please contact", "")),
        "disabled"
    );
    assert_eq!(word(&error(404, &[], "NoSuchBucket", "The specified bucket does not exist", "")), "no-bucket");
    assert_eq!(word(&error(403, &[], "SignatureDoesNotMatch", "", "")), "wrong-secret");
    assert_eq!(word(&error(403, &[], "SomethingNew", "", "")), "refused");
}

#[test]
fn what_is_no_object_store_is_not_taken_for_one_that_accepts() {
    assert_eq!(word(&answer(200, &[], "<html><body>welcome</body></html>")), "not-s3");
    assert_eq!(word(&answer(302, &[("location", "http://elsewhere/")], "")), "redirected");
    assert_eq!(word(&answer(200, &[], "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>")), "accepted");
}

#[test]
fn a_server_in_trouble_says_nothing_of_the_key() {
    for verdict in [
        error(503, &[], "SlowDown", "Please reduce your request rate", ""),
        error(500, &[], "InternalError", "", ""),
        answer(502, &[], "bad gateway"),
    ] {
        assert!(matches!(verdict.outcome, Fact::Unobserved(Reason::Malformed { .. })), "{verdict:?}");
    }
}
