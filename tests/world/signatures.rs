//! Signed binary caches on a real HTTP server, a real daemon that downloads from them, and Nix's own verdict on the same path.
//!
//! The server is busybox' httpd on the bridge's address; the cache is made by `nix copy`. What parallax says of the daemon must be what the daemon does.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::attic::{Served, StandIn};
use crate::doctor::{Report, assert_twins, doctor};
use crate::engine::{Background, Container, gateway};
use crate::image::NIX;
use crate::nix::NixDaemon;

const JOB: &str = "parallax-world-job";
/// What its context is called.
const ROLE: &str = "job";
const LABELS: [&str; 4] =
    ["--label", "com.gitlab.gitlab-runner.managed=true", "--label", "com.gitlab.gitlab-runner.type=build"];
/// What the cache asks for in the world with a login.
const PASSWORD: &str = "cAnArY-of-the-cache";
/// Nix remembers what a cache said; nothing of it may outlive a configuration.
const FORGETFUL: &str =
    "narinfo-cache-positive-ttl = 0\nnarinfo-cache-negative-ttl = 0\nsandbox = false\ntrusted-users = root\n";

/// A daemon, a cache with one path, and a server before it.
pub struct World {
    pub nix: NixDaemon,
    pub url: String,
    /// The path that the cache serves and the store has not.
    pub path: String,
    _server: Background,
}

impl World {
    /// Builds a path, copies it into a cache, signed by this key or by none, and takes it out of the store.
    pub fn new(signed_by: Option<&str>, password: Option<&str>) -> Self {
        let nix = NixDaemon::start(FORGETFUL);
        for (file, name) in [("present", "world-1"), ("former", "world-1")] {
            let (secret, public) = (nix.text(file), nix.text(&format!("{file}.pub")));
            said(Command::new("nix-store").args(["--generate-binary-cache-key", name, &secret, &public]));
        }
        let expression = "derivation { name = \"served\"; system = builtins.currentSystem; builder = \"/bin/sh\"; \
                          args = [\"-c\" \"echo served > $out\"]; }";
        let path = said(through(&nix, "nix-build").args(["--no-out-link", "-E", expression]));
        let key = signed_by.map(|key| format!("&secret-key={}", nix.text(key))).unwrap_or_default();
        let to = format!("file://{}?compression=none{key}", nix.text("cache"));
        said(through(&nix, "nix").args(["--extra-experimental-features", "nix-command", "copy", "--to", &to, &path]));
        said(through(&nix, "nix-store").args(["--delete", &path]));
        let port =
            std::net::TcpListener::bind("0.0.0.0:0").and_then(|socket| socket.local_addr()).expect("a port").port();
        let (address, rules) = (format!("{}:{port}", gateway()), nix.text("httpd.conf"));
        let rule = password.map(|password| format!("/:user:{password}\n")).unwrap_or_default();
        std::fs::write(&rules, rule).expect("httpd.conf");
        let mut server = Command::new("busybox");
        server.args(["httpd", "-f", "-p", &address, "-h", &nix.text("cache"), "-c", &rules]);
        let server = Background(server.spawn().expect("httpd starts"));
        let begun = Instant::now();
        while std::net::TcpStream::connect(&address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10), "httpd listens");
            std::thread::sleep(Duration::from_millis(50));
        }
        let world = Self { nix, url: format!("http://{address}"), path, _server: server };
        world.write("home/netrc", &format!("machine {} login user password {PASSWORD}\n", gateway()), 1000);
        world.write("home/attic.toml", "", 1000);
        world.write("parallax.toml", &format!("[[cache]]\npath = \"{}\"\n", world.path), 0);
        world
    }

    pub fn key(&self, name: &str) -> String {
        std::fs::read_to_string(self.nix.path(&format!("{name}.pub"))).expect("a key").trim().to_owned()
    }

    pub fn write(&self, name: &str, text: &str, owner: u32) -> PathBuf {
        let file = self.nix.path(name);
        std::fs::create_dir_all(file.parent().expect("a directory")).expect("mkdir");
        std::fs::write(&file, text).expect("written");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(if owner == 0 { 0o644 } else { 0o600 }))
            .expect("chmod");
        chown(&file, Some(owner), Some(owner)).expect("chown");
        file
    }

    /// Gives the daemon a configuration, and looks.
    fn run(&mut self, configuration: &str) -> Report {
        self.look(&format!("substituters = {}\n{configuration}", self.url))
    }

    /// Starts the daemon with this configuration, beside what makes it forget.
    pub fn configure(&mut self, configuration: &str) {
        self.nix.configure(&format!("{FORGETFUL}{configuration}"));
        self.nix.restart();
    }

    /// Gives the daemon this configuration and no other, and looks.
    pub fn look(&mut self, configuration: &str) -> Report {
        self.configure(configuration);
        let configuration = self.nix.text("parallax.toml");
        doctor(&["--config", &configuration], &self.nix.environment())
    }

    /// Whether the daemon downloads the path, and what it said. The path is gone again afterwards.
    fn daemon_takes_it(&self) -> (bool, String) {
        let output = through(&self.nix, "nix-store").args(["--realise", &self.path]).output().expect("nix-store runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            said(through(&self.nix, "nix-store").args(["--delete", &self.path]));
        }
        (output.status.success(), text)
    }

    /// Takes the path out of the store.
    pub fn forget(&self) {
        said(through(&self.nix, "nix-store").args(["--delete", &self.path]));
    }

    /// A job of user 1000 with this nix.conf, beside the daemon's socket and store.
    pub fn job(&self, configuration: &str) -> Container {
        self.client(["-u", "1000:1000", "-e", "HOME=/home/job"], "/home/job", configuration, &[])
    }

    /// A job of this user with this nix.conf in its home.
    pub fn client(&self, user: [&str; 4], home: &str, configuration: &str, more: &[&str]) -> Container {
        let conf = self.write("home/nix.conf", configuration, 1000);
        let (netrc, attic) = (self.nix.path("home/netrc"), self.nix.path("home/attic.toml"));
        let store = self.nix.text("store");
        let mounts = [
            format!("{}:/nix/var/nix/daemon-socket", self.nix.text("var/daemon-socket")),
            format!("{store}:{store}:ro"),
            format!("{}:{home}/.config/nix/nix.conf:ro", conf.display()),
            format!("{}:{home}/.config/nix/netrc:ro", netrc.display()),
            format!("{}:{home}/.config/attic/config.toml:ro", attic.display()),
        ];
        let variable = format!("NIX_STORE_DIR={store}");
        let mut options = LABELS.to_vec();
        mounts.iter().for_each(|mount| options.extend(["-v", mount.as_str()]));
        options.extend(user.iter().chain(&["-e", "NIX_REMOTE=daemon", "-e", variable.as_str()]).chain(more));
        Container::run(JOB, &options, NIX, &["sleep", "900"])
    }
}

