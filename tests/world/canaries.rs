//! Canaries: a secret of its own in every file and variable that a probe reads. None may be in any output, file, message, argument
//! or environment, neither raw nor in base64 nor percent-encoded.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parallax::context::enter::ARGUMENT;
use serde_json::json;

use crate::doctor::{Report, doctor, parallax};
use crate::engine::Container;
use crate::hostile::{JOB, SLEEP};
use crate::image::BUSYBOX;
use crate::user::User;

/// Makes canaries, all of one nest recognisable by their beginning.
pub struct Nest(pub usize);

impl Nest {
    pub const MARK: &str = "cAnArYtWeEt";

    /// 40 characters, the form of an AWS secret key.
    pub fn egg(&mut self) -> String {
        self.0 += 1;
        format!("{}{:0>29}", Self::MARK, self.0)
    }

    /// The same, every byte percent-encoded, as it may stand in a URL.
    fn encoded(&mut self) -> String {
        self.egg().bytes().map(|byte| format!("%{byte:02X}")).collect()
    }
}

/// Every way in which the mark of a canary could show.
fn shapes() -> Vec<String> {
    let mark = Nest::MARK;
    let percent: String = mark.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let hexadecimal: String = mark.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut shapes = vec![mark.to_lowercase(), percent.to_lowercase(), hexadecimal];
    for shift in 0..3 {
        let encoded = STANDARD.encode(format!("{}{mark}", "x".repeat(shift)));
        // The edges depend on the neighbours.
        shapes.push(encoded[4..encoded.len() - 4].to_lowercase());
    }
    shapes
}

pub fn assert_clean(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    for shape in shapes() {
        if let Some(at) = text.find(&shape) {
            let from = text[..at].char_indices().rev().nth(160).map_or(0, |(index, _)| index);
            let end = (at + 60).min(text.len());
            panic!("{what} holds a canary ({shape}): …{}", String::from_utf8_lossy(&text.as_bytes()[from..end]));
        }
    }
}

/// Credential files as they should be, below a home directory.
pub fn plant_home(home: &Path, nest: &mut Nest) {
    let write = |name: &str, content: String| {
        let file = home.join(name);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("mkdir");
        std::fs::write(file, content).expect("a file");
    };
    write(
        ".aws/credentials",
        format!(
            "[default]\naws_access_key_id = AKIAPUBLIC\naws_secret_access_key = {}\naws_session_token = {}\n",
            nest.egg(),
            nest.egg()
        ),
    );
    write(
        ".aws/config",
        format!(
            "[default]\nregion = eu-west-1\nendpoint_url = http://user:{}@objects.parallax.invalid:9000/?token={}\n\
             [profile other]\ncredential_process = /bin/get --token {}\n",
            nest.encoded(),
            nest.egg(),
            nest.egg()
        ),
    );
    let aliases = json!({"version": "10", "aliases": {"cache": {"url": "http://objects.parallax.invalid:9000",
        "accessKey": "MCPUBLIC", "secretKey": nest.egg(), "sessionToken": nest.egg(), "api": "S3v4", "path": "auto"}}});
    write(".mc/config.json", aliases.to_string());
    let netrc = format!(
        "machine cache.parallax.invalid login somebody password {}\nmachine git.parallax.invalid login token password {} account {}\n",
        nest.egg(),
        nest.egg(),
        nest.egg()
    );
    write(".netrc", netrc);
    let auth = STANDARD.encode(format!("somebody:{}", nest.egg()));
    let logins = json!({"auths": {"registry.parallax.invalid": {"auth": auth},
        "other.parallax.invalid": {"identitytoken": nest.egg()}, "third.parallax.invalid": {"registrytoken": nest.egg()},
        "fourth.parallax.invalid": {"username": "somebody", "password": nest.egg()}},
        "HttpHeaders": {"X-Token": nest.egg()},
        "proxies": {"default": {"httpProxy": format!("http://u:{}@proxy.parallax.invalid:3128", nest.egg())}}});
    write(".docker/config.json", logins.to_string());
    write(".config/nix/nix.conf", format!("access-tokens = github.com={} gitlab.com=PAT:{}\n", nest.egg(), nest.egg()));
}

/// The same files with a mistake in each, a canary in the very line that is wrong.
fn plant_broken_home(home: &Path, nest: &mut Nest) {
    let write = |name: &str, content: String| {
        let file = home.join(name);
        std::fs::create_dir_all(file.parent().expect("a parent")).expect("mkdir");
        std::fs::write(file, content).expect("a file");
    };
    write(".aws/credentials", format!("[default\n{} {}\n= {}\n", nest.egg(), nest.egg(), nest.egg()));
    write(".aws/config", format!("[profile {}\nregion\n{}", nest.egg(), nest.egg()));
    write(
        ".mc/config.json",
        format!("{{\"version\": \"10\", \"aliases\": {{\"a\": {{\"secretKey\": {} }}", nest.egg()),
    );
    write(".netrc", format!("machine x login y password\nmachine {}\n{} {}\n", nest.egg(), nest.egg(), nest.egg()));
    write(".docker/config.json", format!("{{\"auths\": {{\"r\": {{\"auth\": \"{}\"}}}}}}", nest.egg()));
    write(".config/nix/nix.conf", format!("access-tokens {}\n{}\nsandbox = {}\n", nest.egg(), nest.egg(), nest.egg()));
}

