//! The runner probe in small roots: which file counts, and what of it leaves.

use super::{RunnerWishes, declared, observe};
use crate::probe::environment::Environment;
use crate::probe::{Target, Wishes};
use crate::snapshot::facts::Runner;
use crate::snapshot::secret::RunKey;
use crate::snapshot::{Fact, Reason};
use crate::sys::Root;
use crate::sys::process::{ProcessDirectory, ProcessTexts};

struct World {
    directory: tempfile::TempDir,
    process: ProcessTexts,
    environment: Fact<Environment>,
}

impl World {
    /// A process with these words, this environment and these files.
    fn new(words: &[&str], environment: &str, files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let path = directory.path().join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().expect("a directory")).expect("mkdir");
            std::fs::write(path, text).expect("a file");
        }
        let mut process = ProcessDirectory::open(std::process::id()).expect("our own process").texts();
        process.executable = Ok("/usr/bin/program".into());
        process.command_line = Ok(words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect());
        Self { directory, process, environment: Fact::Present(Environment::parse(environment.as_bytes())) }
    }

    fn with<T>(&self, runner: RunnerWishes, look: impl FnOnce(&Target<'_>) -> T) -> T {
        let root = Root::open(self.directory.path()).expect("the root");
        look(&Target {
            root: &root,
            boot: "boot",
            process: &self.process,
            live: true,
            environment: &self.environment,
            wishes: &Wishes { runner, ..Wishes::default() },
            key: Some(&RunKey::new(vec![1; 32])),
            locks: &Ok(Vec::new()),
            incomplete: &[],
        })
    }

    fn runner(&self) -> Runner {
        self.with(RunnerWishes::default(), |target| observe(target).0)
    }
}

const ONE: &str = "[[runners]]\ntoken = \"glrt-AbCdEfGhIjKlMnOpQrSt\"\nurl = \"https://u:canary@gitlab.test:8443/x\"\nexecutor = \"docker\"\nenvironment = [\"NIX_REMOTE=daemon\", \"API_KEY=canary\"]\n[runners.docker]\nvolumes = [\"/srv/db:/nix/var/nix/db\", \"/srv/tools:/tools:ro\"]\n[runners.cache.s3]\nServerAddress = \"127.0.0.1:9000\"\nAccessKey = \"K\"\nSecretKey = \"canary\"\nInsecure = true\n";

#[test]
fn an_option_comes_before_the_variable_and_both_before_the_place_of_the_user() {
    let used = |words: &[&str], environment: &str| World::new(words, environment, &[]).runner();
    let run = ["gitlab-runner", "run"];
    let named = |runner: Runner| (runner.config.present().cloned(), runner.config_named_by.present().cloned());
    let pair = |path: &str, by: &str| (Some(path.to_owned()), Some(by.to_owned()));
    let with = |option: &'static [&'static str]| [&run[..], option].concat();
    assert_eq!(named(used(&with(&["--config", "/a", "--user", "ci"]), "CONFIG_FILE=/b")), pair("/a", "--config"));
    assert_eq!(named(used(&with(&["-c=/a"]), "")), pair("/a", "--config"));
    assert_eq!(named(used(&run, "CONFIG_FILE=/b")), pair("/b", "CONFIG_FILE"));
    let is_root = rustix::process::geteuid().is_root();
    let default = if is_root {
        pair("/etc/gitlab-runner/config.toml", "root")
    } else {
        pair("/h/.gitlab-runner/config.toml", "home")
    };
    assert_eq!(named(used(&run, "HOME=/h")), default);
    // Another program's variable of that name says nothing of a runner.
    assert_eq!(named(used(&["other"], "HOME=/h\0CONFIG_FILE=/b")), default);
    let relative = used(&with(&["--config", "config.toml"]), "HOME=/h");
    assert!(matches!(relative.config, Fact::Unobserved(Reason::NotEmulated { .. })));
}

