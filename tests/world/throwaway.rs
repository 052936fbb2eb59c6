//! `doctor --job`: the container that a runner would make for a job, made for one run and removed after it.

use std::path::{Path, PathBuf};

use crate::doctor::{Report, assert_twins, doctor, parallax};
use crate::engine::docker;
use crate::image::{NIX, SCRATCH};
use crate::nix::NixDaemon;

const SECRET: &str = "canary-of-a-runner-7Qx2";

/// A runner's configuration with these volumes, `environment` and image.
fn configuration(directory: &Path, image: &str, volumes: &[String], environment: &[&str]) -> PathBuf {
    let quoted = |texts: Vec<String>| texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ");
    let variables = environment.iter().map(|text| (*text).to_owned()).chain([format!("DEPLOY_KEY={SECRET}")]);
    let text = format!(
        "concurrent = 1\n[[runners]]\n  name = \"nix builds\"\n  url = \"http://192.0.2.10\"\n  token = \"glrt-t1_{SECRET}\"\n  \
         executor = \"docker\"\n  environment = [{}]\n  [runners.docker]\n    image = \"{image}\"\n    volumes = [{}]\n",
        quoted(variables.collect()),
        quoted(volumes.to_vec()),
    );
    let path = directory.join("config.toml");
    std::fs::write(&path, text).expect("config.toml is written");
    path
}

fn made(file: &Path, nix: &NixDaemon, further: &[&str]) -> Report {
    let file = file.to_str().expect("text");
    let arguments = [&["--job", "nix builds", "--runner-config", file], further].concat();
    doctor(&arguments, &nix.environment())
}

/// Nothing that was made is left.
fn assert_nothing_left() {
    let left = docker(&["ps", "-aq", "--filter", "label=parallax.throwaway"]).expect("docker runs");
    assert_eq!(left, "", "containers are left");
    let left = docker(&["network", "ls", "-q", "--filter", "label=parallax.throwaway"]).expect("docker runs");
    assert_eq!(left, "", "networks are left");
}

pub fn a_runner_s_job_is_looked_at_before_there_is_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let nix = NixDaemon::start("");
    let shared = [
        "/cache".to_owned(),
        format!("{}:/nix/var/nix/daemon-socket", nix.text("var/daemon-socket")),
        format!("{}:/nix/store", nix.text("store")),
    ];
    let database = format!("{}:/nix/var/nix/db", nix.text("var/db"));
    let wrong: Vec<String> = shared.iter().cloned().chain([database]).collect();
    let broken = made(&configuration(directory.path(), NIX, &wrong, &[]), &nix, &[]);
    assert_nothing_left();
    let repaired = made(&configuration(directory.path(), NIX, &shared, &["NIX_REMOTE=daemon"]), &nix, &[]);
    assert_nothing_left();
    assert_twins("job", &broken, &repaired, "store/one-writer", &["job", "nix-daemon"]);
    for report in [&broken, &repaired] {
        assert!(report.errors.contains("it is removed afterwards"), "{}", report.errors);
        let said = format!("{}{}", report.json, report.errors);
        assert!(!said.contains(SECRET), "a secret of the runner came out");
        let notes = report.json["notes"].to_string();
        assert!(notes.contains("was made for this run"), "{notes}");
    }
}

pub fn an_image_with_nothing_in_it_makes_a_job_s_container_too_and_nothing_of_it_runs() {
    let directory = tempfile::tempdir().expect("a directory");
    let nix = NixDaemon::start("");
    let file = configuration(directory.path(), SCRATCH, &["/cache".to_owned()], &[]);
    let text = std::fs::read_to_string(&file).expect("it is there");
    let own_network = format!("{text}  [runners.feature_flags]\n    FF_NETWORK_PER_BUILD = true\n");
    std::fs::write(&file, own_network).expect("it is written");
    let report = made(&file, &nix, &[]);
    assert_nothing_left();
    let contexts = report.json["contexts"].to_string();
    assert!(contexts.contains("\"name\":\"job\""), "{contexts}");
    assert!(report.json["notes"].to_string().contains("in a network of its own"));
}

pub fn what_an_image_wants_to_be_run_is_not_run_and_what_the_engine_would_leave_behind_is_not_made() {
    const CHECKED: &str = "parallax-world-checked";
    let directory = tempfile::tempdir().expect("a directory");
    let nix = NixDaemon::start("");
    let made_of = docker(&["create", "--label", "parallax.world=1", NIX, "true"]).expect("a container");
    let check = "HEALTHCHECK --interval=5ms CMD touch /out/ran";
    docker(&["commit", "--change", check, "--change", "LABEL parallax.world=1", &made_of, CHECKED]).expect("an image");
    docker(&["rm", &made_of]).expect("it goes");
    let (out, missing) = (directory.path().join("out"), directory.path().join("not/there"));
    std::fs::create_dir(&out).expect("mkdir");
    let volumes = [format!("{}:/out", out.display()), "parallax-world-throwaway:/named".to_owned()];
    made(&configuration(directory.path(), CHECKED, &volumes, &[]), &nix, &["--offline"]);
    assert_nothing_left();
    assert_eq!(std::fs::read_dir(&out).expect("it is there").count(), 0, "the image's own check ran");
    assert!(docker(&["volume", "inspect", "parallax-world-throwaway"]).is_err(), "a volume is left");
    let file = configuration(directory.path(), CHECKED, &[format!("{}:/x", missing.display())], &[]);
    let file = file.to_str().expect("text");
    let output = parallax().args(["doctor", "--job", "nix builds", "--runner-config", file]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(!missing.exists(), "the engine made a directory of the host");
    let _ = docker(&["rmi", CHECKED]);
}

pub fn an_image_that_is_not_there_is_not_pulled_unasked_and_a_runner_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = configuration(directory.path(), "parallax-world-nowhere:1", &[], &[]);
    let file = file.to_str().expect("text");
    for (runner, said) in [("nix builds", "--pull fetches it"), ("nix build", "there are")] {
        let output = parallax().args(["doctor", "--job", runner, "--runner-config", file]).output().expect("it runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(said) && !errors.contains(SECRET), "{errors}");
    }
    assert_nothing_left();
}
