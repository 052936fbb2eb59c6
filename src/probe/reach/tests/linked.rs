//! What is tried on another context's word, and what never.

use std::net::IpAddr;

use super::super::linked::{Link, Step, step};
use super::super::plan::Inquiry;
use super::question;
use crate::formats::endpoint_url::EndpointUrl;
use crate::snapshot::{Fact, ObjectId};

fn link(same_network: bool) -> Link {
    Link {
        endpoint: "http://cache.example:8080".into(),
        named_by: "nix substituters".into(),
        named_in: vec!["container:job".into()],
        link: ObjectId::new("boot", 1, 2, "ext4"),
        same_network,
    }
}

/// The addresses that are tried of these; [`None`] where nothing is.
fn tried(addresses: &[&str], same_network: bool) -> Option<Vec<String>> {
    let mut question = question("http://cache.example:8080", 8080, Inquiry::Nothing);
    question.addresses = addresses.iter().map(|address| address.parse::<IpAddr>().expect("an address")).collect();
    match step(&link(same_network), &question) {
        Step::Ask(question) => {
            // What was left out may be where it answers.
            assert_eq!(question.more.is_some(), question.addresses.len() < addresses.len());
            Some(question.addresses.iter().map(IpAddr::to_string).collect())
        }
        Step::Leave(_) => None,
    }
}

#[test]
fn loopback_is_tried_on_the_word_of_who_means_the_same_machine_by_it_only() {
    for address in ["127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "::", "::ffff:127.0.0.1"] {
        assert_eq!(tried(&[address], false), None, "{address}");
        assert_eq!(tried(&[address], true).map(|tried| tried.len()), Some(1), "{address}");
    }
    assert_eq!(tried(&["192.0.2.7", "::1"], false), Some(vec!["192.0.2.7".to_owned()]));
}

#[test]
fn nothing_of_the_link_and_no_metadata_service_is_tried_on_another_contexts_word() {
    let addresses = [
        "169.254.169.254",
        "fe80::1",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
    ];
    for address in addresses {
        assert_eq!((tried(&[address], false), tried(&[address], true)), (None, None), "{address}");
    }
    assert_eq!(tried(&["192.0.2.7", "169.254.169.254"], true), Some(vec!["192.0.2.7".to_owned()]));
}

#[test]
fn no_proxy_is_spoken_to_on_another_contexts_word() {
    let mut question = question("http://cache.example:8080", 8080, Inquiry::Nothing);
    question.proxy = Fact::Present(EndpointUrl::parse("http://proxy.example:3128"));
    assert!(matches!(step(&link(true), &question), Step::Leave(_)));
}