#[test]
fn only_a_runner_that_takes_jobs_names_its_endpoints_and_no_secret_leaves() {
    let world = |words: &[&str]| {
        World::new(
            words,
            "HOME=/h",
            &[
                ("/c/config.toml", ONE),
                ("/c/.runner_system_id", "s_ee3af03959fe\n"),
                ("/etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
            ],
        )
    };
    let (runner, named) =
        world(&["gitlab-runner", "run", "-c", "/c/config.toml"]).with(RunnerWishes::default(), observe);
    assert_eq!(runner.manager, Fact::Present(true));
    let urls: Vec<&str> = named.iter().map(|endpoint| endpoint.url.as_str()).collect();
    assert_eq!(urls, ["https://gitlab.test:8443", "http://127.0.0.1:9000"]);
    let text = serde_json::to_string(&(&runner, &named)).expect("JSON");
    assert!(!text.contains("canary") && !text.contains("jKlMnOp"), "{text}");
    assert_eq!(
        (&runner.system_id, &runner.machine_system_id),
        (&Fact::Present("s_ee3af03959fe".into()), &Fact::Present("s_ee3af03959fe".into()))
    );

    let (other, named) =
        world(&["gitlab-runner", "verify", "-c", "/c/config.toml"]).with(RunnerWishes::default(), observe);
    assert_eq!((other.manager, named.len()), (Fact::Present(false), 0));
}

#[test]
fn a_file_that_is_not_there_has_no_entries_and_one_that_is_no_toml_has_a_reason() {
    let run = ["gitlab-runner", "run", "-c", "/c/config.toml"];
    assert_eq!(World::new(&run, "", &[]).runner().entries, Fact::Absent);
    let broken = World::new(&run, "", &[("/c/config.toml", "[[runners]]\ntoken = canary\n")]).runner();
    let Fact::Present(entries) = &broken.entries else { panic!("a list: {:?}", broken.entries) };
    assert!(matches!(&entries.more, Some(Reason::Malformed { line: Some(2), .. })), "{entries:?}");
    assert!(!format!("{broken:?}").contains("canary"));
}

#[test]
fn what_a_volume_covers_is_looked_at_on_the_host_and_the_rest_is_the_image_s() {
    let run = ["gitlab-runner", "run", "-c", "/c/config.toml"];
    let world = World::new(&run, "", &[("/c/config.toml", ONE), ("/srv/db/db.sqlite", "x"), ("/srv/tools/t", "x")]);
    let runner = world.runner();
    let entry = runner.entries.present().and_then(|list| list.items.first()).expect("an entry");
    let facts = world.with(RunnerWishes::default(), |target| declared(target, entry));
    assert_eq!(facts.store.db.exists, Fact::Present(true));
    assert_eq!(facts.store.db.mount.point, Fact::Present("/nix/var/nix/db".to_owned()));
    assert!(matches!(facts.store.dir.exists, Fact::Unobserved(Reason::NeedsNative { .. })));
    assert_eq!(facts.store.chosen.setting, Fact::Present("daemon".to_owned()));
    let given = facts.runner.given.present().expect("a list");
    assert_eq!(given.items.iter().map(|one| one.what.as_str()).collect::<Vec<_>>(), ["database"]);
    let volumes = facts.runner.volumes.present().expect("a list");
    assert!(
        volumes.items.iter().all(|volume| volume.identity.reason().is_none_or(|reason| *reason != Reason::NotRecorded))
    );
    let endpoints = facts.network.endpoints.present().expect("a list");
    assert_eq!(endpoints.items.len(), 1, "a name is looked at where it is resolved: {endpoints:?}");
    assert_eq!(
        (&endpoints.items[0].loopback, &endpoints.items[0].listening),
        (&Fact::Present(true), &Fact::Present(false))
    );
    assert_eq!(facts.network.namespace, Fact::Absent);

    let away = RunnerWishes { elsewhere: Some("its engine is at tcp://other:2376".into()), ..RunnerWishes::default() };
    let facts = world.with(away, |target| declared(target, entry));
    assert!(matches!(facts.store.db.exists, Fact::Unobserved(Reason::NotEntered { .. })));
}

#[test]
fn a_job_is_asked_only_for_what_its_runner_declares() {
    let world = World::new(&["sh"], "", &[("/tools/t", "x")]);
    assert_eq!((world.runner().places, world.runner().short), (Fact::Absent, Fact::Absent));
    let asked = RunnerWishes {
        short: Some("abc".into()),
        places: Some(vec!["/tools".into(), "/none".into()]),
        ..RunnerWishes::default()
    };
    let places = world.with(asked, |target| observe(target).0.places);
    let places = places.present().expect("a list").items.clone();
    assert_eq!((&places[0].mounted, &places[1].mounted), (&Fact::Present(false), &Fact::Present(false)));
    assert_eq!(places[1].identity, Fact::Absent);
}
