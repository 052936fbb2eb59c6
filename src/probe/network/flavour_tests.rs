//! The order of sources, flavour by flavour, without a network.

use std::collections::BTreeSet;

use super::{Answer, Step, look_up};
use crate::formats::hosts::Hosts;
use crate::formats::nsswitch::{self, Status};
use crate::probe::network::sources::{Flavour, Sources};
use crate::snapshot::{Fact, Reason};

fn sources(hosts: &str, line: &str) -> Sources {
    let services = nsswitch::parse(line.as_bytes(), "hosts").expect("a line").unwrap_or_else(nsswitch::default_hosts);
    Sources {
        hosts: Fact::Present(Hosts::new(hosts.as_bytes().to_vec())),
        multi: Fact::Present(true),
        resolv_conf: Fact::Absent,
        services: Fact::Present(services),
        own_name: Fact::Present("builder".into()),
        flavours: BTreeSet::new(),
        more_flavours: None,
        nscd: Fact::Present(false),
        missing_modules: BTreeSet::new(),
        machines: Fact::Present(Vec::new()),
        resolved: Fact::Present(true),
        local_domain: None,
        resolver_options: None,
        host_aliases: false,
    }
}

fn dns(addresses: &[&str]) -> Step {
    let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
    super::found(addresses, "dns", Status::NotFound)
}

fn ask(sources: &Sources, flavour: Flavour, name: &str, addresses: &[&str]) -> Answer {
    look_up(sources, flavour, name, &mut || dns(addresses))
}

fn source(answer: &Answer) -> Option<&str> {
    answer.source.present().map(String::as_str)
}

#[test]
fn a_line_in_hosts_decides_for_both_families() {
    let answer = ask(&sources("127.0.0.1 cache\n", ""), Flavour::Glibc, "cache", &["10.0.0.1", "fd00::1"]);
    assert_eq!(source(&answer), Some("files"));
    assert_eq!((answer.v4, answer.v6), (Fact::Present(vec!["127.0.0.1".to_owned()]), Fact::Absent));
}

#[test]
fn a_module_ahead_that_is_not_emulated_leaves_the_answer_open_and_one_behind_does_not() {
    let ahead = sources("10.0.0.1 cache\n", "hosts: sss files dns\n");
    assert!(matches!(ask(&ahead, Flavour::Glibc, "cache", &[]).v4, Fact::Unobserved(Reason::NotEmulated { .. })));
    let behind = sources("10.0.0.1 cache\n", "hosts: files sss dns\n");
    assert_eq!(source(&ask(&behind, Flavour::Glibc, "cache", &[])), Some("files"));
}

#[test]
fn nix_and_musl_know_no_modules() {
    let with_module = sources("", "hosts: resolve [!UNAVAIL=return] files dns\n");
    for flavour in [Flavour::Nix, Flavour::Musl] {
        assert_eq!(source(&ask(&with_module, flavour, "cache", &["10.0.0.1"])), Some("dns"));
    }
    assert!(ask(&with_module, Flavour::Glibc, "cache", &["10.0.0.1"]).source.reason().is_some());
}

#[test]
fn an_action_ends_the_search_before_dns() {
    let ending = sources("", "hosts: files [NOTFOUND=return] dns\n");
    assert_eq!(ask(&ending, Flavour::Glibc, "cache", &["10.0.0.1"]), Answer::nothing());
}

#[test]
fn mdns_minimal_leaves_names_outside_local_alone() {
    let desktop = sources("", "hosts: files mdns4_minimal [NOTFOUND=return] dns\n");
    assert_eq!(source(&ask(&desktop, Flavour::Glibc, "cache.example", &["10.0.0.1"])), Some("dns"));
    assert!(ask(&desktop, Flavour::Glibc, "cache.local", &["10.0.0.1"]).source.reason().is_some());
}

#[test]
fn a_module_that_is_not_installed_or_has_no_service_is_skipped() {
    let mut container = sources("", "hosts: wins resolve [!UNAVAIL=return] dns\n");
    container.missing_modules.insert("wins".into());
    container.resolved = Fact::Present(false);
    assert_eq!(source(&ask(&container, Flavour::Glibc, "cache", &["10.0.0.1"])), Some("dns"));
}

#[test]
fn localhost_is_known_to_myhostname_and_otherwise_asked_of_dns() {
    let systemd = sources("", "hosts: files myhostname dns\n");
    assert_eq!(source(&ask(&systemd, Flavour::Glibc, "localhost", &["10.0.0.1"])), Some("myhostname"));
    assert_eq!(source(&ask(&systemd, Flavour::Glibc, "notlocalhost", &["10.0.0.1"])), Some("dns"));
    assert_eq!(source(&ask(&systemd, Flavour::Nix, "localhost", &[])), None);
    assert!(ask(&systemd, Flavour::Glibc, "builder", &[]).source.reason().is_some());
}

#[test]
fn a_hosts_file_that_could_not_be_read_leaves_the_answer_open() {
    let mut hidden = sources("", "");
    hidden.hosts = Fact::Unobserved(Reason::Unreadable { path: "/etc/hosts".into(), errno: "EACCES".into() });
    assert!(ask(&hidden, Flavour::Musl, "cache", &["10.0.0.1"]).source.reason().is_some());
}

#[test]
fn glibc_asks_nscd_first_and_nix_does_not() {
    let mut nixos = sources("127.0.0.1 localhost\n", "");
    nixos.nscd = Fact::Present(true);
    assert!(ask(&nixos, Flavour::Glibc, "localhost", &[]).v4.reason().is_some());
    assert_eq!(source(&ask(&nixos, Flavour::Nix, "localhost", &[])), Some("files"));
}

#[test]
fn without_multi_glibc_takes_the_first_line_only_and_musl_all() {
    let mut bare = sources("127.0.0.1 localhost\n::1 localhost\n", "");
    bare.multi = Fact::Present(false);
    assert_eq!(ask(&bare, Flavour::Glibc, "localhost", &[]).v6, Fact::Absent);
    assert_eq!(ask(&bare, Flavour::Musl, "localhost", &[]).v6, Fact::Present(vec!["::1".to_owned()]));
}
