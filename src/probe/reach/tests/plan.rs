//! What is asked, through which proxy, and what is not asked at all.

use super::with_target;
use crate::formats::endpoint_url::EndpointUrl;
use crate::probe::Wishes;
use crate::probe::reach::plan::{Client, Expected, Inquiry, Question, questions};
use crate::probe::reach::proxy::Proxies;
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::{Facts, ProxyVariable, ResolvedName};
use crate::snapshot::{Fact, List, Reason};

fn named(url: &str, named_by: &str) -> NamedEndpoint {
    NamedEndpoint { url: url.into(), named_by: named_by.into(), origin: "test".into() }
}

fn resolved(name: &str, addresses: &[&str]) -> ResolvedName {
    let (v6, v4): (Vec<&str>, Vec<&str>) = addresses.iter().partition(|address| address.contains(':'));
    let some = |texts: Vec<&str>| {
        if texts.is_empty() { Fact::Absent } else { Fact::Present(texts.iter().map(ToString::to_string).collect()) }
    };
    ResolvedName { name: name.into(), flavour: "glibc".into(), v4: some(v4), v6: some(v6), source: Fact::Absent }
}

fn plan(endpoints: &[NamedEndpoint], names: Vec<ResolvedName>) -> Vec<Question> {
    let mut facts = Facts::default();
    facts.network.names = Fact::Present(List::complete(names));
    facts.network.proxies = Fact::Present(List::complete(Vec::new()));
    with_target(&[], &[], &Wishes::default(), |target| questions(target, endpoints, &facts).questions)
}

#[test]
fn endpoints_of_one_url_are_one_question_and_what_is_no_host_is_none() {
    let endpoints = [
        named("http://cache.example/a/", "nix substituters"),
        named("http://cache.example/a", "nix trusted-substituters"),
        named("http://cache.example/b", "nix substituters"),
        named("unix:///run/docker.sock", "DOCKER_HOST"),
        named("s3://bucket", "nix substituters"),
    ];
    let questions = plan(&endpoints, vec![resolved("cache.example", &["192.0.2.7"])]);
    let urls: Vec<&str> = questions.iter().map(|question| question.url.as_str()).collect();
    assert_eq!(urls, ["http://cache.example/a", "http://cache.example/b"]);
    assert_eq!(questions[0].named_by.len(), 2);
    let info = Inquiry::Get { path: "/a/nix-cache-info".into(), expected: Expected::NixCache };
    assert_eq!(questions[0].inquiry, info);
}

#[test]
fn a_name_that_leads_to_a_link_local_or_metadata_address_is_not_followed_and_a_literal_is_the_contexts_own_word() {
    let metadata =
        ["169.254.169.254", "fe80::1", "fd00:ec2::254", "fd20:ce::254", "::ffff:169.254.169.254", "100.100.100.200"];
    for address in metadata {
        let asked =
            plan(&[named("http://innocent.example", "CI_SERVER_URL")], vec![resolved("innocent.example", &[address])]);
        assert!(asked[0].addresses.is_empty(), "{address}");
        assert!(matches!(asked[0].more, Some(Reason::Disabled { .. })), "{address}");
    }
    let both = plan(
        &[named("http://innocent.example", "CI_SERVER_URL")],
        vec![resolved("innocent.example", &["192.0.2.7", "169.254.169.254"])],
    );
    assert_eq!(both[0].addresses, ["192.0.2.7".parse::<std::net::IpAddr>().expect("an address")]);
    let literal = plan(&[named("http://169.254.169.254", "CI_SERVER_URL")], Vec::new());
    assert_eq!(literal[0].addresses.len(), 1);
}

fn proxy(variables: &[(&str, &str)], url: &str, client: Client) -> Fact<String> {
    let as_set: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let as_set: Vec<&str> = as_set.iter().map(String::as_str).collect();
    let seen = variables
        .iter()
        .map(|(name, value)| ProxyVariable { name: name.to_ascii_lowercase(), value: (*value).to_owned() });
    let seen = Fact::Present(List::complete(seen.collect()));
    with_target(&[], &as_set, &Wishes::default(), |target| {
        Proxies::of(target, &seen).of_url(&EndpointUrl::parse(url), client).map(|proxy| proxy.origin())
    })
}

