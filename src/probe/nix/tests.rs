//! The settings probe in small roots: what is not there, what can't be looked at, and what is never kept.

use std::os::unix::fs::symlink;

use crate::probe::environment::Environment;
use crate::probe::nix::observe;
use crate::probe::{Target, Wishes};
use crate::snapshot::facts::Nix;
use crate::snapshot::{Fact, Reason};
use crate::sys::Root;
use crate::sys::process::ProcessDirectory;

fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        std::fs::write(path, text).expect("write");
    }
    directory
}

fn seen(directory: &tempfile::TempDir, environment: &Fact<Environment>) -> Nix {
    let root = Root::open(directory.path()).expect("the root");
    let process = ProcessDirectory::open(std::process::id()).expect("our own process").texts();
    observe(&Target {
        root: &root,
        boot: "boot",
        process: &process,
        live: true,
        environment,
        wishes: &Wishes::default(),
        key: None,
        locks: &Ok(Vec::new()),
        incomplete: &[],
    })
}

fn with(files: &[(&str, &str)], variables: &[&str]) -> Nix {
    let environment = Environment::parse(variables.join("\0").as_bytes());
    seen(&root(files), &Fact::Present(environment))
}

const PASSWD: (&str, &str) = (
    "etc/passwd",
    "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/sh\nci:x:1000:100::/home/ci:/bin/sh\nann:x:1001:27::/home/ann:/bin/sh\n",
);
const GROUP: (&str, &str) = ("etc/group", "root:x:0:\nwheel:x:27:ci,gone\nusers:x:100:\n");

#[test]
fn without_any_file_the_defaults_hold_and_nothing_is_asked_for() {
    let nix = with(&[], &["HOME=/home/ci"]);
    assert_eq!(nix.substituters, Fact::Present(vec!["https://cache.nixos.org/".to_owned()]));
    assert_eq!(nix.netrc_file, Fact::Present("/etc/nix/netrc".to_owned()));
    assert_eq!(nix.system_features, Fact::Absent);
    assert_eq!(nix.requests.present().map(|list| list.items.len()), Some(0));
    let files: Vec<_> = nix.files.present().expect("files").items.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(files, ["/etc/nix/nix.conf", "/etc/xdg/nix/nix.conf", "/home/ci/.config/nix/nix.conf"]);
}

#[test]
fn a_home_of_another_user_is_used_by_some_releases_only() {
    let directory = root(&[("home/ci/.config/nix/nix.conf", "cores = 7\n"), PASSWD]);
    if std::os::unix::fs::chown(directory.path().join("home/ci"), Some(1000), None).is_err() {
        assert!(std::env::var_os("CI").is_none(), "this test needs root");
        eprintln!("skipped a_home_of_another_user_is_used_by_some_releases_only: needs root");
        return;
    }
    let seen_with = |version: &str| {
        let binaries = format!("nix/store/00000000000000000000000000000000-nix-{version}/bin");
        let path = directory.path().join(&binaries);
        std::fs::create_dir_all(&path).expect("mkdir");
        std::fs::write(path.join("nix"), "").expect("write");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path.join("nix"), mode).expect("chmod");
        let text = format!("HOME=/home/ci\0PATH=/{binaries}");
        seen(&directory, &Fact::Present(Environment::parse(text.as_bytes())))
    };
    let count = |nix: &Nix| nix.settings.present().expect("settings").items.len();
    assert_eq!(count(&seen_with("2.8.1")), 1);
    assert_eq!(count(&seen_with("2.18.1")), 0);
    assert!(matches!(seen_with("2.11.0").sandbox, Fact::Unobserved(Reason::NotEmulated { .. })));
}

