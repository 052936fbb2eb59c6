//! The seven failures that the project grew from, rebuilt with a real engine and a real daemon, each with its repaired twin.

use std::time::Duration;

use crate::cache::Cache;
use crate::doctor::{assert_twins, doctor, parallax};
use crate::engine::{Background, Container, gateway};
use crate::image::{BUSYBOX, NIX};
use crate::nix::NixDaemon;

const JOB: &str = "parallax-world-job";
const SLEEP: &[&str] = &["sleep", "900"];
/// Labels as the docker executor sets them on a job's container.
const JOB_LABELS: [&str; 4] =
    ["--label", "com.gitlab.gitlab-runner.managed=true", "--label", "com.gitlab.gitlab-runner.type=build"];

fn mount(from: &str, to: &str) -> String {
    format!("{from}:{to}")
}

/// The daemon's socket directory and store, as a job should get them.
fn daemon_mounts(nix: &NixDaemon) -> [String; 4] {
    [
        "-v".into(),
        mount(&nix.text("var/daemon-socket"), "/nix/var/nix/daemon-socket"),
        "-v".into(),
        format!("{}:ro", mount(&nix.text("store"), "/nix/store")),
    ]
}

fn job(options: &[&str], image: &str) -> Container {
    let mut all = JOB_LABELS.to_vec();
    all.extend_from_slice(options);
    Container::run(JOB, &all, image, SLEEP)
}

/// What Nix itself says of the store that it would use in the container.
fn oracle(container: &Container) -> String {
    let said = container.exec(&["sh", "-c", "nix --extra-experimental-features nix-command store ping 2>&1"]);
    let text = said.unwrap_or_else(|error| error);
    text.lines().find_map(|line| line.split_once("Store URL: ")).map_or(text.clone(), |(_, url)| url.trim().to_owned())
}

/// What parallax says of the store that Nix would use in the container.
fn chosen(container: &Container) -> String {
    let output = parallax().args(["probe", "--container", &container.name]).output().expect("parallax runs");
    let snapshot: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a snapshot");
    snapshot["facts"]["store"]["chosen"]["url"].as_str().expect("it is observed").to_owned()
}

/// Nix and parallax agree, on this store.
fn assert_store(container: &Container, store: &str) {
    assert_eq!(oracle(container), store);
    assert_eq!(chosen(container), store);
}

pub fn a_job_that_writes_the_hosts_database_beside_the_daemon() {
    let nix = NixDaemon::start("");
    let shared = daemon_mounts(&nix);
    let mut options: Vec<&str> = shared.iter().map(String::as_str).collect();
    let database = mount(&nix.text("var/db"), "/nix/var/nix/db");
    // With a read-only store Nix would stop before it opens the database, and nothing would be written.
    let store = mount(&nix.text("store"), "/nix/store");
    let wrong = [options[0], options[1], "-v", store.as_str(), "-v", database.as_str()];
    let broken = {
        let container = job(&wrong, NIX);
        assert_store(&container, "local");
        doctor(&[], &nix.environment())
    };
    options.extend(["-e", "NIX_REMOTE=daemon"]);
    let repaired = {
        let container = job(&options, NIX);
        assert_store(&container, "daemon");
        doctor(&[], &nix.environment())
    };
    assert_twins("one-writer", &broken, &repaired, "store/one-writer", &[JOB, "nix-daemon"]);
}

pub fn a_root_job_that_silently_takes_its_own_store() {
    let nix = NixDaemon::start("");
    let socket = mount(&nix.text("var/daemon-socket"), "/nix/var/nix/daemon-socket");
    let broken = {
        let container = job(&["-v", &socket], NIX);
        assert_store(&container, "local");
        doctor(&[], &nix.environment())
    };
    let repaired = {
        let container = job(&["-v", &socket, "-e", "NIX_REMOTE=daemon"], NIX);
        assert_store(&container, "daemon");
        doctor(&[], &nix.environment())
    };
    assert_twins("own-store", &broken, &repaired, "store/daemon-in-use", &[JOB, "nix-daemon"]);
}

pub fn a_cache_on_loopback_that_only_the_host_serves() {
    let cache = Cache::serve();
    let at = |address: &str| format!("substituters = http://{address}:{}\n", cache.port);
    let run = |address: &str| {
        let nix = NixDaemon::start(&at(address));
        // Whoever substitutes here does so into the daemon's store.
        *cache.store.lock().expect("a lock") = nix.text("store");
        let conf = format!("{}:ro", mount(&nix.text("etc/nix.conf"), "/etc/nix/nix.conf"));
        let shared = daemon_mounts(&nix);
        let mut options: Vec<&str> = shared.iter().map(String::as_str).collect();
        options.extend(["-v", conf.as_str(), "-e", "NIX_REMOTE=daemon"]);
        let _container = job(&options, NIX);
        doctor(&[], &nix.environment())
    };
    let (broken, repaired) = (run("127.0.0.1"), run(&gateway()));
    assert_twins("loopback-cache", &broken, &repaired, "network/loopback-endpoint", &[JOB, "substituters"]);
}

