//! A home directory of every kind of credential, and canaries: secrets that must be in nothing that leaves the probe.

mod canaries;

use canaries::everything;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;

use super::observe;
use crate::probe::environment::Environment;
use crate::probe::{Account, Target, Wishes};
use crate::snapshot::endpoint::NamedEndpoint;
use crate::snapshot::facts::{Credentials, Nix, S3Key, Setting};
use crate::snapshot::secret::RunKey;
use crate::snapshot::{Fact, List, Reason};
use crate::sys::process::{ProcessDirectory, ProcessTexts};
use crate::sys::{LookError, Root};

/// A root directory, the environment, and what the probe is told.
struct World {
    directory: tempfile::TempDir,
    environment: Fact<Environment>,
    nix: Nix,
    wishes: Wishes,
    key: Option<RunKey>,
    incomplete: Vec<String>,
}

impl World {
    /// A user with this environment, whose home by passwd is `/home/passwd`.
    fn new(environment: &str) -> Self {
        let parsed = Environment::parse(environment.replace('\n', "\0").as_bytes());
        let uid = rustix::process::geteuid().as_raw();
        let world = Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
            environment: Fact::Present(parsed),
            nix: Nix { netrc_file: Fact::Absent, ..Nix::default() },
            wishes: Wishes::default(),
            key: Some(RunKey::new(vec![7; 32])),
            incomplete: Vec::new(),
        };
        world.file("/etc/passwd", &format!("me:x:{uid}:0::/home/passwd:/bin/sh\n"));
        world
    }

    fn unobserved(reason: Reason) -> Self {
        Self { environment: Fact::Unobserved(reason), ..Self::new("") }
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.inside(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        std::fs::write(path, text).expect("write");
    }

    fn inside(&self, path: &str) -> std::path::PathBuf {
        self.directory.path().join(path.trim_start_matches('/'))
    }

    fn look(&self) -> (Credentials, Vec<NamedEndpoint>) {
        let process: ProcessTexts = ProcessDirectory::open(std::process::id()).expect("our own process").texts();
        let root = Root::open(self.directory.path()).expect("the root");
        let locks = Err(LookError::NotFound { path: "/proc/locks".into() });
        let target = Target {
            root: &root,
            boot: "boot",
            process: &process,
            live: true,
            environment: &self.environment,
            wishes: &self.wishes,
            key: self.key.as_ref(),
            locks: &locks,
            incomplete: &self.incomplete,
        };
        observe(&target, &self.nix)
    }

    fn keys(&self) -> List<S3Key> {
        self.look().0.s3.present().expect("a list").clone()
    }
}

fn present<T: Clone>(fact: &Fact<T>) -> T {
    fact.present().expect("present").clone()
}

const MC: &str = r#"{"version":"10","aliases":{
 "cache":{"url":"https://u:p@S3.example","accessKey":"AKMC","secretKey":"canary-mc/json+1=="},
 "s3":{"url":"https://s3.amazonaws.com","accessKey":"YOUR-ACCESS-KEY-HERE","secretKey":"YOUR-SECRET-KEY-HERE"},
 "local":{"url":"http://localhost:9000","accessKey":"","secretKey":""}}}"#;

#[test]
fn two_spellings_of_one_key_and_endpoint_are_equal_in_all_that_is_compared() {
    let mut world = World::new(
        "HOME=/home/me\nAWS_ACCESS_KEY_ID=AKMC\nAWS_SECRET_ACCESS_KEY=canary-mc/json+1==\nAWS_ENDPOINT_URL=https://s3.example/",
    );
    world.wishes.accounts = vec![Account { name: "store".into(), endpoint: "https://S3.example:443".into() }];
    world.file("/home/me/.mc/config.json", MC);
    let keys = world.keys();
    let (environment, alias) = (&keys.items[0], &keys.items[1]);
    assert_eq!((environment.provider.as_str(), alias.provider.as_str()), ("environment", "mc-alias"));
    assert_eq!(environment.fingerprint, alias.fingerprint);
    assert_eq!(environment.access_key_id, alias.access_key_id);
    assert_eq!(present(&alias.endpoint), "https://s3.example:443");
    assert_eq!(environment.endpoint, alias.endpoint);
    assert_eq!((present(&environment.account), present(&alias.account)), ("store".into(), "store".into()));
    assert_eq!(alias.origin, "/home/me/.mc/config.json:2");
    assert_eq!((present(&environment.chosen), present(&alias.chosen)), (true, false));
    assert_eq!(keys.more, None);
}