/// Settings of Nix that carry secrets.
fn nix_conf(nest: &mut Nest) -> String {
    format!(
        "access-tokens = github.com={}\nnetrc-file = /etc/nix/netrc\nimpure-env = TOKEN={}\n\
         substituters = https://user:{}@cache.parallax.invalid?token={} s3://bucket?endpoint=user:{}@objects.parallax.invalid\n\
         builders = ssh://builder:{}@builder.parallax.invalid x86_64-linux\npost-build-hook = /bin/upload\nfuture-password = {}\n",
        nest.egg(),
        nest.egg(),
        nest.encoded(),
        nest.egg(),
        nest.egg(),
        nest.egg(),
        nest.egg()
    )
}

pub fn variables(nest: &mut Nest) -> Vec<(&'static str, String)> {
    let at = |secret: String, host: &str| format!("http://user:{secret}@{host}.parallax.invalid:8080/?password=");
    vec![
        ("AWS_ACCESS_KEY_ID", "AKIAENVIRONMENT".into()),
        ("AWS_SECRET_ACCESS_KEY", nest.egg()),
        ("AWS_SESSION_TOKEN", nest.egg()),
        ("AWS_ENDPOINT_URL", at(nest.encoded(), "objects") + &nest.egg()),
        ("CI_REPOSITORY_URL", at(nest.encoded(), "forge")),
        ("ACTIONS_CACHE_URL", at(nest.encoded(), "actions") + &nest.egg()),
        ("AWS_ENDPOINT_URL_S3", at(nest.egg(), "objects")),
        ("MC_HOST_cache", format!("http://PUBLIC:{}@objects.parallax.invalid:9000", nest.egg())),
        ("MC_HOST_session", format!("http://PUBLIC:{}:{}@objects.parallax.invalid:9000", nest.egg(), nest.egg())),
        ("http_proxy", at(nest.encoded(), "proxy")),
        ("HTTPS_PROXY", at(nest.egg(), "proxy")),
        ("ALL_PROXY", format!("socks5://user:{}@proxy.parallax.invalid", nest.egg())),
        ("NO_PROXY", format!("localhost,user:{}@inner.parallax.invalid", nest.egg())),
        (
            "NIX_CONFIG",
            format!("access-tokens = github.com={}\nextra-substituters = {}", nest.egg(), at(nest.egg(), "cache")),
        ),
        ("NIX_REMOTE", format!("ssh://user:{}@store.parallax.invalid?password={}", nest.egg(), nest.egg())),
        ("DOCKER_HOST", format!("tcp://user:{}@docker.parallax.invalid:2376", nest.egg())),
        (
            "DOCKER_AUTH_CONFIG",
            json!({"auths": {"r": {"auth": STANDARD.encode(format!("u:{}", nest.egg()))}}}).to_string(),
        ),
        ("CI_JOB_TOKEN", nest.egg()),
        ("GITHUB_TOKEN", nest.egg()),
        ("CI_REPOSITORY_URL", at(nest.egg(), "git")),
        ("SSH_PRIVATE_KEY", format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n", nest.egg())),
    ]
}

/// Watches what our children are started with while runs go on.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<usize>>,
}

