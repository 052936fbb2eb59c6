//! Which key goes where: decided on what a context's configuration names, before anything is sent.

use super::{Binding, of_keys};
use crate::formats::endpoint_url::EndpointUrl;
use crate::probe::credentials::Held;
use crate::probe::environment::Environment;
use crate::probe::logins::route::Barred;
use crate::probe::logins::s3::keyless;
use crate::probe::{Target, Wishes};
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::{Facts, RunnerEntry, S3Key};
use crate::snapshot::secret::Secret;
use crate::snapshot::{Fact, List, Reason};
use crate::sys::process::ProcessDirectory;
use crate::sys::{LookError, Root};

/// The bindings of a context in which these endpoints are named and these keys held.
fn bindings(named: &[(&str, &str)], facts: &Facts, keys: Vec<Held<S3Key>>) -> Vec<Binding> {
    bindings_on("", b"", named, facts, keys)
}

/// The same, on a machine that says that this one made it, and with these variables.
fn bindings_on(
    maker: &str,
    variables: &[u8],
    named: &[(&str, &str)],
    facts: &Facts,
    keys: Vec<Held<S3Key>>,
) -> Vec<Binding> {
    let directory = tempfile::tempdir().expect("a directory");
    let about = directory.path().join("sys/class/dmi/id");
    std::fs::create_dir_all(&about).expect("mkdir");
    std::fs::write(about.join("sys_vendor"), format!("{maker}\n")).expect("write");
    let target = Target {
        root: &Root::open(directory.path()).expect("a root"),
        boot: "boot",
        process: &ProcessDirectory::open(std::process::id()).expect("our own process").texts(),
        live: true,
        environment: &Fact::Present(Environment::parse(variables)),
        wishes: &Wishes::default(),
        key: None,
        locks: &Err(LookError::NotFound { path: "/proc/locks".into() }),
        incomplete: &[],
    };
    let named: Vec<NamedEndpoint> = named
        .iter()
        .map(|(url, by)| NamedEndpoint { url: (*url).into(), named_by: (*by).into(), origin: "here".into() })
        .collect();
    of_keys(&target, &named, facts, keys).0
}

fn key(provider: &str, name: &str, endpoint: Option<&str>) -> Held<S3Key> {
    let entry = S3Key {
        provider: provider.into(),
        name: name.into(),
        origin: "a file".into(),
        access_key_id: Fact::Present(format!("KEY-{name}")),
        endpoint: endpoint.map(str::to_owned).into(),
        region: Fact::Absent,
        account: Fact::Absent,
        chosen: Fact::Present(false),
        placeholder: Fact::Present(false),
        fingerprint: Fact::Unobserved(Reason::Withheld),
    };
    Held { secret: Some(Secret::from("secret")), ..Held::bare(entry) }
}

fn seen() -> Facts {
    let mut facts = Facts::default();
    facts.credentials.s3 = Fact::Present(List::default());
    facts.network.proxies = Fact::Present(List::default());
    facts.network.names = Fact::Present(List::default());
    facts.nix.settings = Fact::Present(List::default());
    facts
}

/// What is bound to what: use and address.
fn pairs(bindings: &[Binding]) -> Vec<(String, String)> {
    bindings.iter().map(|one| (one.used_by.clone(), one.endpoint.clone())).collect()
}

#[test]
fn a_key_is_for_the_endpoint_that_its_own_configuration_names_and_for_no_other() {
    let named = [
        ("http://10.0.0.1:9000/", "mc alias cache"),
        ("http://10.0.0.2:9000", "AWS_ENDPOINT_URL"),
        ("http://10.0.0.3", "CI_SERVER_URL"),
    ];
    let keys = vec![
        key("mc-alias", "cache", Some("http://10.0.0.1:9000")),
        key("mc-alias", "other", Some("http://10.0.0.1:9000")),
        key("environment", "A", Some("http://10.0.0.2:9000")),
        // What another kind of client names is not for this one, and another scheme or port is another endpoint.
        key("environment", "B", Some("http://10.0.0.1:9000")),
        key("environment", "C", Some("https://10.0.0.2:9000")),
        key("environment", "D", Some("http://10.0.0.2:80")),
        key("environment", "E", Some("http://10.0.0.3:80")),
        key("environment", "loose", None),
    ];
    let expected = [("mc-alias cache", "http://10.0.0.1:9000"), ("environment A", "http://10.0.0.2:9000")];
    let expected = expected.map(|(used_by, endpoint)| (used_by.to_owned(), endpoint.to_owned()));
    assert_eq!(pairs(&bindings(&named, &seen(), keys)), expected);
}

