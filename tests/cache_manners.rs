//! What is said to a binary cache, and what is not: logins go to the host that they are for and to nobody else, never before they are asked for, never
//! on a redirect, and not at all with `--no-credentials`. Through the binary, with listeners of this test on loopback.
#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// `cAnArY-password`, with the user `ci`, as `Basic` has it.
const SHOWN: &str = "Basic Y2k6Y0FuQXJZLXBhc3N3b3Jk";

/// A path, and the login that was shown with it.
type Asked = (String, Option<String>);

/// A listener that answers every request by this function of its path and its login, and keeps them.
struct Listener {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Listener {
    fn new(address: &str, answer: impl Fn(&str, Option<&str>) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut bytes = [0; 8192];
                let count = stream.read(&mut bytes).unwrap_or_default();
                let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
                let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
                let login = text.lines().find_map(|line| line.strip_prefix("authorization: ")).map(str::to_owned);
                kept.lock().expect("a list").push((path.clone(), login.clone()));
                let _ = stream.write_all(answer(&path, login.as_deref()).as_bytes());
            }
        });
        Self { port, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("a list").clone()
    }

    fn logins(&self) -> usize {
        self.asked().iter().filter(|(_, login)| login.is_some()).count()
    }
}

fn answer(status: &str, more: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

const INFO: &str = "StoreDir: /nix/store\nPriority: 30\n";

/// The caches that `parallax probe` saw with this configuration, by URL.
fn probe(substituters: &str, netrc: &str, arguments: &[&str]) -> Vec<Value> {
    probe_with(&[], substituters, netrc, arguments)
}

/// The same, in an environment with these variables.
fn probe_with(variables: &[(&str, &str)], substituters: &str, netrc: &str, arguments: &[&str]) -> Vec<Value> {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).expect("written");
    let path = |name: &str| directory.path().join(name).display().to_string();
    write("netrc", netrc);
    write("nix.conf", &format!("substituters = {substituters}\nnetrc-file = {}\n", path("netrc")));
    write("parallax.toml", "[[cache]]\npath = \"/nix/store/00000000000000000000000000000000-demo\"\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_parallax"));
    command.args(["probe", "--config", &path("parallax.toml")]).args(arguments).env_clear().current_dir("/");
    command.envs(variables.iter().copied());
    command.env("NIX_CONF_DIR", directory.path()).env("HOME", directory.path());
    let output = command.output().expect("parallax runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("cAnArY"), "no password is in a snapshot");
    let snapshot: Value = serde_json::from_str(&text).expect("a snapshot");
    snapshot["facts"]["caches"]["served"].as_array().expect("caches").clone()
}

const NETRC: &str = "machine 127.0.0.1 login ci password cAnArY-password\n";

#[test]
fn a_login_is_shown_to_its_host_after_it_was_refused_without_and_to_no_other() {
    let private = Listener::new("127.0.0.1", |_, login| match login {
        Some(SHOWN) => answer("200 OK", "", INFO),
        _ => answer("401 Unauthorized", "", ""),
    });
    let open = Listener::new("127.0.0.1", |_, _| answer("200 OK", "", INFO));
    let other = Listener::new("127.0.0.2", |_, _| answer("401 Unauthorized", "", ""));
    let urls = [("127.0.0.1", private.port), ("127.0.0.1", open.port), ("127.0.0.2", other.port)];
    let urls = urls.map(|(host, port)| format!("http://{host}:{port}")).join(" ");
    let caches = probe(&urls, NETRC, &[]);
    let admitted: Vec<&Value> = caches.iter().map(|cache| &cache["admitted"]).collect();
    assert_eq!(admitted, [true, true, false]);
    assert_eq!((&caches[0]["status"], &caches[0]["login_status"]), (&Value::from(401), &Value::from(200)));
    assert!(caches[0]["login"].as_str().expect("an origin").ends_with("/netrc:1"));
    assert_eq!(caches[2]["login"], Value::Null, "there is no login for that host");
    assert_eq!(private.asked()[0].1, None, "asked without one first");
    assert!(private.logins() > 0 && open.logins() == 0 && other.logins() == 0);
}