/// A Nix program that asks the daemon.
fn through(nix: &NixDaemon, program: &str) -> Command {
    let mut command = Command::new(program);
    command.envs(nix.environment()).env("NIX_REMOTE", "daemon").env("HOME", nix.path("nobody"));
    command
}

/// Runs it and gives what it printed.
fn said(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    assert!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8_lossy(&stdout).trim().to_owned()
}

/// The daemon refuses in the first configuration and takes in the second, and parallax says so of the same row.
fn twins(name: &str, world: &mut World, broken: &str, repaired: &str, standing: &str) {
    let first = world.run(broken);
    let (takes, text) = world.daemon_takes_it();
    assert!(!takes && text.contains("not signed by any of the keys"), "the daemon refuses it: {text}");
    let second = world.run(repaired);
    let (takes, text) = world.daemon_takes_it();
    assert!(takes, "the daemon takes it: {text}");
    assert_twins(name, &first, &second, "caches/trusted-signature", &[&world.url]);
    let row = first.row("caches/trusted-signature", &[&world.url]);
    let message = row["message"].as_str().expect("a message");
    assert!(message.contains(&world.path) && message.contains(standing), "{message}");
}

pub fn a_cache_signed_by_a_key_that_the_daemon_lacks() {
    let mut world = World::new(Some("present"), None);
    let key = world.key("present");
    let _job = world.job(&format!("substituters = {}\nextra-trusted-public-keys = {key}\n", world.url));
    let trusted = format!("extra-trusted-public-keys = {key}\n");
    twins("key-missing", &mut world, "", &trusted, "unknown-key");
    let broken = world.run("");
    let symptom = broken.row("caches/daemon-trusts-signer", &[ROLE]);
    assert_eq!(symptom["outcome"], "incoherent", "{symptom:#}");
    assert_eq!(symptom["caused_by"]["check"], "caches/trusted-signature", "shown beneath its cause: {symptom:#}");
    let repaired = world.run(&trusted);
    assert_eq!(repaired.row("caches/daemon-trusts-signer", &[ROLE])["outcome"], "coherent");
}

pub fn a_key_that_was_changed_under_its_old_name() {
    let mut world = World::new(Some("present"), None);
    let with = |key: String| format!("trusted-public-keys = {key}\n");
    let (former, present) = (with(world.key("former")), with(world.key("present")));
    twins("key-rotated", &mut world, &former, &present, "other-bytes");
}

