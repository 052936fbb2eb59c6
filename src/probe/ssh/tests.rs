//! Root directories with configurations of Nix and of ssh, and servers that answer nothing, noise, or without end.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::named::of_uri;
use super::observe;
use crate::probe::environment::Environment;
use crate::probe::{Target, Wishes};
use crate::snapshot::facts::{Facts, Passwd, Ssh, SshServer};
use crate::snapshot::{Fact, Reason};
use crate::sys::process::{ProcessDirectory, ProcessTexts};
use crate::sys::{LookError, Root};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";

struct World {
    directory: tempfile::TempDir,
    environment: String,
    incomplete: Vec<String>,
}

impl World {
    fn new(machines: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let world = Self { directory, environment: "HOME=/elsewhere".to_owned(), incomplete: Vec::new() };
        world.file("/etc/nix/machines", machines);
        world
    }

    fn file(&self, path: &str, text: &str) -> std::path::PathBuf {
        let path = self.directory.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        std::fs::write(&path, text).expect("write");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
        path
    }

    fn look(&self, by: Option<&str>) -> Ssh {
        self.with_target_and(by, |target| observe(target, &me()).0)
    }

    fn with_target<T>(&self, then: impl FnOnce(&Target<'_>) -> T) -> T {
        self.with_target_and(None, then)
    }

    fn with_target_and<T>(&self, by: Option<&str>, then: impl FnOnce(&Target<'_>) -> T) -> T {
        let process: ProcessTexts = ProcessDirectory::open(std::process::id()).expect("our own process").texts();
        let root = Root::open(self.directory.path()).expect("the root");
        let locks = Err(LookError::NotFound { path: "/proc/locks".into() });
        let environment = Environment::parse(self.environment.replace('\n', "\0").as_bytes());
        let wishes = Wishes { reach: by.map(str::to_owned), ..Wishes::default() };
        let target = Target {
            root: &root,
            boot: "boot",
            process: &process,
            live: true,
            environment: &Fact::Present(environment),
            wishes: &wishes,
            key: None,
            locks: &locks,
            incomplete: &self.incomplete,
        };
        then(&target)
    }

    /// What ssh says of a key of the only address.
    fn verdict(&self, key: &[u8]) -> (Fact<String>, Fact<String>) {
        self.with_target(|target| {
            let reads = super::reads::Reads::new(target.root);
            let named = super::named::observe(target, &reads).items.remove(0);
            let configuration = super::client::Configuration::read(target, &me().identity, &reads);
            let connection = configuration.connection(&named);
            super::known::Known::read(target, &reads, &named, &connection).verdict(&connection, "ssh-ed25519", key)
        })
    }

    fn server(&self) -> SshServer {
        let mut servers = self.look(None).servers.present().expect("asked").items.clone();
        assert_eq!(servers.len(), 1);
        servers.remove(0)
    }
}

fn me() -> Facts {
    let mut facts = Facts::default();
    let text = |text: &str| Fact::Present(text.to_owned());
    facts.identity.passwd = Passwd { name: text("me"), home: text("/home/me"), ..Passwd::default() };
    facts
}

#[test]
fn an_address_is_told_to_ssh_without_its_parameters_and_nix_needs_no_ssh_for_localhost() {
    let one = of_uri("ssh-ng://nix:pw@b.example?ssh-key=%2Fk&max-connections=2", "nix store", "NIX_REMOTE");
    let one = one.expect("an address");
    assert_eq!(
        (one.url.as_str(), one.user.as_deref(), one.key.as_deref()),
        ("ssh-ng://b.example", Some("nix"), Some("/k"))
    );
    assert_eq!(
        of_uri("ssh://root@[fd00::7]:23", "nix store", "").map(|one| (one.host, one.port)),
        Some(("fd00::7".into(), Some(23)))
    );
    assert_eq!(of_uri("ssh://fd00::7", "nix store", "").map(|one| one.host), Some("fd00::7".into()));
    for none in ["ssh://localhost", "ssh://-oProxyCommand=x", "ssh://", "https://b", "daemon", "ssh://a b"] {
        assert_eq!(of_uri(none, "nix store", ""), None, "{none}");
    }
}

#[test]
fn the_home_directory_is_that_of_the_user_database_and_files_are_included_beneath_the_root() {
    let world = World::new("ssh://Builder x86_64-linux - 1\n");
    world.file("/home/me/.ssh/config", "Include d/*.conf\nHost Builder\n  UserKnownHostsFile ~/k /abs/%h\n");
    world.file("/home/me/.ssh/d/one.conf", "Host Builder\n  HostName %h.LAN\n  Port 2200\n  User nix\n");
    world.file("/elsewhere/.ssh/config", "Port 1\n");
    world.file("/abs/builder.lan", &format!("[builder.lan]:2200 {KEY}\n"));
    let ssh = world.look(Some("--offline"));
    let endpoint = &ssh.endpoints.present().expect("a list").items[0];
    assert_eq!(endpoint.host_name, Fact::Present("builder.lan".into()));
    assert_eq!((&endpoint.port, &endpoint.user), (&Fact::Present(2200), &Fact::Present("nix".to_owned())));
    let files = &ssh.known_hosts.present().expect("a list").items;
    let told: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.keys.present().copied())).collect();
    assert_eq!(told[..2], [("/home/me/k", None), ("/abs/builder.lan", Some(1))]);
    assert_eq!(ssh.servers.reason(), Some(&Reason::Disabled { by: "--offline".into() }));
}