pub fn a_bash_from_the_host_in_an_image_without_its_loader() {
    let run = |bash: &str| {
        let source = format!("{bash}:/usr/local/bin/bash:ro");
        let container = job(&["-v", &source, "-e", "PATH=/usr/local/bin:/usr/bin:/bin"], BUSYBOX);
        (container.exec(&["/usr/local/bin/bash", "-c", "exit 0"]).is_ok(), doctor(&[], &[]))
    };
    let (starts, broken) = run("/bin/bash");
    assert!(!starts, "the kernel refuses it");
    let (starts, repaired) = run("/bin/bash-static");
    assert!(starts, "the kernel starts it");
    assert_twins("mounted-bash", &broken, &repaired, "tools/can-start", &[JOB, "bash"]);
}

pub fn two_access_keys_for_what_the_configuration_calls_one_account() {
    const USER: &str = "parallax-world";
    let home = tempfile::tempdir().expect("a directory");
    let _user = User::add(USER, home.path());
    let endpoint = format!("http://{}:9000", gateway());
    let alias = serde_json::json!({"version": "10", "aliases": {"cache": {
        "url": endpoint, "accessKey": "RUNNERKEY", "secretKey": "runner-secret-canary", "api": "S3v4", "path": "auto"}}});
    std::fs::create_dir(home.path().join(".mc")).expect("mkdir");
    std::fs::write(home.path().join(".mc/config.json"), alias.to_string()).expect("mc configuration");
    assert!(std::process::Command::new("chown").args(["-R", USER]).arg(home.path()).status().expect("chown").success());
    let config = home.path().join("parallax.toml");
    std::fs::write(
        &config,
        format!("users = [\"{USER}\"]\n[[account]]\nname = \"cache\"\nendpoint = \"{endpoint}\"\n"),
    )
    .expect("config");
    let url = format!("AWS_ENDPOINT_URL={endpoint}");
    let run = |key: &str| {
        let id = format!("AWS_ACCESS_KEY_ID={key}");
        let _container = job(&["-e", &id, "-e", "AWS_SECRET_ACCESS_KEY=runner-secret-canary", "-e", &url], BUSYBOX);
        doctor(&["--config", &config.display().to_string()], &[])
    };
    let (broken, repaired) = (run("JOBKEY"), run("RUNNERKEY"));
    for report in [&broken, &repaired] {
        assert!(
            !report.json.to_string().contains("canary") && !report.errors.contains("canary"),
            "no secret is printed"
        );
    }
    assert_twins("two-keys", &broken, &repaired, "credentials/same-account", &["cache"]);
}

/// A user of this machine, for as long as a world lasts.
struct User(&'static str);

impl User {
    fn add(name: &'static str, home: &std::path::Path) -> Self {
        let _ = std::process::Command::new("userdel").arg(name).output();
        let mut command = std::process::Command::new("useradd");
        let added =
            command.args(["--system", "--no-create-home", "--home-dir"]).arg(home).arg(name).output().expect("useradd");
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        Self(name)
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = std::process::Command::new("userdel").arg(self.0).output();
    }
}

pub fn a_substituter_that_the_daemon_ignores_from_an_untrusted_user() {
    let cache = format!("http://{}:9", gateway());
    const KEY: &str = "parallax-world-1:A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
    let wanted = format!("extra-substituters = {cache}\nextra-trusted-public-keys = {KEY}\n");
    let home = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    let conf = home.path().join("nix.conf");
    std::fs::write(&conf, &wanted).expect("the job's configuration");
    let run = |daemon: &str| {
        let nix = NixDaemon::start(&format!("trusted-users = root\n{daemon}"));
        let shared = daemon_mounts(&nix);
        let mine = format!("{}:/home/job/.config/nix/nix.conf:ro", conf.display());
        let mut options: Vec<&str> = shared.iter().map(String::as_str).collect();
        options.extend(["-v", mine.as_str(), "-u", "1000:1000", "-e", "HOME=/home/job", "-e", "NIX_REMOTE=daemon"]);
        let container = job(&options, NIX);
        assert_store(&container, "daemon");
        doctor(&[], &nix.environment())
    };
    let (broken, repaired) = (run(""), run(&wanted));
    assert_twins("ignored-cache", &broken, &repaired, "nix/honoured-requests", &[JOB, "substituters", cache.as_str()]);
    let key = broken.row("nix/honoured-requests", &["trusted-public-keys"]);
    assert_eq!(key["outcome"], "incoherent");
}

pub fn a_nix_conf_that_was_edited_after_the_daemon_started() {
    let mut nix = NixDaemon::start("");
    std::thread::sleep(Duration::from_millis(2500));
    nix.configure("max-jobs = 2\n");
    let broken = doctor(&[], &nix.environment());
    std::thread::sleep(Duration::from_millis(2500));
    nix.restart();
    let repaired = doctor(&[], &nix.environment());
    assert_eq!(broken.code, 4, "a warning: {:#?}", broken.with_outcome("incoherent"));
    assert_twins("edited-configuration", &broken, &repaired, "nix/current-configuration", &["nix.conf"]);
}

/// Keeps a process of the host alive for a world.
pub fn background(program: &str, arguments: &[&str]) -> Background {
    Background(std::process::Command::new(program).args(arguments).spawn().expect("a background process"))
}
