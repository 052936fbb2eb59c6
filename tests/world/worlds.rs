//! The failures that the project grew from, as worlds with two sides: broken, and the same repaired. What a job gets of the host and what the
//! host is configured with; who makes the job of it, `docker run` or a GitLab Runner, is the business of the tests.

use std::any::Any;
use std::os::unix::fs::PermissionsExt;

use crate::cache::Cache;
use crate::engine::gateway;
use crate::image::{BUSYBOX, CURL, NIX};
use crate::nix::NixDaemon;
use crate::user::User;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Broken,
    Repaired,
}

/// A world: a check names its broken side, and no check its repaired one.
pub struct World {
    pub name: &'static str,
    /// The check that finds it.
    pub check: &'static str,
    /// Words of the finding's subject, beside the job's name.
    pub words: Vec<String>,
    side: Box<dyn Fn(State) -> Side>,
}

impl World {
    /// The image for a job of a runner, which has curl as well; but for the world whose image must not have a loader.
    pub fn job_image(&self) -> &'static str {
        if self.check == "tools/can-start" { BUSYBOX } else { CURL }
    }

    /// Makes one side of it, for as long as the value lives. One at a time.
    pub fn side(&self, state: State) -> Side {
        (self.side)(state)
    }
}

/// One side of a world.
#[derive(Default)]
pub struct Side {
    pub image: &'static str,
    /// What the job has mounted: `SOURCE:TARGET[:MODE]`.
    pub volumes: Vec<String>,
    /// The job's variables.
    pub environment: Vec<(&'static str, String)>,
    /// Who the job is.
    pub user: Option<&'static str>,
    /// Arguments of whoever looks from the host.
    pub arguments: Vec<String>,
    /// Variables of whoever looks from the host.
    pub variables: Vec<(&'static str, String)>,
    /// The store that Nix itself says it would use in the job.
    pub store: Option<&'static str>,
    kept: Vec<Box<dyn Any>>,
}

impl Side {
    /// With a daemon of this configuration on the host, and nothing of it in the job.
    fn beside(image: &'static str, configuration: &str) -> (Self, NixDaemon) {
        let nix = NixDaemon::start(configuration);
        (Self { image, variables: nix.environment(), ..Self::default() }, nix)
    }

    /// Mounts a path of the host.
    fn mount(&mut self, from: &str, to: &str) {
        self.volumes.push(format!("{from}:{to}"));
    }

    /// The daemon's socket directory and store, as a job should get them.
    fn daemon(&mut self, nix: &NixDaemon) {
        self.mount(&nix.text("var/daemon-socket"), "/nix/var/nix/daemon-socket");
        self.mount(&nix.text("store"), "/nix/store:ro");
    }

    fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.environment.push((name, value.into()));
    }

    fn keep(mut self, kept: impl Any) -> Self {
        self.kept.push(Box::new(kept));
        self
    }

    /// Through the daemon, as Nix is told here.
    fn through_the_daemon(&mut self) {
        self.set("NIX_REMOTE", "daemon");
        self.store = Some("daemon");
    }
}

fn world(name: &'static str, check: &'static str, words: &[&str], side: impl Fn(State) -> Side + 'static) -> World {
    World { name, check, words: words.iter().map(|word| (*word).to_owned()).collect(), side: Box::new(side) }
}

/// Those that a job with curl in its image can be in.
pub const OF_CURL: [fn() -> World; 5] = [one_writer, own_store, cache_on_loopback, two_keys, ignored_cache];

/// A job writes the database that the daemon owns.
pub fn one_writer() -> World {
    world("one-writer", "store/one-writer", &["nix-daemon"], |state| {
        let (mut side, nix) = Side::beside(NIX, "");
        if state == State::Broken {
            side.mount(&nix.text("var/daemon-socket"), "/nix/var/nix/daemon-socket");
            // With a read-only store Nix would stop before it opens the database, and nothing would be written.
            side.mount(&nix.text("store"), "/nix/store");
            side.mount(&nix.text("var/db"), "/nix/var/nix/db");
            side.store = Some("local");
        } else {
            side.daemon(&nix);
            side.through_the_daemon();
        }
        side.keep(nix)
    })
}

/// Root in a job has the daemon's socket and takes a store of its own.
pub fn own_store() -> World {
    world("own-store", "store/daemon-in-use", &["nix-daemon"], |state| {
        let (mut side, nix) = Side::beside(NIX, "");
        side.mount(&nix.text("var/daemon-socket"), "/nix/var/nix/daemon-socket");
        side.store = Some("local");
        if state == State::Repaired {
            side.through_the_daemon();
        }
        side.keep(nix)
    })
}

/// The cache listens for the host's loopback; the job has one of its own.
pub fn cache_on_loopback() -> World {
    let cache = Cache::serve();
    world("loopback-cache", "network/loopback-endpoint", &["substituters"], move |state| {
        // The whole cache lives as long as the world, not just its port.
        let cache = &cache;
        let address = if state == State::Broken { "127.0.0.1".to_owned() } else { gateway() };
        let (mut side, nix) = Side::beside(NIX, &format!("substituters = http://{address}:{}\n", cache.port));
        side.daemon(&nix);
        // Whoever substitutes here does so into the daemon's store.
        *cache.store.lock().expect("a lock") = nix.text("store");
        side.mount(&nix.text("etc/nix.conf"), "/etc/nix/nix.conf:ro");
        side.set("NIX_REMOTE", "daemon");
        side.keep(nix)
    })
}

/// The host's bash in an image that has no loader for it. Not where a runner would look for the shell of its scripts.
pub fn bash_without_loader() -> World {
    world("mounted-bash", "tools/can-start", &["bash"], |state| {
        let mut side = Side { image: BUSYBOX, ..Side::default() };
        let bash = if state == State::Broken { "/bin/bash" } else { "/bin/bash-static" };
        side.mount(bash, "/opt/tools/bash:ro");
        side.set("PATH", "/opt/tools:/usr/bin:/bin");
        side
    })
}

/// The runner's user and the job have different keys for what the configuration calls one account.
pub fn two_keys() -> World {
    const USER: &str = "parallax-world";
    world("two-keys", "credentials/same-account", &["cache"], |state| {
        let home = tempfile::tempdir().expect("a directory");
        let endpoint = format!("http://{}:9000", gateway());
        let alias = serde_json::json!({"version": "10", "aliases": {"cache": {
            "url": endpoint, "accessKey": "RUNNERKEY", "secretKey": "runner-secret-canary", "api": "S3v4", "path": "auto"}}});
        std::fs::create_dir(home.path().join(".mc")).expect("mkdir");
        std::fs::write(home.path().join(".mc/config.json"), alias.to_string()).expect("mc configuration");
        let user = User::add(USER, home.path());
        let config = home.path().join("parallax.toml");
        let text = format!("users = [\"{USER}\"]\n[[account]]\nname = \"cache\"\nendpoint = \"{endpoint}\"\n");
        std::fs::write(&config, text).expect("config");
        let mut side = Side { image: BUSYBOX, ..Side::default() };
        side.arguments = vec!["--config".into(), config.display().to_string()];
        side.set("AWS_ACCESS_KEY_ID", if state == State::Broken { "JOBKEY" } else { "RUNNERKEY" });
        side.set("AWS_SECRET_ACCESS_KEY", "runner-secret-canary");
        side.set("AWS_ENDPOINT_URL", endpoint);
        side.keep(user).keep(home)
    })
}

/// A job's user asks for a cache that the daemon does not take from him.
pub fn ignored_cache() -> World {
    const KEY: &str = "parallax-world-1:A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
    let cache = format!("http://{}:9", gateway());
    let wanted = format!("extra-substituters = {cache}\nextra-trusted-public-keys = {KEY}\n");
    world("ignored-cache", "nix/honoured-requests", &["substituters", &cache], move |state| {
        let of_the_daemon = if state == State::Broken { "" } else { wanted.as_str() };
        let (mut side, nix) = Side::beside(NIX, &format!("trusted-users = root\n{of_the_daemon}"));
        let home = tempfile::tempdir().expect("a directory");
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
        std::fs::write(home.path().join("nix.conf"), &wanted).expect("the job's configuration");
        side.daemon(&nix);
        side.mount(&home.path().join("nix.conf").display().to_string(), "/home/job/.config/nix/nix.conf:ro");
        side.user = Some("1000:1000");
        side.set("HOME", "/home/job");
        side.through_the_daemon();
        side.keep(home).keep(nix)
    })
}
