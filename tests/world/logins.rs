//! Credentials asked what they are: a real object store with users and policies, a real registry, each failing world with its repaired twin. `mc` in the
//! same context is the oracle.

use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::doctor::{Report, assert_twins, doctor, parallax};
use crate::engine::{Container, gateway};
use crate::hostile::{JOB, SLEEP};
use crate::image::{BUSYBOX, NIX};
use crate::minio::{OldFront, Registry, Store, mc_lists, mc_mount};
use crate::reaching::shared;
use crate::user::User;

const USER: &str = "parallax-world";
/// The region that everybody takes who is told nothing.
const HERE: &str = "us-east-1";
/// The key that the user has, and that its store knows.
const READER: (&str, &str) = ("worldreader", "reader-secret-0123456789");

/// A store, and a user of this machine with a key for it.
struct Scene {
    store: Store,
    home: tempfile::TempDir,
    config: String,
    _user: User,
}

impl Scene {
    fn new(region: &str) -> Self {
        let (store, home) = (Store::start(region), shared());
        store.user(READER, true);
        let alias =
            json!({"url": store.url(), "accessKey": READER.0, "secretKey": READER.1, "api": "S3v4", "path": "auto"});
        let aliases = json!({"version": "10", "aliases": {"store": alias}});
        std::fs::create_dir(home.path().join(".mc")).expect("mkdir");
        std::fs::write(home.path().join(".mc/config.json"), aliases.to_string()).expect("mc's configuration");
        let config = home.path().join("parallax.toml");
        std::fs::write(&config, format!("users = [\"{USER}\"]\n")).expect("parallax.toml");
        let user = User::add(USER, home.path());
        let config = config.display().to_string();
        Self { store, home, config, _user: user }
    }

    /// The same, where the configuration calls all keys for this store one account.
    fn of_one_account() -> Self {
        let scene = Self::new(HERE);
        let account =
            format!("users = [\"{USER}\"]\n[[account]]\nname = \"cache\"\nendpoint = \"{}\"\n", scene.store.url());
        std::fs::write(&scene.config, account).expect("parallax.toml");
        scene
    }

    /// Looks; the user's own alias is accepted, as `mc` says too.
    fn look(&self) -> Report {
        assert!(mc_lists(&self.home.path().join(".mc"), "store").is_ok());
        doctor(&["--config", &self.config], &[])
    }
}

/// A job with these variables and an `mc`.
fn job(variables: &[String]) -> Container {
    let mc = mc_mount();
    let mut options: Vec<&str> = JOB.iter().copied().chain(["-v", &mc]).collect();
    options.extend(variables.iter().flat_map(|variable| ["-e", variable.as_str()]));
    Container::run("parallax-world-job", &options, BUSYBOX, SLEEP)
}

/// The answers that a container was given.
fn answers(container: &Container) -> Vec<Value> {
    let output = parallax().args(["probe", "--container", &container.name]).output().expect("parallax runs");
    let snapshot: Value = serde_json::from_slice(&output.stdout).expect("a snapshot");
    snapshot["facts"]["logins"]["s3"].as_array().expect("a list").clone()
}

/// What parallax says of the alias `store` in this container; `mc` there says the same.
fn outcome(container: &Container, path: &str) -> String {
    let answers = answers(container);
    let answer =
        answers.iter().find(|answer| answer["used_by"] == "mc-environment store").expect("the alias was asked");
    let outcome = answer["outcome"].as_str().expect("an outcome").to_owned();
    let said = container.exec(&["mc", "ls", path]);
    let words = match outcome.as_str() {
        "accepted" => return said.map(|_| outcome).expect("mc may list too"),
        "unknown-key" => "does not exist in our records",
        "wrong-secret" => "signature we calculated does not match",
        "disabled" => "account is disabled",
        "denied" => "Access Denied",
        "skewed" => "difference between the request time and the server's time",
        other => panic!("{other}: {answer:#}"),
    };
    let error = said.expect_err("mc may not list either");
    assert!(error.contains(words), "parallax says {outcome}, mc says {error}");
    outcome
}

/// The variable that gives the alias `store` to `mc`.
fn alias(store: &Store, key: (&str, &str)) -> String {
    format!("MC_HOST_store={}", store.with_key(key))
}

