//! Binary caches in a real object store, and a real runner's bucket. The cache is made and signed by `nix copy`, uploaded by `mc`; `mc` is the oracle
//! for what a key may do. Debian's Nix is built without support for `s3://`: its verdict on the very objects is got through the store's own HTTP door.

use crate::doctor::{Report, assert_twins, doctor};
use crate::engine::gateway;
use crate::minio::Store;
use crate::runner::Runner;
use crate::signatures::World;

const HERE: &str = "us-east-1";
/// The key of the daemon.
const DAEMON: (&str, &str) = ("worlddaemon", "daemon-secret-0123456789");

/// A daemon with a key of its own for a store in which a signed cache lies.
struct Scene {
    store: Store,
    world: World,
}

impl Scene {
    fn new(signed_by: Option<&str>, may_read: bool) -> Self {
        let (store, mut world) = (Store::start(HERE), World::new(signed_by, None));
        store.user(DAEMON, may_read);
        store.administer(&["cp", "--recursive", &format!("{}/", world.nix.text("cache")), "adm/cache/"]);
        world.nix.variables =
            vec![("AWS_ACCESS_KEY_ID", DAEMON.0.to_owned()), ("AWS_SECRET_ACCESS_KEY", DAEMON.1.to_owned())];
        Self { store, world }
    }

    /// Looks at a daemon that substitutes from this bucket.
    fn look(&mut self, bucket: &str, configuration: &str) -> Report {
        self.world.url = format!("s3://{bucket}?endpoint={}:{}&scheme=http", gateway(), self.store.port);
        let report = self.world.run(configuration);
        for secret in [DAEMON.1, &self.world.nix.text("present")] {
            assert!(!report.json.to_string().contains(secret) && !report.errors.contains(secret), "nothing is printed");
        }
        report
    }

    /// How findings call the bucket.
    fn called(&self, bucket: &str) -> String {
        format!("s3://{bucket}?endpoint={}", self.store.url())
    }

    /// Whether Nix takes the path out of the bucket with these keys, when everybody may read it.
    fn nix_takes_it(&mut self, configuration: &str) -> (bool, String) {
        self.store.administer(&["anonymous", "set", "download", "adm/cache"]);
        self.world.nix.configure(&format!(
            "narinfo-cache-positive-ttl = 0\nnarinfo-cache-negative-ttl = 0\nsandbox = false\nsubstituters = {}/cache\n{configuration}",
            self.store.url()
        ));
        self.world.nix.restart();
        let said = self.world.daemon_takes_it();
        self.store.administer(&["anonymous", "set", "none", "adm/cache"]);
        said
    }

    /// What `mc` says to the daemon's key that reads what Nix reads first.
    fn mc(&self, bucket: &str) -> Result<String, String> {
        self.store.as_user(DAEMON, &["cat", &format!("own/{bucket}/nix-cache-info")])
    }
}

pub fn a_cache_in_a_bucket_signed_by_a_key_that_the_daemon_lacks() {
    let mut scene = Scene::new(Some("present"), true);
    let trusting = format!("extra-trusted-public-keys = {}\n", scene.world.key("present"));
    let broken = scene.look("cache", "");
    let (takes, text) = scene.nix_takes_it("");
    assert!(!takes && text.contains("not signed by any of the keys"), "Nix refuses it: {text}");
    let (repaired, called) = (scene.look("cache", &trusting), scene.called("cache"));
    // Without its key the daemon can't be asked about, and nothing is taken for good.
    let configuration = scene.world.nix.text("parallax.toml");
    let unasked = doctor(&["--config", &configuration, "--no-credentials"], &scene.world.variables());
    let rows = unasked.rows("caches/trusted-signature", &["service:nix-daemon"]);
    assert!(rows.is_empty(), "{rows:#?}");
    let notes = unasked.json["notes"].to_string();
    assert!(notes.contains("left out by --no-credentials: "), "{notes}");
    let (takes, text) = scene.nix_takes_it(&trusting);
    assert!(takes, "Nix takes it: {text}");
    assert_twins("bucket-key-missing", &broken, &repaired, "caches/trusted-signature", &[&called]);
    let message = broken.row("caches/trusted-signature", &[&called])["message"].to_string();
    assert!(message.contains(&scene.world.path) && message.contains("unknown-key"), "{message}");
    assert_eq!(repaired.row("caches/admitted", &[&called])["outcome"], "coherent");
}