#[test]
fn the_proxy_is_the_one_of_the_scheme_and_each_clients_own_habit() {
    let all = [("http_proxy", "http://plain:1"), ("https_proxy", "http://secure:2"), ("all_proxy", "http://rest:3")];
    assert_eq!(proxy(&all, "http://cache.example", Client::Nix), Fact::Present("http://plain:1".to_owned()));
    assert_eq!(proxy(&all, "https://cache.example", Client::Go), Fact::Present("http://secure:2".to_owned()));
    assert_eq!(proxy(&all, "ssh://cache.example", Client::Nix), Fact::Absent);
    assert_eq!(proxy(&all[2..], "https://cache.example", Client::Curl), Fact::Present("http://rest:3".to_owned()));
    assert_eq!(proxy(&all[2..], "https://cache.example", Client::Go), Fact::Absent);
    let upper = [("HTTP_PROXY", "http://plain:1")];
    assert_eq!(proxy(&upper, "http://cache.example", Client::Go), Fact::Present("http://plain:1".to_owned()));
    assert_eq!(proxy(&upper, "http://cache.example", Client::Nix), Fact::Absent);
}

#[test]
fn no_proxy_is_read_as_each_client_reads_it() {
    let through = Fact::Present("http://proxy:1".to_owned());
    let with = |exceptions: &str, url: &str, client: Client| {
        proxy(&[("https_proxy", "http://proxy:1"), ("no_proxy", exceptions)], url, client)
    };
    for client in [Client::Nix, Client::Curl, Client::Go, Client::Aws] {
        for out in ["example", ".example", "CACHE.example.", "*", "10.0.0.0/8,cache.example", "other:1,example"] {
            assert_eq!(with(out, "https://cache.example", client), Fact::Absent, "{out} {client:?}");
        }
        for not in
            ["other.example", "ample", "10.0.0.0/8,192.168.0.0/16,127.0.0.0/8", "other:443", "*.other", "::1", ""]
        {
            assert_eq!(with(not, "https://cache.example", client), through, "{not} {client:?}");
        }
        assert_eq!(with("0.0.7", "https://10.0.0.7", client), through, "an address is beneath nothing");
        assert_eq!(with("10.0.0.0/8", "https://11.0.0.7", client), through);
        assert_eq!(with("10.0.0.7", "https://10.0.0.7", client), Fact::Absent);
    }
    assert_eq!(with("10.0.0.0/8", "https://10.0.0.7", Client::Go), Fact::Absent);
    let unclear = |fact: Fact<String>| matches!(fact, Fact::Unobserved(Reason::NotEmulated { .. }));
    assert_eq!(with("10.0.0.0/8", "https://10.0.0.7", Client::Nix), Fact::Absent, "a network of the host's own");
    assert!(unclear(with("10.0.0.0/8", "https://10.0.0.7", Client::Aws)));
    assert_eq!(with("cache.example:443", "https://cache.example", Client::Curl), through);
    assert_eq!(with("*.example", "https://cache.example", Client::Go), Fact::Absent);
    assert_eq!(with("*.example", "https://cache.example", Client::Curl), through);
    assert_eq!(with(".cache.example", "https://cache.example", Client::Go), through);
    assert_eq!(with(".cache.example", "https://cache.example", Client::Curl), Fact::Absent);
    assert_eq!(with("cache.example:443", "https://cache.example", Client::Go), Fact::Absent);
    assert_eq!(with("cache.example:444", "https://cache.example", Client::Go), through);
    assert_eq!(with("", "https://127.0.0.1", Client::Go), Fact::Absent, "Go goes straight to loopback");
    assert_eq!(with("", "https://127.0.0.1", Client::Nix), through, "curl does not");
}