pub fn a_key_that_was_deleted_at_the_store_that_accepts_another() {
    let scene = Scene::of_one_account();
    let run = |key: (&str, &str), expected: &str| {
        let container = job(&[alias(&scene.store, key)]);
        assert_eq!(outcome(&container, "store"), expected);
        scene.look()
    };
    let broken = run(("worlddeleted", "deleted-secret-0123456789"), "unknown-key");
    let repaired = run(READER, "accepted");
    assert_twins("deleted-key", &broken, &repaired, "logins/known-key", &["job / "]);
    let row = broken.row("logins/known-key", &["job / "]);
    assert_eq!(row["caused_by"]["check"], "credentials/same-account", "{row:#}");
}

pub fn a_secret_that_was_rotated_in_one_place_only() {
    let scene = Scene::new(HERE);
    let run = |secret: &str, expected: &str| {
        let container = job(&[alias(&scene.store, (READER.0, secret))]);
        assert_eq!(outcome(&container, "store"), expected);
        scene.look()
    };
    let broken = run("before-rotation-0123456789", "wrong-secret");
    let repaired = run(READER.1, "accepted");
    assert_twins("rotated-secret", &broken, &repaired, "logins/right-secret", &["job"]);
    let row = broken.row("logins/right-secret", &["job"]);
    assert_eq!(row["caused_by"]["check"], "credentials/same-secret", "{row:#}");
}

pub fn a_key_whose_user_was_disabled() {
    const OFF: (&str, &str) = ("worlddisabled", "disabled-secret-0123456789");
    let scene = Scene::new(HERE);
    scene.store.user(OFF, true);
    let run = |command: &str, expected: &str| {
        scene.store.administer(&["admin", "user", command, "adm", OFF.0]);
        let container = job(&[alias(&scene.store, OFF)]);
        assert_eq!(outcome(&container, "store"), expected);
        scene.look()
    };
    let (broken, repaired) = (run("disable", "disabled"), run("enable", "accepted"));
    // A warning; recorded, without fingerprints, it would stand below what can no longer be compared.
    assert_eq!(broken.row("logins/usable", &["job"])["outcome"], "incoherent");
    assert_eq!(broken.code, 4, "{:#?}", broken.with_outcome("unknown"));
    assert_eq!(repaired.row("logins/usable", &["job"])["outcome"], "coherent");
    assert_eq!(repaired.code, 0, "{:#?}", repaired.with_outcome("unknown"));
}

/// A job that substitutes from the bucket `cache` with this key.
fn substituting(store: &Store, name: &str, region: &str, key: Option<(&str, &str)>) -> Container {
    let mc = mc_mount();
    let url = format!("s3://cache?endpoint={}:{}&scheme=http&region={region}", gateway(), store.port);
    // Whoever has no key might be given one by the machine, as far as anybody knows, unless that is ruled out.
    let mut variables = vec![format!("NIX_CONFIG=substituters = {url}"), "AWS_EC2_METADATA_DISABLED=true".to_owned()];
    if let Some((id, secret)) = key {
        variables.push(format!("AWS_ACCESS_KEY_ID={id}"));
        variables.push(format!("AWS_SECRET_ACCESS_KEY={secret}"));
        variables.push(alias(store, (id, secret)));
    }
    let mut options: Vec<&str> = JOB.iter().copied().chain(["-v", &mc]).collect();
    options.extend(variables.iter().flat_map(|variable| ["-e", variable.as_str()]));
    Container::run(&format!("parallax-world-{name}"), &options, NIX, SLEEP)
}

/// Whether `mc` in this container may read what Nix reads first.
fn mc_reads(container: &Container) -> bool {
    container.exec(&["mc", "cat", "store/cache/nix-cache-info"]).is_ok()
}

pub fn a_bucket_that_one_job_may_read_and_the_other_may_not() {
    const OTHER: (&str, &str) = ("worldnobody", "nobody-secret-0123456789");
    let store = Store::start(HERE);
    store.user(READER, true);
    store.user(OTHER, false);
    let run = |key: Option<(&str, &str)>, may: bool| {
        let (one, two) = (substituting(&store, "job-a", HERE, Some(READER)), substituting(&store, "job-b", HERE, key));
        assert!(mc_reads(&one));
        assert!(key.is_none() || mc_reads(&two) == may);
        doctor(&[], &[])
    };
    let (denied, keyless) = (run(Some(OTHER), false), run(None, false));
    store.administer(&["admin", "policy", "attach", "adm", "readonly", "--user", OTHER.0]);
    let repaired = run(Some(OTHER), true);
    assert_twins("denied-bucket", &denied, &repaired, "logins/same-access", &["job~2 / "]);
    assert_twins("keyless-bucket", &keyless, &repaired, "logins/same-access", &["job~2 / "]);
}