#[test]
fn a_redirect_is_not_followed_and_leads_no_login_away() {
    let catcher = Listener::new("127.0.0.1", |_, _| answer("200 OK", "", INFO));
    let to = format!("Location: http://127.0.0.1:{}/nix-cache-info\r\n", catcher.port);
    let sends_away = Listener::new("127.0.0.1", move |_, login| match login {
        None => answer("401 Unauthorized", "", ""),
        Some(_) => answer("302 Found", &to, ""),
    });
    let caches = probe(&format!("http://127.0.0.1:{}", sends_away.port), NETRC, &[]);
    assert_eq!(caches[0]["login_status"], 302);
    assert_eq!(caches[0]["admitted"], Value::Null);
    assert_eq!(catcher.asked(), [], "nobody came");
}

#[test]
fn without_credentials_none_is_shown_and_whether_it_would_be_admitted_is_not_known() {
    let private = Listener::new("127.0.0.1", |_, _| answer("401 Unauthorized", "", ""));
    let caches = probe(&format!("http://127.0.0.1:{}", private.port), NETRC, &["--no-credentials"]);
    assert_eq!(private.logins(), 0);
    assert_eq!(caches[0]["status"], 401);
    assert!(caches[0].get("admitted").is_none() && caches[0].get("login_status").is_none(), "unobserved: {caches:#?}");
}

#[test]
fn the_user_part_of_an_address_is_the_login_for_it() {
    let private = Listener::new("127.0.0.1", |_, login| match login {
        Some(SHOWN) => answer("200 OK", "", INFO),
        _ => answer("401 Unauthorized", "", ""),
    });
    let caches = probe(&format!("http://ci:cAnArY-password@127.0.0.1:{}", private.port), "", &[]);
    assert_eq!(
        (&caches[0]["admitted"], &caches[0]["login"]),
        (&Value::from(true), &Value::from("the substituter's own URL"))
    );
}

#[test]
fn a_cache_that_says_nonsense_or_too_much_is_unclear_and_never_trusted() {
    let hostile = Listener::new("127.0.0.1", |path, _| match path {
        "/nix-cache-info" => answer("200 OK", "", INFO),
        _ => answer("200 OK", "", &"StorePath: x\n".repeat(100_000)),
    });
    let moody = Listener::new("127.0.0.1", |path, _| match path {
        "/nix-cache-info" => answer("200 OK", "", INFO),
        _ => answer("500 Internal Server Error", "", ""),
    });
    let empty = Listener::new("127.0.0.1", |path, _| match path {
        "/nix-cache-info" => answer("200 OK", "", INFO),
        _ => answer("404 Not Found", "", ""),
    });
    let urls = [hostile.port, moody.port, empty.port].map(|port| format!("http://127.0.0.1:{port}")).join(" ");
    let caches = probe(&urls, "", &[]);
    assert!(caches[0].get("paths").is_none(), "unobserved: {:#}", caches[0]);
    assert!(caches[1].get("paths").is_none(), "unobserved: {:#}", caches[1]);
    assert_eq!(caches[2].get("paths"), Some(&Value::Null), "asked, and not there");
}

/// The key of the environment, which the AWS chain ends in.
const KEY: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "PUBLICKEY"), ("AWS_SECRET_ACCESS_KEY", "cAnArY-secret")];

/// An object store that lets in who signs with that key, or everybody.
fn store(everybody: bool) -> Listener {
    Listener::new("127.0.0.1", move |path, login| {
        let signed = login.is_some_and(|login| login.contains("Credential=PUBLICKEY/"));
        match path {
            _ if !signed && !everybody => answer("403 Forbidden", "", "<Error><Code>AccessDenied</Code></Error>"),
            "/cache/nix-cache-info" => answer("200 OK", "", INFO),
            _ => answer("404 Not Found", "", "<Error><Code>NoSuchKey</Code></Error>"),
        }
    })
}

