//! The seven failures that the project grew from, rebuilt with a real engine and a real daemon, each with its repaired twin.

use std::time::Duration;

use crate::doctor::{Report, assert_twins, doctor, parallax};
use crate::engine::{Background, Container};
use crate::nix::NixDaemon;
use crate::worlds::{self, Side, State, World};

const JOB: &str = "parallax-world-job";
/// What its context is called.
const ROLE: &str = "job";
const SLEEP: &[&str] = &["sleep", "900"];
/// Labels as the docker executor sets them on a job's container.
const JOB_LABELS: [&str; 4] =
    ["--label", "com.gitlab.gitlab-runner.managed=true", "--label", "com.gitlab.gitlab-runner.type=build"];

/// A container like a runner's, on this side of a world.
fn job(side: &Side) -> Container {
    let variables: Vec<String> = side.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut options = JOB_LABELS.to_vec();
    options.extend(side.volumes.iter().flat_map(|volume| ["-v", volume]));
    options.extend(variables.iter().flat_map(|variable| ["-e", variable]));
    options.extend(side.user.iter().flat_map(|user| ["-u", *user]));
    Container::run(JOB, &options, side.image, SLEEP)
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

/// Looks at one side of a world, after `meet` has met its job.
fn look(world: &World, state: State, meet: &dyn Fn(&Container)) -> Report {
    let side = world.side(state);
    let container = job(&side);
    if let Some(store) = side.store {
        assert_eq!(oracle(&container), store, "Nix in the job");
        assert_eq!(chosen(&container), store, "parallax of Nix in the job");
    }
    meet(&container);
    let arguments: Vec<&str> = side.arguments.iter().map(String::as_str).collect();
    doctor(&arguments, &side.variables)
}

/// Both sides: the check names the broken one, and nothing is found on the other.
fn twins(world: &World, words: &[&str]) -> (Report, Report) {
    let (broken, repaired) = (look(world, State::Broken, &|_| ()), look(world, State::Repaired, &|_| ()));
    assert_named(world, &broken, &repaired, words);
    (broken, repaired)
}

fn assert_named(world: &World, broken: &Report, repaired: &Report, words: &[&str]) {
    let words: Vec<&str> = world.words.iter().map(String::as_str).chain(words.iter().copied()).collect();
    assert_twins(world.name, broken, repaired, world.check, &words);
}

pub fn a_job_that_writes_the_hosts_database_beside_the_daemon() {
    twins(&worlds::one_writer(), &[ROLE]);
}

pub fn a_root_job_that_silently_takes_its_own_store() {
    twins(&worlds::own_store(), &[ROLE]);
}

pub fn a_cache_on_loopback_that_only_the_host_serves() {
    twins(&worlds::cache_on_loopback(), &[ROLE]);
}

pub fn a_bash_from_the_host_in_an_image_without_its_loader() {
    let world = worlds::bash_without_loader();
    let starts = |container: &Container| container.exec(&["/opt/tools/bash", "-c", "exit 0"]).is_ok();
    let broken = look(&world, State::Broken, &|job| assert!(!starts(job), "the kernel refuses it"));
    let repaired = look(&world, State::Repaired, &|job| assert!(starts(job), "the kernel starts it"));
    assert_named(&world, &broken, &repaired, &[ROLE]);
}

pub fn two_access_keys_for_what_the_configuration_calls_one_account() {
    let (broken, repaired) = twins(&worlds::two_keys(), &[]);
    for report in [&broken, &repaired] {
        assert!(
            !report.json.to_string().contains("canary") && !report.errors.contains("canary"),
            "no secret is printed"
        );
    }
}

pub fn a_substituter_that_the_daemon_ignores_from_an_untrusted_user() {
    let (broken, _) = twins(&worlds::ignored_cache(), &[ROLE]);
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