#[test]
fn an_alias_that_mc_wrote_itself_names_no_endpoint_and_is_a_placeholder() {
    let world = World::new("HOME=/home/me");
    world.file("/home/me/.mcli/config.json", MC);
    let (credentials, named) = world.look();
    let named: Vec<_> = named.iter().map(|named| (named.url.as_str(), named.named_by.as_str())).collect();
    assert_eq!(named, [("https://s3.example/", "mc alias cache")]);
    let keys = present(&credentials.s3).items;
    let by_name = |name: &str| keys.iter().find(|key| key.name == name).expect("the alias").clone();
    assert_eq!(by_name("s3").placeholder, Fact::Present(true));
    assert_eq!((by_name("local").access_key_id, by_name("local").fingerprint), (Fact::Absent, Fact::Absent));
}

#[test]
fn the_profile_in_effect_decides_where_the_environment_has_no_keys() {
    let world = World::new("HOME=/home/me\nAWS_PROFILE=ci");
    world.file(
        "/home/me/.aws/credentials",
        "[default]\naws_access_key_id=A\naws_secret_access_key=a\n[ci]\naws_access_key_id=B\naws_secret_access_key=b\n",
    );
    world.file(
        "/home/me/.aws/config",
        "[profile ci]\nregion=garage\nservices=local\n[services local]\ns3 =\n  endpoint_url = http://store:3900\n",
    );
    let (credentials, named) = world.look();
    let aws = &credentials.aws;
    assert_eq!(
        (present(&aws.provider), present(&aws.profile), present(&aws.half)),
        ("profile".into(), "ci".into(), false)
    );
    assert_eq!((present(&aws.region), present(&aws.endpoint)), ("garage".into(), "http://store:3900".into()));
    let keys = present(&credentials.s3).items;
    let chosen: Vec<_> = keys.iter().map(|key| (key.name.as_str(), present(&key.chosen))).collect();
    assert_eq!(chosen, [("default", false), ("ci", true)]);
    assert_eq!(keys[1].origin, "/home/me/.aws/credentials:5");
    assert_eq!((named[0].url.as_str(), named[0].origin.as_str()), ("http://store:3900/", "/home/me/.aws/config:6"));
}

#[test]
fn a_profile_that_is_nowhere_is_a_fact_and_not_a_gap() {
    let world = World::new("HOME=/home/me\nAWS_PROFILE=gone");
    let aws = world.look().0.aws;
    assert_eq!((aws.profile_exists, aws.provider), (Fact::Present(false), Fact::Absent));
}

#[test]
fn half_a_set_in_the_environment_leaves_open_what_the_clients_do_next() {
    let world = World::new("HOME=/home/me\nAWS_ACCESS_KEY_ID=A\nAWS_SECRET_ACCESS_KEY=");
    world.file("/home/me/.aws/credentials", "[default]\naws_access_key_id=B\naws_secret_access_key=b\n");
    let credentials = world.look().0;
    assert_eq!(
        (credentials.aws.provider.clone(), credentials.aws.half),
        (Fact::Present("environment".into()), Fact::Present(true))
    );
    let keys = present(&credentials.s3).items;
    assert_eq!((keys[0].chosen.clone(), keys[0].fingerprint.clone()), (Fact::Present(false), Fact::Absent));
    assert!(matches!(keys[1].chosen, Fact::Unobserved(Reason::NotEmulated { .. })));
}

#[test]
fn a_user_without_a_process_has_the_files_of_his_passwd_home_and_no_chain() {
    let world = World::unobserved(Reason::NoProcess);
    world.file("/home/passwd/.aws/credentials", "[default]\naws_access_key_id=B\naws_secret_access_key=b\n");
    let credentials = world.look().0;
    let keys = present(&credentials.s3);
    assert_eq!((keys.items.len(), keys.more), (1, None));
    assert_eq!(keys.items[0].chosen, Fact::Unobserved(Reason::NoProcess));
    assert_eq!(credentials.aws.provider, Fact::Unobserved(Reason::NoProcess));
}

#[test]
fn an_environment_that_could_not_be_read_leaves_every_list_open() {
    let reason = Reason::Unreadable { path: "/proc/9/environ".into(), errno: "EACCES".into() };
    let credentials = World::unobserved(reason.clone()).look().0;
    assert_eq!(present(&credentials.s3).more, Some(reason.clone()));
    assert_eq!(present(&credentials.netrc).more, Some(reason.clone()));
    assert_eq!(present(&credentials.registries).more, Some(reason.clone()));
    assert_eq!(present(&credentials.files).more, Some(reason));
}

