//! Certificates made on the spot, and what a bundle makes of them; and which bundle a client takes.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};

use super::{roots, with_target};
use crate::probe::Wishes;
use crate::probe::reach::bundle::{Bundles, named};
use crate::probe::reach::certificate::judged;
use crate::probe::reach::plan::Client;
use crate::snapshot::facts::{Certificate, Nix, Setting};
use crate::snapshot::{Fact, List};

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn authority(name: &str, by: Option<&Issuer>) -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    match by {
        None => CertifiedIssuer::self_signed(params, key()).expect("a root"),
        Some(issuer) => CertifiedIssuer::signed_by(params, key(), issuer).expect("an intermediate"),
    }
}

fn server(names: &[&str], by: &Issuer, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("parameters");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    change(&mut params);
    params.signed_by(&key(), by).expect("a leaf").der().clone()
}

fn anchor(der: &CertificateDer<'_>) -> TrustAnchor<'static> {
    webpki::anchor_from_trusted_cert(der).expect("an anchor").to_owned()
}

fn seen(chain: &[CertificateDer<'static>], host: &str, anchors: Vec<TrustAnchor<'static>>) -> Certificate {
    judged(chain, host, &roots(anchors), UnixTime::now())
}

#[test]
fn a_chain_is_trusted_where_its_root_is_in_the_bundle_and_missing_where_it_is_not() {
    let (root, other) = (authority("Private CA", None), authority("Other CA", None));
    let between = authority("Private issuer", Some(&root));
    let leaf = server(&["cache.example", "10.0.0.7"], &between, |_| {});
    let chain = [leaf.clone(), between.der().clone()];
    let with = seen(&chain, "cache.example", vec![anchor(other.der()), anchor(root.der())]);
    assert_eq!(
        (&with.trusted, &with.names_host, &with.current),
        (&Fact::Present(true), &Fact::Present(true), &Fact::Present(true))
    );
    assert_eq!(with.names, Fact::Present(vec!["10.0.0.7".to_owned(), "cache.example".to_owned()]));
    assert!(with.issuer.present().is_some_and(|issuer| issuer.contains("Private issuer")));
    let without = seen(&chain, "cache.example", vec![anchor(other.der())]);
    assert_eq!(without.trusted, Fact::Present(false));
    assert_eq!(without.leaf, with.leaf);
    let incomplete = seen(&[leaf], "10.0.0.7", vec![anchor(root.der())]);
    assert_eq!((incomplete.trusted, incomplete.names_host), (Fact::Present(false), Fact::Present(true)));
}

#[test]
fn a_leaf_that_is_over_or_for_another_name_is_judged_apart_from_its_root() {
    let root = authority("Private CA", None);
    let leaf = server(&["cache.example"], &root, |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let certificate = seen(&[leaf], "other.example", vec![anchor(root.der())]);
    assert_eq!((certificate.current, certificate.names_host), (Fact::Present(false), Fact::Present(false)));
    assert_eq!(certificate.not_after, Fact::Present(1_609_459_200_000));
    assert_eq!(certificate.trusted, Fact::Present(true));
}

#[test]
fn a_leaf_that_signs_itself_is_trusted_where_it_is_in_the_bundle_itself() {
    let own = authority("cache.example", None).der().clone();
    assert_eq!(seen(std::slice::from_ref(&own), "cache.example", vec![anchor(&own)]).trusted, Fact::Present(true));
    assert_eq!(seen(std::slice::from_ref(&own), "cache.example", Vec::new()).trusted, Fact::Present(false));
    let other = authority("Other CA", None);
    assert_eq!(seen(&[own], "cache.example", vec![anchor(other.der())]).trusted, Fact::Present(false));
}

#[test]
fn any_other_refusal_of_the_library_is_no_verdict() {
    let root = authority("Private CA", None);
    let leaf = server(&["cache.example"], &root, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    assert!(matches!(seen(&[leaf], "cache.example", vec![anchor(root.der())]).trusted, Fact::Unobserved(_)));
}

const EMPTY: &str = "";

fn setting(path: Option<&str>) -> Nix {
    let one =
        |path: &str| Setting { name: "ssl-cert-file".into(), value: Fact::Present(path.into()), ..Setting::default() };
    Nix { settings: Fact::Present(List::complete(path.into_iter().map(one).collect())), ..Nix::default() }
}

fn chosen(client: Client, files: &[(&str, &str)], variables: &[&str], nix: &Nix) -> (Option<String>, Option<String>) {
    with_target(files, variables, &Wishes::default(), |target| {
        let roots = Bundles::new(target, nix).of(client);
        (roots.path.present().cloned(), roots.named_by.present().cloned())
    })
}

#[test]
fn each_client_takes_the_bundle_that_it_would_take() {
    let both =
        ["NIX_SSL_CERT_FILE=/nix.crt", "SSL_CERT_FILE=/ssl.crt", "CURL_CA_BUNDLE=/curl.crt", "AWS_CA_BUNDLE=/aws.crt"];
    let path = |client| chosen(client, &[], &both, &setting(None)).0;
    assert_eq!(path(Client::Nix).as_deref(), Some("/nix.crt"));
    assert_eq!(path(Client::Aws).as_deref(), Some("/aws.crt"));
    assert_eq!(path(Client::Go).as_deref(), Some("/ssl.crt"));
    assert_eq!(path(Client::Curl).as_deref(), Some("/curl.crt"));
    let (path, by) = chosen(Client::Nix, &[], &both, &setting(Some("/set.crt")));
    assert_eq!((path.as_deref(), by.as_deref()), (Some("/set.crt"), Some("nix setting ssl-cert-file")));
    let red_hat = [("etc/pki/tls/certs/ca-bundle.crt", EMPTY)];
    let (path, by) = chosen(Client::Go, &red_hat, &[], &setting(None));
    assert_eq!((path.as_deref(), by.as_deref()), (Some("/etc/pki/tls/certs/ca-bundle.crt"), Some("default")));
    assert_eq!(chosen(Client::Nix, &red_hat, &[], &setting(None)).0, None);
}

#[test]
fn a_bundle_that_is_named_is_looked_at_whether_an_endpoint_needs_it_or_not() {
    let root = authority("Private CA", None).pem();
    let files = [("two.crt", format!("# a comment\n{root}\n{root}")), ("none.crt", "no certificate\n".to_owned())];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let variables = ["SSL_CERT_FILE=/two.crt", "CURL_CA_BUNDLE=/none.crt", "AWS_CA_BUNDLE=/gone.crt"];
    let seen = with_target(&files, &variables, &Wishes::default(), |target| named(target, &setting(None)));
    let list = seen.present().expect("a list");
    let row = |name: &str| list.items.iter().find(|bundle| bundle.named_by == name).expect("a row");
    assert_eq!(row("SSL_CERT_FILE").roots, Fact::Present(2));
    assert_eq!(row("CURL_CA_BUNDLE").roots, Fact::Present(0));
    assert_eq!((&row("AWS_CA_BUNDLE").exists, &row("AWS_CA_BUNDLE").roots), (&Fact::Present(false), &Fact::Absent));
    assert_eq!((list.items.len(), &list.more), (3, &None));
}

#[test]
fn a_registry_and_a_runner_have_roots_for_one_host_beside_the_bundle() {
    let pem = authority("Private CA", None).pem();
    let files = [
        ("etc/docker/certs.d/registry.example:5000/ca.crt", pem.as_str()),
        ("etc/gitlab-runner/certs/gitlab.example.crt", pem.as_str()),
    ];
    let count = |named_by: &str, host: &str, port: u16| {
        with_target(&files, &[], &Wishes::default(), |target| {
            let nix = setting(None);
            let roots = Bundles::new(target, &nix).for_endpoint(Client::Go, named_by, host, port);
            roots.anchors.present().map(Vec::len)
        })
    };
    assert_eq!(count("registry login", "registry.example", 5000), Some(1));
    assert_eq!(count("registry login", "registry.example", 443), Some(0));
    assert_eq!(count("gitlab-runner url", "gitlab.example", 443), Some(1));
    assert_eq!(count("mc alias", "gitlab.example", 443), Some(0));
}

#[test]
fn mc_has_roots_of_its_own_in_the_directory_of_its_configuration() {
    let pem = authority("Private CA", None).pem();
    let files = [("root/.mc/certs/CAs/store", pem.as_str()), ("etc/mc/certs/CAs/store.crt", pem.as_str())];
    let count = |variables: &[&str]| {
        with_target(&files, variables, &Wishes::default(), |target| {
            let roots = Bundles::new(target, &setting(None)).for_endpoint(Client::Go, "mc alias store", "store", 443);
            roots.anchors.present().map(Vec::len)
        })
    };
    assert_eq!(count(&["HOME=/root"]), Some(1));
    assert_eq!(count(&["HOME=/root", "MC_CONFIG_DIR=/etc/mc"]), Some(1));
    assert_eq!(count(&["HOME=/root", "MC_CONFIG_DIR=/nowhere"]), Some(0));
    assert_eq!(count(&["HOME=/root", "MC_CONFIG_DIR=mc"]), None, "from a directory that nobody knows");
}