fn bucket(store: &Listener) -> String {
    format!("s3://cache?endpoint=127.0.0.1:{}&scheme=http", store.port)
}

#[test]
fn a_bucket_is_shown_a_signature_by_the_key_that_nix_would_take_and_no_other_cache_is() {
    let (private, open) = (store(false), Listener::new("127.0.0.1", |_, _| answer("200 OK", "", INFO)));
    let urls = format!("{} http://127.0.0.1:{}", bucket(&private), open.port);
    let caches = probe_with(&KEY, &urls, NETRC, &[]);
    assert_eq!(caches[0]["url"], format!("s3://cache?endpoint=http://127.0.0.1:{}", private.port));
    assert_eq!((&caches[0]["kind"], &caches[0]["admitted"]), (&Value::from("s3"), &Value::from(true)));
    assert_eq!((&caches[0]["login"], &caches[0]["login_status"]), (&Value::from(KEY[0].0), &Value::from(200)));
    assert_eq!(caches[0].get("paths"), Some(&Value::Null), "asked, and not there");
    let asked = private.asked();
    let of_cache = asked.iter().filter(|(path, _)| path.starts_with("/cache/"));
    assert!(of_cache.clone().count() >= 2 && of_cache.clone().all(|(_, login)| login.is_some()), "{asked:?}");
    assert_eq!(open.logins(), 0);
}

#[test]
fn a_bucket_is_asked_without_a_key_only_where_there_is_none() {
    let (private, public) = (store(false), store(true));
    let caches = probe_with(&KEY, &bucket(&private), "", &["--no-credentials"]);
    let of_cache = |store: &Listener| store.asked().iter().filter(|(path, _)| path.starts_with("/cache/")).count();
    assert_eq!((of_cache(&private), private.logins()), (0, 0), "nothing that says less than the key would");
    assert!(caches[0].get("admitted").is_none() && caches[0].get("paths").is_none(), "unobserved: {caches:#?}");
    let both = format!("{} {}", bucket(&public), bucket(&private));
    let caches = probe_with(&[("AWS_EC2_METADATA_DISABLED", "true")], &both, "", &["--no-credentials"]);
    assert_eq!((&caches[0]["admitted"], &caches[0]["login"]), (&Value::from(true), &Value::Null));
    assert_eq!((&caches[1]["admitted"], &caches[1]["status"]), (&Value::from(false), &Value::from(403)));
    let caches = probe(&both, "", &["--no-credentials"]);
    let refused = (&caches[1]["admitted"], &caches[1]["status"]);
    let vendor = std::fs::read_to_string("/sys/class/dmi/id/sys_vendor").unwrap_or_default();
    // Nix would go on to ask the machine for a role; only where its maker is known to give none is the refusal the last word.
    let may_have_role = vendor.trim().is_empty() || ["Amazon", "Xen"].iter().any(|maker| vendor.starts_with(maker));
    let last_word = if may_have_role { Value::Null } else { Value::from(false) };
    assert_eq!(refused, (&last_word, &Value::from(403)));
    assert_eq!((public.logins(), private.logins()), (0, 0));
}

#[test]
fn a_store_that_is_in_no_state_to_answer_leaves_the_bucket_unclear() {
    let busy = |path: &str, _: Option<&str>| match path {
        "/cache/nix-cache-info" => answer("200 OK", "", INFO),
        _ => answer("503 Service Unavailable", "", "<Error><Code>SlowDown</Code></Error>"),
    };
    let packed = |path: &str, _: Option<&str>| match path {
        "/cache/nix-cache-info" => answer("200 OK", "", INFO),
        _ => answer("200 OK", "Content-Encoding: xz\r\n", "StorePath: x\n"),
    };
    let away = |_: &str, _: Option<&str>| answer("307 Temporary Redirect", "Location: http://127.0.0.2/\r\n", "");
    let (busy, packed) = (Listener::new("127.0.0.1", busy), Listener::new("127.0.0.1", packed));
    let away = Listener::new("127.0.0.1", away);
    let urls = [&busy, &packed, &away].map(bucket).join(" ");
    let caches = probe_with(&KEY, &urls, "", &[]);
    assert!(caches[0].get("paths").is_none() && caches[1].get("paths").is_none(), "unobserved: {caches:#?}");
    assert_eq!((caches[2].get("admitted"), &caches[2]["kind"]), (Some(&Value::Null), &Value::from("http")));
}