#[test]
fn what_a_user_asks_for_is_told_apart_from_what_the_system_says() {
    let files = [
        ("etc/nix/nix.conf", "substituters = https://one.example\nmax-jobs = 4\n"),
        ("home/ci/.config/nix/nix.conf", "extra-substituters = https://u:secret@two.example/x\nnetrc-file = /n\n"),
    ];
    let nix = with(&files, &["HOME=/home/ci"]);
    let requests: Vec<_> = nix.requests.present().expect("requests").items.iter().collect();
    let told: Vec<_> =
        requests.iter().map(|one| (one.setting.as_str(), one.value.as_str(), one.level.as_str())).collect();
    let expected = [
        ("netrc-file", "/n", "user"),
        ("substituters", "https://one.example", "system"),
        ("substituters", "https://two.example/x", "user"),
    ];
    assert_eq!(told, expected);
    assert_eq!(requests[2].origin, "/home/ci/.config/nix/nix.conf:1");
}

#[test]
fn an_unobserved_environment_leaves_the_settings_unobserved_and_the_usual_files_seen() {
    let files = [("etc/nix/nix.conf", "substituters = https://one.example\n"), PASSWD];
    let nix = seen(&root(&files), &Fact::Unobserved(Reason::NoProcess));
    assert_eq!(nix.substituters, Fact::Unobserved(Reason::NoProcess));
    assert_eq!(nix.trust.everyone, Fact::Unobserved(Reason::NoProcess));
    let settings = nix.settings.present().expect("settings");
    assert_eq!((settings.items.len(), &settings.more), (1, &Some(Reason::NoProcess)));
    let files = nix.files.present().expect("files");
    assert_eq!(files.items[0].exists, Fact::Present(true));
    assert_eq!(files.more, Some(Reason::NoProcess));
}

#[test]
fn a_fifo_or_an_endless_file_in_its_place_is_named_and_hides_nothing() {
    let directory = root(&[("etc/nix/other", "")]);
    let path = directory.path().join("etc/nix/nix.conf");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    let environment = Fact::Present(Environment::parse(b"HOME=/h"));
    let fifo = seen(&directory, &environment);
    let reason = Reason::NotRegular { path: "/etc/nix/nix.conf".into(), found: "fifo".into() };
    assert_eq!(fifo.substituters, Fact::Unobserved(reason.clone()));
    assert_eq!(fifo.files.present().expect("files").items[0].readable, Fact::Unobserved(reason));
    std::fs::remove_file(&path).expect("remove");
    std::fs::File::create(&path).and_then(|file| file.set_len(1 << 40)).expect("a sparse file");
    assert!(matches!(seen(&directory, &environment).sandbox, Fact::Unobserved(Reason::Truncated { .. })));
}

#[test]
fn a_file_that_includes_itself_ends_and_is_fatal() {
    let nix = with(&[("etc/nix/nix.conf", "cores = 2\n!include nix.conf\n")], &["HOME=/h"]);
    let problems = &nix.problems.present().expect("problems").items;
    assert_eq!((problems.len(), problems[0].origin.as_str()), (1, "/etc/nix/nix.conf:2"));
    assert!(problems[0].fatal);
    let fork = [("etc/nix/nix.conf", &*"!include a\n".repeat(200)), ("etc/nix/a", "cores = 1\n")];
    assert!(matches!(with(&fork, &["HOME=/h"]).sandbox, Fact::Unobserved(Reason::Truncated { .. })));
}

#[test]
fn an_include_that_is_missing_stops_nix_unless_it_is_optional() {
    let at = |text| with(&[("etc/nix/nix.conf", text)], &["HOME=/h"]);
    assert!(matches!(at("include gone\n").sandbox, Fact::Unobserved(Reason::Malformed { line: Some(1), .. })));
    assert_eq!(at("!include gone\n").sandbox, Fact::Present("true".to_owned()));
}

#[test]
fn an_include_stays_beneath_the_root() {
    let directory = root(&[("etc/nix/nix.conf", "!include ../../../../../etc/hostname\n!include link\n")]);
    symlink("/etc/passwd", directory.path().join("etc/nix/link")).expect("symlink");
    let nix = seen(&directory, &Fact::Present(Environment::parse(b"HOME=/h")));
    assert_eq!(nix.settings.present().expect("settings").items, []);
}