impl Watch {
    pub fn begin() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut seen = 0;
            while !stopped.load(Ordering::Relaxed) {
                for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
                    let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                    if String::from_utf8_lossy(&line).contains(ARGUMENT) {
                        seen += 1;
                        assert_clean("a child's arguments", &line);
                        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
                        assert_clean("a child's environment", &environment);
                    }
                }
            }
            seen
        });
        Self { stop, thread: Some(thread) }
    }

    /// How many looks at a child there were; fails where one held a canary.
    pub fn end(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it runs");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// A container whose home and settings hold canaries.
fn container(name: &str, home: &Path, etc: &Path, variables: &[(&str, String)]) -> Container {
    let mounts = [format!("{}:/root", home.display()), format!("{}:/etc/nix", etc.display())];
    let pairs: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut options = JOB.to_vec();
    options.extend(mounts.iter().flat_map(|mount| ["-v", mount.as_str()]));
    options.extend(pairs.iter().flat_map(|pair| ["-e", pair.as_str()]));
    Container::run(name, &options, BUSYBOX, SLEEP)
}

/// Everything that stands in place of a nest: two containers, a user, parallax's own environment.
struct World {
    directory: tempfile::TempDir,
    own: Vec<(&'static str, String)>,
    _containers: [Container; 2],
    _user: User,
}

const NAME: &str = "parallax-world";

impl World {
    fn build() -> Self {
        let directory = tempfile::Builder::new().prefix("parallax-world-").tempdir_in("/var/tmp").expect("a directory");
        std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
        let nest = &mut Nest(0);
        let place = |name: &str| {
            let path: PathBuf = directory.path().join(name);
            std::fs::create_dir_all(&path).expect("mkdir");
            path
        };
        let (good, broken, users) = (place("good"), place("broken"), place("user"));
        let (etc, broken_etc) = (place("etc"), place("broken-etc"));
        plant_home(&good, nest);
        plant_home(&users, nest);
        plant_broken_home(&broken, nest);
        std::fs::write(etc.join("nix.conf"), nix_conf(nest)).expect("nix.conf");
        let netrc = format!("machine cache.parallax.invalid login nix password {}\n", nest.egg());
        std::fs::write(etc.join("netrc"), netrc).expect("netrc");
        let wrong = format!("substituters {}\n{} = {}\n", nest.egg(), nest.egg(), nest.egg());
        std::fs::write(broken_etc.join("nix.conf"), wrong).expect("nix.conf");
        let mut swapped = variables(nest);
        // A secret in the wrong place: the key where its public id belongs, and a file of variables that does not parse.
        swapped[0].1 = nest.egg();
        swapped.push(("MC_HOST_broken", format!("http://{}@{}@objects.parallax.invalid", nest.egg(), nest.egg())));
        swapped.push(("MC_CONFIG_ENV_FILE", "/root/mc.env".into()));
        std::fs::write(broken.join("mc.env"), format!("MC_HOST_x={}\n{}\n", nest.egg(), nest.egg())).expect("mc.env");
        let containers = [
            container("parallax-world-job", &good, &etc, &variables(nest)),
            container("parallax-world-broken", &broken, &broken_etc, &swapped),
        ];
        let user = User::add(NAME, &users);
        let mut own = variables(nest);
        // Our own engine is the one that runs here.
        own.retain(|(name, _)| *name != "DOCKER_HOST");
        Self { directory, own, _containers: containers, _user: user }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let variables = self.own.iter().map(|(name, value)| (*name, value.as_str()));
        let output = parallax().args(arguments).envs(variables).output().expect("parallax runs");
        let what = arguments.join(" ");
        assert_clean(&format!("stdout of {what}"), &output.stdout);
        assert_clean(&format!("stderr of {what}"), &output.stderr);
        output
    }
}

/// The report of a run over this world, for recording.
pub fn configured(arguments: &[&str]) -> Report {
    let world = World::build();
    let all: Vec<&str> = arguments.iter().copied().chain(["--user", NAME]).collect();
    let report = doctor(&all, &world.own);
    drop(world);
    report
}

pub fn no_canary_leaves_a_context() {
    let world = World::build();
    let path = |name: &str| world.directory.path().join(name).display().to_string();
    let watch = Watch::begin();
    let (published, files) = (path("published"), ["table", "json", "junit"].map(|format| (format, path(format))));
    for format in ["table", "json", "junit"] {
        world.run(&["doctor", "--offline", "--verbose", "--user", NAME, "--format", format]);
    }
    let outputs: Vec<String> = files.iter().map(|(format, file)| format!("{format}={file}")).collect();
    let mut arguments = vec!["doctor", "--user", NAME, "--publish", &published, "--format", "json"];
    arguments.extend(outputs.iter().flat_map(|output| ["--output", output.as_str()]));
    let report = world.run(&arguments);
    let report: serde_json::Value = serde_json::from_slice(&report.stdout).expect("a report");
    for id in ["container:parallax-world-job", "container:parallax-world-broken", "user:parallax-world"] {
        assert!(report["contexts"].to_string().contains(id), "{id} was looked from");
    }
    for (format, file) in &files {
        assert_clean(format, &std::fs::read(file).expect("a report file"));
    }
    for entry in std::fs::read_dir(&published).expect("views").flatten() {
        assert_clean("a published view", &std::fs::read(entry.path()).expect("a view"));
    }
    let probed = world.run(&["probe", "--container", "parallax-world-job"]);
    // The public halves were found, so the secrets beside them were read.
    let probed = String::from_utf8_lossy(&probed.stdout).into_owned();
    for public in
        ["AKIAENVIRONMENT", "AKIAPUBLIC", "MCPUBLIC", "somebody", "registry.parallax.invalid", "access-tokens"]
    {
        assert!(probed.contains(public), "{public} was seen: {probed}");
    }
    world.run(&["probe", "--container", "parallax-world-broken"]);
    world.run(&["probe", "--user", NAME]);
    world.run(&["probe"]);
    world.run(&["contexts", "--json"]);
    world.run(&["check", "--views", &published, "--format", "json"]);
    world.run(&["compare", "-v", &published]);
    assert!(watch.end() > 10, "the children were seen");
}