pub fn a_path_that_nobody_signed() {
    let mut world = World::new(None, None);
    let key = format!("trusted-public-keys = {}\n", world.key("present"));
    let first = world.run(&key);
    let (takes, text) = world.daemon_takes_it();
    assert!(!takes && text.contains("not signed by any of the keys"), "the daemon refuses it: {text}");
    let store = format!("file://{}", world.nix.text("cache"));
    let mut sign = through(&world.nix, "nix");
    sign.args(["--extra-experimental-features", "nix-command", "store", "sign", "--store", &store, "--key-file"]);
    said(sign.arg(world.nix.path("present")).arg(&world.path));
    let second = world.run(&key);
    let (takes, text) = world.daemon_takes_it();
    assert!(takes, "the daemon takes it: {text}");
    assert_twins("path-unsigned", &first, &second, "caches/trusted-signature", &[&world.url]);
    let row = first.row("caches/trusted-signature", &[&world.url]);
    assert!(row["message"].as_str().expect("a message").contains("unsigned"), "{row:#}");
    // Without the demand for signatures there is nothing to reject, and Nix agrees.
    let lax = world.run(&format!("{key}require-sigs = false\n"));
    assert!(lax.rows("caches/trusted-signature", &[&world.url]).is_empty());
}

pub fn a_login_that_the_user_has_and_the_daemon_has_not() {
    let mut world = World::new(Some("present"), Some(PASSWORD));
    let key = world.key("present");
    let _job = world.job(&format!("substituters = {}\nnetrc-file = /home/job/.config/nix/netrc\n", world.url));
    let configuration = format!("trusted-public-keys = {key}\n");
    let first = world.run(&configuration);
    let (takes, text) = world.daemon_takes_it();
    // Nix 2.8 takes a 401 for "no cache"; later ones name the status.
    assert!(!takes && (text.contains("does not appear to be a binary cache") || text.contains("401")), "{text}");
    world.write("etc/netrc", &format!("machine {} login user password {PASSWORD}\n", gateway()), 0);
    let second = world.run(&configuration);
    let (takes, text) = world.daemon_takes_it();
    assert!(takes, "the daemon is admitted: {text}");
    assert_twins("login-missing", &first, &second, "caches/admitted", &[&world.url]);
    let symptom = first.row("caches/login-of-daemon", &[ROLE]);
    assert_eq!(symptom["outcome"], "incoherent", "{symptom:#}");
    assert_eq!(symptom["caused_by"]["check"], "caches/admitted", "shown beneath its cause: {symptom:#}");
    assert_eq!(second.row("caches/login-of-daemon", &[ROLE])["outcome"], "coherent");
    for report in [&first, &second] {
        assert!(
            !report.json.to_string().contains(PASSWORD) && !report.errors.contains(PASSWORD),
            "no password is printed"
        );
    }
}

/// A token of attic: its claims are read, its signature by nobody here.
fn token(claims: &str) -> String {
    use base64::Engine;
    let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(claims), part("cAnArY-signature"))
}

/// `attic use` writes substituter, key and netrc into the user's files; the daemon reads none of them. The server is a stand-in.
pub fn an_attic_cache_that_only_the_user_was_set_up_for() {
    let mut world = World::new(Some("present"), None);
    let key = world.key("present");
    let token = token(r#"{"sub":"ci","exp":4102444800,"https://jwt.attic.rs/v1":{"caches":{"te*":{"r":1}}}}"#);
    let stand_in = StandIn::serve(Served {
        cache: "team",
        directory: world.nix.path("cache"),
        public_key: key.clone(),
        token: token.clone(),
        address: gateway(),
    });
    let server = format!("http://{}:{}", gateway(), stand_in.port);
    world.url = format!("{server}/team");
    let client = format!("default-server = \"home\"\n[servers.home]\nendpoint = \"{server}/\"\ntoken = \"{token}\"\n");
    world.write("home/attic.toml", &client, 1000);
    world.write("home/netrc", &format!("machine {}\npassword {token}\n", gateway()), 1000);
    let conf = format!(
        "substituters = {}\nextra-trusted-public-keys = {key}\nnetrc-file = /home/job/.config/nix/netrc\n",
        world.url
    );
    let _job = world.job(&conf);
    let first = world.run("");
    let (takes, text) = world.daemon_takes_it();
    assert!(!takes, "the daemon is refused: {text}");
    world.write("etc/netrc", &format!("machine {}\npassword {token}\n", gateway()), 0);
    let trusted = format!("extra-trusted-public-keys = {key}\n");
    let second = world.run(&trusted);
    let (takes, text) = world.daemon_takes_it();
    assert!(takes, "the daemon takes it: {text}");
    assert_twins("attic-user-only", &first, &second, "caches/attic-key", &[ROLE]);
    assert_twins("attic-user-only", &first, &second, "caches/admitted", &[&world.url]);
    for check in ["caches/attic-token", "caches/attic-permits", "caches/attic-address"] {
        assert_eq!(second.row(check, &[ROLE])["outcome"], "coherent", "{check}");
    }
    let asked = stand_in.asked.lock().expect("a list").clone();
    assert!(asked.iter().any(|(line, shown)| line.contains("cache-config/team") && shown.is_some()), "{asked:?}");
    for report in [&first, &second] {
        assert!(!report.json.to_string().contains(&token) && !report.errors.contains(&token), "no token is printed");
    }
}