pub fn a_region_that_the_store_does_not_have() {
    let store = Store::start("eu-north-9");
    store.user(READER, true);
    let signed_by_curl = |region: &str| {
        let output = Command::new("curl")
            .args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--noproxy", "*"])
            .args(["--aws-sigv4", &format!("aws:amz:{region}:s3"), "--user", &format!("{}:{}", READER.0, READER.1)])
            .arg(format!("{}/cache/nix-cache-info", store.url()))
            .output()
            .expect("curl runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let run = |region: &str, status: &str| {
        assert_eq!(signed_by_curl(region), status);
        let container = substituting(&store, "job", region, Some(READER));
        // `mc` takes the region that the answer names.
        assert!(mc_reads(&container));
        assert_eq!(outcome(&container, "store"), "accepted");
        doctor(&[], &[])
    };
    let (broken, repaired) = (run("us-east-1", "400"), run("eu-north-9", "200"));
    assert_twins("wrong-region", &broken, &repaired, "logins/region", &["nix substituters"]);
    assert!(broken.row("logins/region", &["nix substituters"])["message"].to_string().contains("eu-north-9"));
}

pub fn a_request_that_the_store_takes_for_years_old() {
    let scene = Scene::new(HERE);
    let run = |port: u16, expected: &str| {
        let container = job(&[format!("MC_HOST_store=http://{}:{}@{}:{port}", READER.0, READER.1, gateway())]);
        assert_eq!(outcome(&container, "store"), expected);
        scene.look()
    };
    let front = OldFront::before(scene.store.port, "20200101T000000Z");
    let broken = run(front.0, "skewed");
    broken.keep("old-requests-broken");
    assert_eq!(broken.row("logins/clock", &[&front.0.to_string()])["outcome"], "incoherent");
    let repaired = run(scene.store.port, "accepted");
    assert_eq!(repaired.code, 0, "{:#?}", repaired.with_outcome("unknown"));
    assert!(repaired.rows("logins/clock", &[]).iter().all(|row| row["outcome"] == "coherent"));
}

pub fn a_key_that_is_sent_to_another_store_than_the_one_that_knows_it() {
    let (scene, other) = (Scene::new(HERE), Store::start(HERE));
    let run = |store: &Store, expected: &str| {
        let container = job(&[alias(store, READER)]);
        assert_eq!(outcome(&container, "store"), expected);
        scene.look()
    };
    let (broken, repaired) = (run(&other, "unknown-key"), run(&scene.store, "accepted"));
    assert_twins("other-store", &broken, &repaired, "logins/right-endpoint", &["job / "]);
}

/// A home directory whose Docker configuration logs in with this password.
fn docker_home(directory: &tempfile::TempDir, registry: &Registry, password: &str) -> PathBuf {
    let auth = STANDARD.encode(format!("{}:{password}", Registry::LOGIN.0));
    // In plain text only where the file itself says so.
    let auths = json!({"auths": {format!("http://{}:{}", gateway(), registry.port): {"auth": auth}}});
    let home = directory.path().join(password);
    std::fs::create_dir_all(home.join(".docker")).expect("mkdir");
    std::fs::write(home.join(".docker/config.json"), auths.to_string()).expect("docker's configuration");
    home
}

pub fn a_registry_login_that_one_job_kept_after_it_changed() {
    let (registry, directory) = (Registry::start(), shared());
    let run = |password: &str| {
        let containers = [("job-a", Registry::LOGIN.1), ("job-b", password)].map(|(name, password)| {
            let home = format!("{}:/root:ro", docker_home(&directory, &registry, password).display());
            let options: Vec<&str> = JOB.iter().copied().chain(["-v", &home]).collect();
            Container::run(&format!("parallax-world-{name}"), &options, BUSYBOX, SLEEP)
        });
        let report = doctor(&[], &[]);
        drop(containers);
        report
    };
    let (broken, repaired) = (run("password-before"), run(Registry::LOGIN.1));
    broken.keep("old-login-broken");
    assert_eq!(broken.row("logins/registry", &["job~2 / "])["outcome"], "incoherent");
    assert_eq!(broken.code, 4, "a warning: {:#?}", broken.with_outcome("unknown"));
    assert_eq!(repaired.code, 0, "{:#?}", repaired.with_outcome("incoherent"));
}
