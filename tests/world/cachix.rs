//! cachix' client beside a stand-in for its server: a small HTTPS server with the documented answers of `api/v1/cache/<name>`, which asks for no login
//! and keeps what it was shown. cachix itself is no package that can be had here. Keys are made by Nix.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::doctor::{Report, assert_twins, doctor};
use crate::engine::{Container, gateway};
use crate::hostile::{JOB, SLEEP};
use crate::image::NIX;
use crate::reaching::{job, shared};
use crate::server::{Authority, Server, page};

/// The server's name; its caches have theirs before it.
const HOST: &str = "cachix.parallax.test";
const CACHE: &str = "team.cachix.parallax.test";

/// A server, two keys for one cache, and a directory for what contexts are configured with.
struct Scene {
    directory: tempfile::TempDir,
    server: Server,
    bundle: String,
}

impl Scene {
    /// Its server gives consumers the public half of the key `present`.
    fn new() -> Self {
        let directory = shared();
        for key in ["present", "former"] {
            let place = |name: String| directory.path().join(name);
            let mut make = Command::new("nix-store");
            make.args(["--generate-binary-cache-key", &format!("{CACHE}-1")]).arg(place(key.to_owned()));
            assert!(make.arg(place(format!("{key}.pub"))).status().expect("nix-store runs").success());
        }
        let authority = Authority::new("Parallax World CA");
        let bundle = authority.bundle(directory.path(), "ca.crt").display().to_string();
        let said = json!({"name": "team", "uri": format!("https://{CACHE}"), "isPublic": false, "permission": "Write",
            "publicSigningKeys": [text(directory.path(), "present.pub")], "githubUsername": "", "preferredCompressionMethod": "ZSTD"})
        .to_string();
        let answer = move |path: &str| match path {
            "/api/v1/cache/team" => format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{said}",
                said.len()
            ),
            path => page(path.ends_with("/nix-cache-info"), "stand-in"),
        };
        let at = (gateway().parse().expect("an address"), 0);
        let server = Server::https(at, &authority.issue_for(&[HOST, CACHE], 2090), answer);
        Self { directory, server, bundle }
    }

    fn url(&self) -> String {
        format!("https://{CACHE}:{}", self.server.port)
    }

    fn options(&self) -> Vec<String> {
        vec![
            format!("--add-host={HOST}:{}", gateway()),
            format!("--add-host={CACHE}:{}", gateway()),
            format!("--volume={}:/etc/ssl/certs/ca-certificates.crt:ro", self.bundle),
        ]
    }

    /// A job that pushes with this token, and with this key or none.
    fn pusher(&self, token: &str, key: Option<&str>) -> Container {
        let home = self.directory.path().join("home");
        std::fs::create_dir_all(home.join(".config/cachix")).expect("mkdir");
        let caches = match key {
            None => "[] : List { name : Text, secretKey : Text }".to_owned(),
            Some(key) => {
                let secret = text(self.directory.path(), key);
                let (_, secret) = secret.split_once(':').expect("a key with a name");
                format!("[ {{ name = \"team\", secretKey = \"{secret}\" }} ]")
            }
        };
        let config = format!(
            "{{ authToken =\n    \"{token}\"\n, hostname = \"https://{HOST}:{}\"\n, binaryCaches = {caches}\n}}\n",
            self.server.port
        );
        std::fs::write(home.join(".config/cachix/cachix.dhall"), config).expect("cachix.dhall");
        let mut options = self.options();
        options.push(format!("--volume={}:/root:ro", home.display()));
        let all: Vec<&str> = JOB.into_iter().chain(options.iter().map(String::as_str)).collect();
        Container::run("parallax-world-push", &all, NIX, SLEEP)
    }

    /// A job with a store of its own that trusts this key.
    fn consumer(&self, key: &str) -> Container {
        let trusted = text(self.directory.path(), &format!("{key}.pub"));
        let options = self.options();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let configuration = format!("{}\ntrusted-public-keys = {trusted}", self.url());
        job(self.directory.path(), "job", &configuration, &options)
    }

    /// Nothing secret was printed, and the token was shown to the server.
    fn assert_secret(&self, report: &Report, token: &str) {
        for secret in [token, &text(self.directory.path(), "present"), &text(self.directory.path(), "former")] {
            let secret = secret.rsplit(':').next().expect("a part");
            assert!(!report.json.to_string().contains(secret) && !report.errors.contains(secret), "nothing is printed");
        }
        let asked = self.server.asked();
        let shown = |head: &str| head.contains(&format!("authorization: Bearer {token}\r\n"));
        assert!(asked.iter().any(|(_, head)| head.starts_with("GET /api/v1/cache/team ") && shown(head)), "{asked:?}");
        assert!(asked.iter().all(|(_, head)| head.starts_with("GET /api/v1/cache/team ") || !head.contains(token)));
    }
}

fn text(directory: &Path, name: &str) -> String {
    std::fs::read_to_string(directory.join(name)).expect("a file").trim().to_owned()
}

fn token(claims: &str) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(r#"{"alg":"HS256"}"#), part(claims), part("cAnArY-signature"))
}

pub fn a_signing_key_that_was_made_anew_for_a_cachix_cache() {
    let (scene, token) = (Scene::new(), token(r#"{"sub":"ci"}"#));
    let run = |key: &str| {
        let (_push, _job) = (scene.pusher(&token, Some(key)), scene.consumer("present"));
        let report = doctor(&[], &[]);
        scene.assert_secret(&report, &token);
        report
    };
    let (broken, repaired) = (run("former"), run("present"));
    assert_twins("cachix-key", &broken, &repaired, "caches/cachix-key", &[&scene.url()]);
    let symptom = broken.row("caches/cachix-signer", &[&scene.url()]);
    assert_eq!(symptom["outcome"], "incoherent", "{symptom:#}");
    assert_eq!(symptom["caused_by"]["check"], "caches/cachix-key", "shown beneath its cause: {symptom:#}");
    assert_eq!(repaired.row("caches/cachix-signer", &[&scene.url()])["outcome"], "coherent");
    // The same where it is the consumer that stayed behind: the server knows the key, and only who reads does not.
    let (_push, _job) = (scene.pusher(&token, Some("present")), scene.consumer("former"));
    let behind = doctor(&[], &[]);
    assert_eq!(behind.row("caches/cachix-key", &[&scene.url()])["outcome"], "coherent");
    let row = behind.row("caches/cachix-signer", &[&scene.url()]);
    assert_eq!((&row["outcome"], &row["caused_by"]), (&json!("incoherent"), &json!(null)), "{row:#}");
}

pub fn a_token_for_cachix_that_has_ended() {
    let scene = Scene::new();
    let run = |claims: &str| {
        let token = token(claims);
        let (_push, _job) = (scene.pusher(&token, None), scene.consumer("present"));
        let report = doctor(&[], &[]);
        assert!(!report.json.to_string().contains(&token) && !report.errors.contains(&token), "no token is printed");
        report
    };
    let (broken, repaired) = (run(r#"{"exp":1700000000}"#), run(r#"{"exp":4102444800}"#));
    repaired.keep("cachix-token-repaired");
    // A warning; recorded, it would stand below what only a run over all contexts sees.
    assert_eq!(broken.row("caches/cachix-token", &[HOST])["outcome"], "incoherent");
    assert_eq!(broken.code, 4, "{:#?}", broken.with_outcome("unknown"));
    assert_eq!(repaired.row("caches/cachix-token", &[HOST])["outcome"], "coherent");
    assert_eq!(repaired.code, 0, "{:#?}", repaired.with_outcome("unknown"));
}