#[test]
fn what_is_not_emulated_is_unobserved_and_a_host_behind_a_proxy_is_never_asked() {
    let world = World::new("ssh://127.0.0.1\n");
    world.file("/home/me/.ssh/config", "Match exec true\n  HostName other\n");
    let server = world.server();
    assert!(matches!(server.connected.reason(), Some(Reason::NotEmulated { .. })), "{server:?}");
    assert!(server.verdict.reason().is_some() && server.host_key.reason().is_some());
    assert!(server.host_name.reason().is_some(), "{server:?}");
    let world = World::new("ssh://127.0.0.1\n");
    world.file("/home/me/.ssh/config", "ProxyJump bastion\n");
    let ssh = world.look(None);
    assert_eq!(ssh.servers.present().map(|list| (list.items.len(), &list.more)), Some((0, &None)));
    assert_eq!(ssh.endpoints.present().expect("a list").items[0].proxy, Fact::Present("ProxyJump".into()));
    // Whether there is one is not known: then the server may be one to ask.
    world.file("/home/me/.ssh/config", "Match exec true\n  ProxyJump bastion\n");
    assert!(world.server().host_key.reason().is_some());
    // Others could have written it: ssh itself stops there.
    let world = World::new("ssh://127.0.0.1\n");
    let file = world.file("/home/me/.ssh/config", "Port 22\n");
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o666)).expect("chmod");
    assert!(world.server().host_name.reason().is_some());
}

#[test]
fn an_identity_that_was_not_taken_on_says_nothing_of_files() {
    let mut world = World::new("ssh://127.0.0.1\n");
    world.incomplete = vec!["gid 7".into()];
    let ssh = world.look(None);
    assert!(matches!(ssh.identities.reason(), Some(Reason::IdentityIncomplete { .. })));
    assert!(ssh.servers.reason().is_some() && ssh.endpoints.reason().is_some());
}

#[test]
fn of_a_private_key_only_the_public_half_is_kept() {
    let string = |bytes: &[u8]| [&u32::try_from(bytes.len()).expect("short").to_be_bytes()[..], bytes].concat();
    let public = STANDARD.decode(KEY.split(' ').nth(1).expect("a key")).expect("base64");
    let canary = b"canary-of-the-private-half-canary-of-the-private-half";
    let parts = [string(b"none"), string(b"none"), string(b""), vec![0, 0, 0, 1], string(&public), string(canary)];
    let body = STANDARD.encode([&b"openssh-key-v1\0"[..], &parts.concat()].concat());
    let world = World::new("ssh://127.0.0.1 - /keys/id\n");
    let file = world
        .file("/keys/id", &format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n"));
    let ssh = world.look(Some("--offline"));
    let identity = &ssh.identities.present().expect("a list").items[0];
    assert_eq!((&identity.usable, &identity.encrypted), (&Fact::Present(true), &Fact::Present(false)));
    assert!(identity.public_key.present().is_some_and(|text| text.starts_with("SHA256:")));
    let text = serde_json::to_string(&ssh).expect("JSON");
    assert!(!text.contains("canary") && !text.contains(&body) && !text.contains(&STANDARD.encode(canary)));
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o640)).expect("chmod");
    let identity = world.look(Some("--offline")).identities.present().expect("a list").items[0].clone();
    assert_eq!((identity.usable, identity.too_open), (Fact::Present(false), Fact::Present(true)));
}

/// A server that does this with its first connection.
fn serve(treat: impl Fn(&mut std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            treat(&mut stream);
        }
    });
    port
}

fn meets(treat: impl Fn(&mut std::net::TcpStream) + Send + 'static) -> SshServer {
    let world = World::new("ssh://127.0.0.1\n");
    world.file("/home/me/.ssh/config", &format!("Port {}\n", serve(treat)));
    let begun = Instant::now();
    let server = world.server();
    assert!(begun.elapsed() < Duration::from_secs(7), "it ends by its deadline");
    assert_eq!(server.connected, Fact::Present(true));
    server
}

#[test]
fn a_server_that_never_speaks_is_unobserved_and_what_speaks_no_ssh_has_no_key() {
    let silent = meets(|stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    assert!(matches!(silent.host_key.reason(), Some(Reason::TimedOut { .. })), "{silent:?}");
    assert!(silent.verdict.reason().is_some() && silent.program.reason().is_some());
    let web = meets(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    });
    assert_eq!((web.host_key, web.program, web.verdict), (Fact::Absent, Fact::Absent, Fact::Absent));
}