pub fn a_bucket_that_the_daemons_key_may_not_read() {
    let mut scene = Scene::new(Some("present"), false);
    let trusting = format!("extra-trusted-public-keys = {}\n", scene.world.key("present"));
    let broken = scene.look("cache", &trusting);
    let error = scene.mc("cache").expect_err("mc may not either");
    assert!(error.contains("Insufficient permissions"), "{error}");
    scene.store.administer(&["admin", "policy", "attach", "adm", "readonly", "--user", DAEMON.0]);
    let repaired = scene.look("cache", &trusting);
    scene.mc("cache").expect("mc may");
    let called = scene.called("cache");
    assert_twins("bucket-denied", &broken, &repaired, "caches/admitted", &[&called]);
    assert!(broken.row("caches/admitted", &[&called])["message"].to_string().contains("status 403 with its login"));
    assert_eq!(repaired.row("caches/trusted-signature", &[&called])["outcome"], "coherent");
}

pub fn a_bucket_that_is_not_there() {
    let mut scene = Scene::new(Some("present"), true);
    let trusting = format!("extra-trusted-public-keys = {}\n", scene.world.key("present"));
    let broken = scene.look("cahce", &trusting);
    let error = scene.mc("cahce").expect_err("mc finds none either");
    assert!(error.contains("does not exist"), "{error}");
    scene.store.administer(&["mb", "adm/cahce"]);
    scene.store.administer(&["cp", "--recursive", "adm/cache/", "adm/cahce/"]);
    let repaired = scene.look("cahce", &trusting);
    scene.mc("cahce").expect("mc finds it");
    let of_daemon = ["cahce", "(service:nix-daemon)"];
    assert_eq!(broken.row("logins/bucket", &of_daemon)["outcome"], "incoherent");
    assert_eq!(repaired.row("logins/bucket", &of_daemon)["outcome"], "coherent");
    assert_eq!((broken.code, repaired.code), (1, 0), "{:#?}", repaired.with_outcome("incoherent"));
    let symptom = broken.row("caches/admitted", &[&scene.called("cahce")]);
    assert_eq!(symptom["caused_by"]["check"], "logins/bucket", "shown beneath its cause: {symptom:#}");
    assert_eq!(repaired.row("caches/admitted", &[&scene.called("cahce")])["outcome"], "coherent");
}

pub fn a_runners_cache_in_a_bucket_that_is_not_there() {
    const KEY: (&str, &str) = ("worldrunner", "runner-secret-0123456789");
    let store = Store::start(HERE);
    store.user(KEY, true);
    let run = |bucket: &str| {
        let section = format!(
            "[runners.cache]\nType = \"s3\"\n[runners.cache.s3]\nServerAddress = \"{}:{}\"\nAccessKey = \"{}\"\nSecretKey = \"{}\"\nBucketName = \"{bucket}\"\nInsecure = true\n",
            gateway(),
            store.port,
            KEY.0,
            KEY.1
        );
        let _runner = Runner::start("", &section);
        let report = doctor(&[], &[]);
        assert!(!report.json.to_string().contains(KEY.1) && !report.errors.contains(KEY.1), "no secret is printed");
        report
    };
    let broken = run("runner-cache");
    let error = store.as_user(KEY, &["cat", "own/runner-cache/object"]).expect_err("mc finds none either");
    assert!(error.contains("does not exist"), "{error}");
    store.administer(&["mb", "adm/runner-cache"]);
    store.administer(&["cp", "adm/cache/nix-cache-info", "adm/runner-cache/object"]);
    let repaired = run("runner-cache");
    store.as_user(KEY, &["cat", "own/runner-cache/object"]).expect("mc finds it");
    assert_twins("runner-bucket-missing", &broken, &repaired, "logins/bucket", &["runner-cache"]);
    assert!(broken.row("logins/bucket", &["runner-cache"])["message"].to_string().contains("gitlab-runner"));
}