/// What `parallax probe` says of caches for a home with this `cachix.dhall`, in an environment with these variables.
fn cachix(file: Option<&str>, variables: &[(&str, &str)]) -> Value {
    let home = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(home.path().join(".config/cachix")).expect("mkdir");
    if let Some(file) = file {
        std::fs::write(home.path().join(".config/cachix/cachix.dhall"), file).expect("cachix.dhall");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_parallax"));
    command.arg("probe").env_clear().current_dir("/").env("HOME", home.path()).env("NIX_CONF_DIR", home.path());
    let output = command.envs(variables.iter().copied()).output().expect("parallax runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("cAnArY"), "no token is in a snapshot");
    serde_json::from_str(&text).expect("a snapshot")
}

/// base64 of 64 bytes, of which the last 32 are this one.
fn signing_key(byte: u8) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode([[1; 32], [byte; 32]].concat())
}

#[test]
fn a_signing_key_of_the_environment_goes_before_those_of_cachix_own_file() {
    let (own, other) = (signing_key(2), signing_key(3));
    let file = format!(
        "{{ authToken = \"cAnArY\", hostname = \"http://127.0.0.1:9\", binaryCaches = [ {{ name = \"team\", secretKey = \"{own}\" }} ] }}"
    );
    let of = |variables: &[(&str, &str)]| cachix(Some(&file), variables)["facts"]["caches"].clone();
    let alone = of(&[]);
    let signer = &alone["cachix_signers"][0];
    assert_eq!((&signer["cache"], &signer["in_use"]), (&Value::from("team"), &Value::from(true)));
    assert!(signer["public_key"].as_str().expect("a key").starts_with("team.127.0.0.1-1:AgIC"), "{signer:#}");
    assert_eq!(alone["cachix_caches"][0]["signer"], signer["public_key"]);
    let with = of(&[("CACHIX_SIGNING_KEY", &other), ("CACHIX_AUTH_TOKEN", "cAnArY")]);
    let in_use: Vec<_> = with["cachix_signers"].as_array().expect("keys").iter().map(|key| &key["in_use"]).collect();
    assert_eq!(in_use, [true, false], "the one of the environment signs, whatever the cache: {with:#}");
    assert!(with["cachix_signers"][0]["public_key"].as_str().expect("a key").starts_with("AwMD"));
    assert_eq!(with["cachix"][0]["token"], "CACHIX_AUTH_TOKEN");
    assert_eq!(with["cachix_caches"][0]["signer"], Value::Null, "which key signs for it is not written anywhere");
}

#[test]
fn a_token_without_a_server_beside_it_is_shown_to_nobody_and_a_file_that_is_no_literal_is_unclear() {
    let snapshot = cachix(None, &[("CACHIX_AUTH_TOKEN", "cAnArY")]);
    let caches = &snapshot["facts"]["caches"];
    assert_eq!(caches["cachix"][0]["origin"], "CACHIX_AUTH_TOKEN");
    assert_eq!(caches["cachix_caches"], Value::Array(Vec::new()));
    assert_eq!(snapshot["facts"]["network"]["endpoints"], Value::Array(Vec::new()), "nobody named cachix.org");
    let snapshot = cachix(Some("{ authToken = \"a\"\n, hostname = env:CACHIX_HOST }"), &[]);
    assert!(snapshot["facts"]["caches"].get("cachix").is_none(), "unobserved");
    let reason = &snapshot["unobserved"]["caches.cachix"];
    assert_eq!((&reason["reason"], &reason["line"]), (&Value::from("malformed"), &Value::from(2)), "{reason:#}");
}