#[test]
fn where_the_release_is_unknown_an_order_that_matters_is_not_made_up() {
    let files = [
        ("etc/nix/nix.conf", "netrc-file = /a\ninclude part\nsandbox = false\n"),
        ("etc/nix/part", "netrc-file = /b\nsandbox = relaxed\n"),
    ];
    let nix = with(&files, &["HOME=/h"]);
    assert!(matches!(nix.netrc_file, Fact::Unobserved(Reason::NotEmulated { .. })));
    assert_eq!(nix.sandbox, Fact::Present("false".to_owned()));
}

#[test]
fn tokens_and_passwords_are_never_kept() {
    let files = [(
        "etc/nix/nix.conf",
        "access-tokens = github.com=CANARY\nextra-access-tokens = a=CANARY\nmy-password = CANARY\n\
         substituters = https://u:CANARY@c.example?token=CANARY\nstore = ssh-ng://u:CANARY@h\naccess-tokens=x=CANARY\n",
    )];
    let nix = with(&files, &["HOME=/h", "NIX_CONFIG=access-tokens = CANARY"]);
    let text = serde_json::to_string(&nix).expect("json");
    assert!(text.contains("access-tokens") && !text.contains("CANARY"), "{text}");
}

#[test]
fn a_password_of_a_builder_is_not_kept_with_or_without_a_scheme() {
    let builders = "builders = ssh://u:CANARY1@a.invalid x86_64-linux /k 4 ; u:CANARY2@c.invalid - -;v:CANARY3@d?ssh-key=/k @/etc/nix/m\n";
    let nix = with(&[("etc/nix/nix.conf", builders)], &["HOME=/h"]);
    let text = serde_json::to_string(&nix).expect("json");
    assert!(!text.contains("CANARY"), "{text}");
    let shown = "ssh://a.invalid x86_64-linux /k 4 ; c.invalid - -;d?ssh-key=/k @/etc/nix/m";
    assert!(text.contains(shown), "{text}");
}

#[test]
fn trust_is_by_name_and_by_group_as_the_daemon_asks() {
    let conf = ("etc/nix/nix.conf", "trusted-users = toor root @wheel 4242 gone\nallowed-users = @users *\n");
    let trust = with(&[conf, PASSWD, GROUP], &["HOME=/h"]).trust;
    // uid 0 is `root`, its first name; ci is a member of wheel; 4242 has no name, so its number is its name.
    assert_eq!(trust.uids, Fact::Present(vec![0, 1000, 4242]));
    assert_eq!(trust.gids, Fact::Present(vec![27]));
    assert_eq!((trust.everyone, trust.admits_everyone), (Fact::Present(false), Fact::Present(true)));
    assert_eq!((trust.admitted_uids, trust.admitted_gids), (Fact::Present(vec![]), Fact::Present(vec![100])));
}

#[test]
fn the_second_name_of_a_uid_is_trusted_by_nobody() {
    let conf = ("etc/nix/nix.conf", "trusted-users = toor\n");
    assert_eq!(with(&[conf, PASSWD, GROUP], &["HOME=/h"]).trust.uids, Fact::Present(vec![]));
}

#[test]
fn a_name_that_only_a_directory_service_could_know_is_unobserved() {
    let conf = ("etc/nix/nix.conf", "trusted-users = root @admins\n");
    let switch = ("etc/nsswitch.conf", "passwd: files sss # ldap\ngroup: files [NOTFOUND=return] systemd\n");
    let trust = with(&[conf, switch, PASSWD, GROUP], &["HOME=/h"]).trust;
    assert!(matches!(trust.uids, Fact::Unobserved(Reason::NotEmulated { .. })));
    assert_eq!(trust.everyone, Fact::Present(false));
}

#[test]
fn a_file_changed_after_the_process_started_is_newer_than_it() {
    let directory = root(&[("etc/nix/nix.conf", "")]);
    let file = std::fs::File::options().write(true).open(directory.path().join("etc/nix/nix.conf")).expect("open");
    let environment = Fact::Present(Environment::parse(b"HOME=/h"));
    let newer = || seen(&directory, &environment).files.present().expect("files").items[0].newer_than_process.clone();
    file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(60)).expect("touch");
    assert_eq!(newer(), Fact::Present(true));
    file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(86_400)).expect("touch");
    assert_eq!(newer(), Fact::Present(false));
}
