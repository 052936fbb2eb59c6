//! What of a configured address is kept, and what never is.

use super::{EndpointUrl, literal};
use proptest::prelude::*;

fn parts(raw: &str) -> (String, Option<String>, Option<u16>) {
    let url = EndpointUrl::parse(raw);
    (url.origin(), url.host.clone(), url.effective_port())
}

#[test]
fn userinfo_path_and_query_are_gone() {
    let (origin, host, port) = parts("https://user:s3cret@Cache.Example:8443/hook/T0KEN?sig=abc#x");
    assert_eq!(
        (origin.as_str(), host.as_deref(), port),
        ("https://cache.example:8443", Some("cache.example"), Some(8443))
    );
}

#[test]
fn a_password_with_a_slash_or_question_mark_leaves_nothing_behind() {
    for raw in
        ["http://user:pa/ss@host:80/x", "http://user:pa?ss@host:80/x", "http://user:p#ss@host:80", "http://u:1/2@host/"]
    {
        let url = EndpointUrl::parse(raw);
        assert!(!url.with_path().contains("ss") && !url.with_path().contains("/2"), "{raw}: {}", url.with_path());
    }
}

#[test]
fn ports_come_from_the_scheme_where_none_is_given() {
    for (raw, port) in [
        ("http://a", Some(80)),
        ("https://a/", Some(443)),
        ("ssh-ng://builder@a", Some(22)),
        ("tcp://docker:2376", Some(2376)),
        ("tcp://docker", Some(2375)),
        ("registry.example:5050", Some(5050)),
        ("unix:///var/run/docker.sock", None),
        ("daemon", None),
        ("/nix/store", None),
        ("s3://bucket?region=eu", None),
    ] {
        assert_eq!(parts(raw).2, port, "{raw}");
    }
}

#[test]
fn a_bucket_with_an_endpoint_is_that_endpoint() {
    let (origin, _, port) = parts("s3://nix-cache?endpoint=127.0.0.1%3A9000&scheme=http&secret-key=/k");
    assert_eq!((origin.as_str(), port), ("http://127.0.0.1:9000", Some(9000)));
    assert_eq!(parts("s3://nix-cache?endpoint=http://minio:9000").0, "http://minio:9000");
    assert_eq!(parts("s3://nix-cache?profile=x").0, "s3://nix-cache");
}

#[test]
fn an_ipv6_host_loses_its_brackets_and_gets_them_back() {
    let (origin, host, port) = parts("http://[::1]:9000/x");
    assert_eq!((origin.as_str(), host.as_deref(), port), ("http://[::1]:9000", Some("::1"), Some(9000)));
}

#[test]
fn addresses_are_read_as_the_c_library_reads_them() {
    for text in ["127.1", "127.0.1", "0x7f.1", "2130706433", "0177.0.0.01"] {
        assert_eq!(literal(text).map(|address| address.is_loopback()), Some(true), "{text}");
    }
    for text in ["", "localhost", "127.0.0.256", "1.2.3.4.5", "09.1", "127.", "0x"] {
        assert_eq!(literal(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_fail_or_keep_what_stands_before_an_at(raw in ".{0,80}") {
        let url = EndpointUrl::parse(&raw);
        let _ = (url.origin(), url.with_path(), url.literal(), url.effective_port());
    }

    #[test]
    fn a_password_never_survives(password in "[A-Z/?#@:]{6,20}", path in "[a-z/]{0,8}") {
        let raw = format!("https://user:QQ{password}QQ@host.example/{path}");
        let url = EndpointUrl::parse(&raw);
        prop_assert!(!url.with_path().contains("QQ"), "{raw} became {}", url.with_path());
    }
}