#[test]
fn a_fifo_a_directory_and_an_endless_file_end_in_reasons() {
    let world = World::new("HOME=/home/me\nNETRC=/pipe\nDOCKER_CONFIG=/docker");
    nix::unistd::mkfifo(&world.inside("/pipe"), nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    std::fs::create_dir_all(world.inside("/home/me/.mc/config.json")).expect("mkdir");
    world.file("/docker/config.json", &" ".repeat((1 << 20) + 1));
    let credentials = world.look().0;
    let is_not_regular = |more: Option<Reason>| matches!(more, Some(Reason::NotRegular { .. }));
    assert!(is_not_regular(present(&credentials.netrc).more));
    assert!(is_not_regular(present(&credentials.s3).more));
    assert!(matches!(present(&credentials.registries).more, Some(Reason::Truncated { .. })));
}

#[test]
fn a_file_that_the_kernel_refuses_is_neither_there_nor_missing() {
    let world = World::new("HOME=/home/me");
    world.file("/home/me/.mc/other", "");
    std::os::unix::fs::symlink("config.json", world.inside("/home/me/.mc/config.json")).expect("symlink");
    let credentials = world.look().0;
    let reason = Reason::Unreadable { path: "/home/me/.mc/config.json".into(), errno: "ELOOP".into() };
    assert_eq!(present(&credentials.s3).more, Some(reason.clone()));
    let files = present(&credentials.files).items;
    let file = files.iter().find(|file| file.purpose == "mc").expect("the file");
    assert_eq!((&file.exists, &file.readable), (&Fact::Unobserved(reason.clone()), &Fact::Unobserved(reason)));
}

#[test]
fn an_incomplete_identity_says_nothing_of_what_our_own_rights_reach() {
    let mut world = World::new("HOME=/home/me");
    world.incomplete = vec!["gid 7".into()];
    world.file("/home/me/.mc/config.json", MC);
    let credentials = world.look().0;
    let keys = present(&credentials.s3);
    assert!(keys.items.is_empty() && matches!(keys.more, Some(Reason::IdentityIncomplete { .. })));
}

#[test]
fn every_file_that_was_looked_at_is_a_fact_with_its_mode() {
    let mut world = World::new("HOME=/home/me\nNETRC=~/own");
    world.nix.netrc_file = Fact::Present("/etc/nix/netrc".into());
    world.file("/home/me/own", "machine a password p");
    let mode = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(world.inside("/home/me/own"), mode).expect("chmod");
    let files = present(&world.look().0.files).items;
    let of = |purpose: &str| files.iter().find(|file| file.purpose == purpose).expect("the file").clone();
    assert_eq!((of("netrc").path.as_str(), of("netrc").named_by.as_str()), ("/home/me/own", "NETRC"));
    assert_eq!((of("netrc").mode, of("netrc").readable), (Fact::Present("0640".into()), Fact::Present(true)));
    assert_eq!((of("nix-netrc").exists, of("nix-netrc").mode), (Fact::Present(false), Fact::Absent));
}

#[test]
fn a_substituter_that_a_file_names_is_an_endpoint_and_the_default_is_none() {
    let mut world = World::new("HOME=/home/me");
    let substituters = [
        "https://cache.nixos.org/",
        "https://u:p@cache.example/x?priority=1",
        "s3://b?endpoint=store:9000&scheme=http",
        "s3://b?region=eu-west-1",
        "/mnt",
    ];
    world.nix.substituters = Fact::Present(substituters.map(str::to_owned).to_vec());
    assert!(world.look().1.is_empty());
    let setting =
        Setting { name: "substituters".into(), origins: vec!["/etc/nix/nix.conf:3".into()], ..Setting::default() };
    world.nix.settings = Fact::Present(List::complete(vec![setting]));
    let named = world.look().1;
    let urls: Vec<_> = named.iter().map(|named| named.url.as_str()).collect();
    assert_eq!(urls, ["http://store:9000/", "https://cache.example/x", "https://s3.eu-west-1.amazonaws.com/"]);
    assert_eq!(named[0].origin, "/etc/nix/nix.conf:3");
}

/// Everything that leaves the probe, as text.
#[test]
fn a_run_without_a_key_withholds_fingerprints_and_nothing_else() {
    let mut world = World::new("HOME=/home/me");
    world.key = None;
    world.file("/home/me/.mc/config.json", MC);
    let keys = world.keys();
    assert_eq!(keys.items[0].fingerprint, Fact::Unobserved(Reason::Withheld));
    assert_eq!(keys.items[0].access_key_id, Fact::Present("AKMC".into()));
}

#[test]
fn a_secret_in_the_place_of_a_public_half_is_not_shown() {
    let world = World::new("HOME=/home/me\nAWS_ACCESS_KEY_ID=canary/canary+canary\nAWS_SECRET_ACCESS_KEY=AK");
    world.file(
        "/home/me/.netrc",
        "machine a login glpat-canary password x\nmachine b login canary password x-oauth-basic\n",
    );
    let text = everything(&world);
    assert!(!text.contains("canary"), "{text}");
    assert!(text.contains("/home/me/.netrc"));
}

mod names;