#[test]
fn a_server_that_ends_before_its_greeting_is_unobserved_whatever_it_says_instead() {
    for said in ["", "Exceeded MaxStartups\r\n", "Not allowed at this time\r\n"] {
        let full = meets(move |stream| {
            let _ = stream.write_all(said.as_bytes());
        });
        assert!(full.host_key.reason().is_some() && full.verdict.reason().is_some(), "{said:?}: {full:?}");
        assert!(full.program.reason().is_some() && full.key_type.reason().is_some(), "{said:?}: {full:?}");
    }
}

#[test]
fn files_of_builders_that_include_themselves_are_read_once_and_gone_through_so_often_at_most() {
    let world = World::new(&"@/etc/nix/machines\n".repeat(1000));
    let begun = Instant::now();
    let ssh = world.look(Some("--offline"));
    assert!(begun.elapsed() < Duration::from_secs(5));
    let more = ssh.endpoints.present().expect("a list").more.clone();
    assert!(matches!(more, Some(Reason::Truncated { .. })), "{more:?}");
}

#[test]
fn more_files_of_known_hosts_than_the_budget_are_unobserved() {
    let hosts: String = (0..40).map(|host| format!("ssh://h{host}.invalid\n")).collect();
    let world = World::new(&hosts);
    let words: String = (0..30).map(|file| format!(" /known/%h/{file}")).collect();
    world.file("/home/me/.ssh/config", &format!("UserKnownHostsFile{words}\n"));
    let files = world.look(Some("--offline")).known_hosts.present().expect("a list").items.clone();
    let unread = files.iter().filter(|file| matches!(file.keys.reason(), Some(Reason::Truncated { .. }))).count();
    assert!(files.len() > 1000 && unread > files.len() / 2, "{unread} of {}", files.len());
    let world = World::new("ssh://h.invalid\n");
    world.file("/home/me/.ssh/config", &format!("UserKnownHostsFile{}\n", " /known".repeat(33)));
    assert!(world.look(Some("--offline")).known_hosts.present().expect("a list").items.is_empty());
}

#[test]
fn no_value_of_an_option_gets_into_a_fact() {
    for options in [
        "-o ProxyCommand=\"sshpass -p CANARY1\"",
        "-p CANARY1",
        "-o HostName=%CANARY1",
        "-o Port=CANARY1",
        "-o UserKnownHostsFile=~CANARY1",
        "-CANARY1",
    ] {
        let mut world = World::new("ssh://127.0.0.1\n");
        world.environment = format!("HOME=/elsewhere\nNIX_SSHOPTS={options}");
        let text = serde_json::to_string(&world.look(None)).expect("JSON");
        assert!(!text.contains("CANARY"), "{options}: {text}");
    }
}

#[test]
fn what_else_ssh_might_offer_matters_only_while_there_is_no_key_that_it_can_use() {
    let string = |bytes: &[u8]| [&u32::try_from(bytes.len()).expect("short").to_be_bytes()[..], bytes].concat();
    let public = STANDARD.decode(KEY.split(' ').nth(1).expect("a key")).expect("base64");
    let parts = [string(b"none"), string(b"none"), string(b""), vec![0, 0, 0, 1], string(&public), string(b"private")];
    let body = STANDARD.encode([&b"openssh-key-v1\0"[..], &parts.concat()].concat());
    let text = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----\n");
    let world = World::new("ssh://127.0.0.1 - /keys/id\n");
    world.file("/home/me/.ssh/config", "Match exec true\n  IdentityFile /keys/other\n");
    let list = world.look(Some("--offline")).identities.present().expect("a list").clone();
    assert!(list.more.is_some() && list.items[0].alternative.reason().is_some(), "{list:?}");
    world.file("/keys/id", &text);
    let list = world.look(Some("--offline")).identities.present().expect("a list").clone();
    assert_eq!((&list.more, &list.items[0].usable), (&None, &Fact::Present(true)));
}

#[test]
fn where_an_authority_is_known_no_verdict_on_the_bare_key_is_given() {
    let world = World::new("ssh://127.0.0.1\n");
    world.file("/home/me/.ssh/known_hosts", &format!("@cert-authority 127.0.0.* {KEY}\n"));
    let target = "/home/me/.ssh/known_hosts:1".to_owned();
    assert_eq!(world.verdict(b"another key"), (Fact::Present("authority".into()), Fact::Present(target)));
}

#[test]
fn a_server_that_never_ends_is_cut_off_and_never_taken_for_one_that_was_seen() {
    let endless = meets(|stream| {
        let _ = stream.write_all(b"SSH-2.0-Endless_1.0 \x1b[31mred\r\n");
        while stream.write_all(&[0, 0, 0x10, 0, 4, 20, 0, 0].repeat(512)).is_ok() {}
    });
    assert_eq!(endless.program, Fact::Present("Endless_1.0".into()));
    assert!(endless.host_key.reason().is_some() && endless.verdict.reason().is_some(), "{endless:?}");
}