#[test]
fn a_substituter_is_read_with_the_key_of_its_profile_else_with_the_chains() {
    let at = "endpoint=10.0.0.1:9000&scheme=http";
    let mut facts = seen();
    facts.nix.substituters = Fact::Present(vec![
        format!("s3://one?{at}&profile=ci&region=eu-north-9"),
        format!("s3://two?{at}"),
        "s3://three?endpoint=10.0.0.9:1&scheme=http".into(),
    ]);
    let mut chosen = key("profile", "default", None);
    chosen.entry.chosen = Fact::Present(true);
    let named = [("http://10.0.0.1:9000", "nix substituters")];
    let bound = bindings(&named, &facts, vec![key("profile", "ci", None), chosen]);
    let seen: Vec<_> = bound
        .iter()
        .map(|one| (one.bucket.as_deref(), one.access_key_id.present().map(String::as_str), one.region.as_str()))
        .collect();
    assert_eq!(seen, [(Some("one"), Some("KEY-ci"), "eu-north-9"), (Some("two"), Some("KEY-default"), "us-east-1")]);
}

#[test]
fn without_a_key_a_substituter_is_asked_as_nobody_only_where_it_is_certain_that_there_is_none() {
    let named = [("http://10.0.0.1:9000", "nix substituters")];
    let mut facts = seen();
    facts.nix.substituters = Fact::Present(vec!["s3://one?endpoint=10.0.0.1:9000&scheme=http".into()]);
    facts.credentials.aws.provider = Fact::Absent;
    let certain = &bindings(&named, &facts, Vec::new())[0];
    assert!(certain.unknown.is_none() && certain.access_key_id == Fact::Absent && certain.secret.is_none());
    facts.credentials.aws.provider = Fact::Present("web-identity".into());
    assert!(bindings(&named, &facts, Vec::new())[0].unknown.is_some());
    facts.credentials.aws.provider = Fact::Unobserved(Reason::NoProcess);
    assert_eq!(bindings(&named, &facts, Vec::new())[0].unknown, Some(Reason::NoProcess));
}

#[test]
fn whether_a_machine_might_give_a_role_is_certain_only_where_it_is_forbidden_or_not_amazons() {
    let named = [("http://10.0.0.1:9000", "nix substituters")];
    let mut facts = seen();
    facts.nix.substituters = Fact::Present(vec!["s3://one?endpoint=10.0.0.1:9000&scheme=http".into()]);
    facts.credentials.aws.provider = Fact::Absent;
    let word = |maker: &str, variables: &[u8]| keyless(&bindings_on(maker, variables, &named, &facts, Vec::new())[0]);
    for maker in ["Amazon EC2", "Xen", ""] {
        assert_eq!(word(maker, b""), "unsigned", "{maker}");
        assert_eq!(word(maker, b"AWS_EC2_METADATA_DISABLED=True\0"), "no-key", "{maker}");
    }
    assert_eq!(word("Dell Inc.", b""), "no-key");
}

#[test]
fn a_runners_key_is_for_the_server_and_the_bucket_of_its_own_cache_section() {
    let mut facts = seen();
    let entry = |short: &str, bucket: Fact<String>| RunnerEntry {
        short: short.into(),
        cache_bucket: bucket,
        ..RunnerEntry::default()
    };
    let entries = vec![
        entry("AbC", Fact::Present("runner".into())),
        entry("DeF", Fact::Absent),
        entry("GhI", Fact::Present("a/b?x".into())),
    ];
    facts.runner.entries = Fact::Present(List::complete(entries));
    let keys = ["AbC", "DeF", "GhI"].map(|short| key("gitlab-runner", short, Some("http://10.0.0.1:9000")));
    let named = [("http://10.0.0.1:9000", "gitlab-runner cache of AbC")];
    let bound = bindings(&named, &facts, keys.into());
    let seen: Vec<_> = bound.iter().map(|one| (one.bucket.as_deref(), one.unknown.is_some())).collect();
    assert_eq!(seen, [(Some("runner"), false), (None, false), (None, true)]);
}

#[test]
fn no_credential_goes_to_an_address_at_which_a_machine_answers_for_itself() {
    for url in
        ["http://169.254.169.254:80", "http://[fe80::1]:9000", "http://[fd00:ec2::254]:80", "http://100.100.100.200:80"]
    {
        let bound = bindings(&[(url, "AWS_ENDPOINT_URL")], &seen(), vec![key("environment", "A", Some(url))]);
        let refused = matches!(bound[0].route, Err(Barred::Unknown(Reason::Disabled { .. })));
        assert!(refused, "{url}");
    }
}

#[test]
fn a_login_goes_to_its_registrys_own_host_and_never_from_tls_to_plain_text() {
    let judged = |registry: &str, judge: &str| {
        let bound = bindings(&[(registry, "AWS_ENDPOINT_URL")], &seen(), vec![key("environment", "A", Some(registry))]);
        let route = bound.into_iter().next().and_then(|one| one.route.ok()).expect("a way");
        route.judged_by(&EndpointUrl::parse(judge)).is_some()
    };
    let registry = "https://10.0.0.1:5050";
    assert!(judged(registry, "https://10.0.0.1:5050/token") && judged(registry, "https://10.0.0.1/jwt/auth"));
    assert!(!judged(registry, "https://10.0.0.2/token") && !judged(registry, "http://10.0.0.1:5050/token"));
    assert!(judged("http://10.0.0.1:5000", "http://10.0.0.1:5000/token"));
    assert!(!judged("http://10.0.0.1:5000", "http://10.0.0.1:5001/token"));
}
