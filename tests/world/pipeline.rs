//! The first job of a pipeline: the host publishes its views, the job takes its own and compares.

use std::path::Path;

use crate::doctor::{Report, assert_twins, parallax, read};
use crate::engine::Container;
use crate::image::NIX;
use crate::linked::fetches;
use crate::nix::NixDaemon;
use crate::signatures::World;

const JOB: &str = "parallax-world-job";

/// `parallax check` inside the container, by the binary that is mounted into it.
fn check(container: &Container, arguments: &[&str]) -> Report {
    let mut command = std::process::Command::new("docker");
    command.args(["exec", &container.name, "/opt/parallax", "check", "--format", "json"]).args(arguments);
    read(&command.output().expect("docker runs"))
}

/// `doctor --publish`, as a timer on the host would run it.
fn publish(nix: &NixDaemon, directory: &Path) {
    let mut command = parallax();
    command.args(["doctor", "--publish"]).arg(directory).envs(nix.environment());
    let output = command.output().expect("parallax runs");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

/// What the cache serves is verified in the job, with the keys of the daemon's published view: whether the daemon would take it is known there.
pub fn a_job_knows_whether_the_daemon_of_the_published_views_would_reject_what_its_cache_serves() {
    let mut world = World::new(Some("present"), None);
    let (views, url) = (tempfile::tempdir().expect("a directory"), world.url.clone());
    let mounts = [
        format!("{}:/run/parallax/snapshots:ro", views.path().display()),
        format!("{}:/opt/parallax:ro", env!("CARGO_BIN_EXE_parallax")),
        format!("{}:/opt/parallax.toml:ro", world.nix.text("parallax.toml")),
    ];
    let options: Vec<&str> = mounts.iter().flat_map(|mount| ["-v", mount.as_str()]).chain(["-e", "CI=true"]).collect();
    let user = ["-u", "1000:1000", "-e", "HOME=/home/job"];
    let mut run = |key: &str| {
        // The daemon fetches from there for the job alone, and has not verified anything itself.
        let key = world.key(key);
        world.configure(&format!("substituters =\ntrusted-substituters = {url}\ntrusted-public-keys = {key}\n"));
        let container = world.client(user, "/home/job", &format!("substituters = {url}\n"), &options);
        publish(&world.nix, views.path());
        let report = check(&container, &["--config", "/opt/parallax.toml", "--require", "service:nix-daemon"]);
        (report, fetches(&world, &container))
    };
    let (broken, (fetched, text)) = run("former");
    assert!(!fetched && text.contains("signed by any of the keys"), "the daemon rejects it: {text}");
    let (repaired, (fetched, text)) = run("present");
    assert!(fetched, "the daemon takes it: {text}");
    assert_twins("check-signature", &broken, &repaired, "caches/daemon-trusts-signer", &[&url]);
}

pub fn a_job_compares_its_own_view_with_those_that_the_host_published() {
    let nix = NixDaemon::start("");
    let views = tempfile::tempdir().expect("a directory");
    publish(&nix, views.path());
    let published = std::fs::read_dir(views.path()).expect("it is there").count();
    assert!(published >= 3, "host, root and the daemon: {published}");
    let mounts = [
        format!("{}:/nix/var/nix/daemon-socket", nix.text("var/daemon-socket")),
        format!("{}:/run/parallax/snapshots:ro", views.path().display()),
        format!("{}:/opt/parallax:ro", env!("CARGO_BIN_EXE_parallax")),
        format!("{}:/nix/var/nix/db", nix.text("var/db")),
    ];
    let mut options: Vec<&str> = mounts.iter().take(3).flat_map(|mount| ["-v", mount.as_str()]).collect();
    options.extend(["-e", "CI=true", "-e", "CI_JOB_ID=1"]);
    let broken_options: Vec<&str> = options.iter().copied().chain(["-v", mounts[3].as_str()]).collect();
    let require = ["--require", "service:nix-daemon"];
    let broken = {
        let container = Container::run(JOB, &broken_options, NIX, &["sleep", "900"]);
        check(&container, &require)
    };
    assert_eq!(broken.code, 1);
    options.extend(["-e", "NIX_REMOTE=daemon"]);
    let container = Container::run(JOB, &options, NIX, &["sleep", "900"]);
    let repaired = check(&container, &require);
    assert_twins("check", &broken, &repaired, "store/one-writer", &["job / ", "nix-daemon"]);
    // What is missing, too old or absent altogether is not coherent.
    let stale = check(&container, &["--max-age", "0.1", require[0], require[1]]);
    assert_eq!(stale.code, 3, "{:#}", stale.json["notes"]);
    let missing = check(&container, &["--require", "service:nowhere"]);
    assert_eq!(missing.code, 3);
    assert_eq!(missing.json["missing"][0], "service:nowhere");
}
