//! A context is seen with its own rights, not with those of the root who looks.

use serde_json::Value;

use crate::doctor::parallax;
use crate::engine::{Background, Container};
use crate::image::BUSYBOX;
use crate::nix::NixDaemon;

fn probe(arguments: &[&str]) -> Value {
    let output = parallax().arg("probe").args(arguments).output().expect("parallax runs");
    serde_json::from_slice(&output.stdout).expect("a snapshot")
}

/// Stands in for a rootless engine: root inside, an ordinary user outside.
pub fn root_of_a_user_namespace_may_not_write_the_database_that_the_hosts_root_writes() {
    let nix = NixDaemon::start("");
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "unshare", "-Urnm", "sleep", "900"]);
    let process = Background(command.envs(nix.environment()).spawn().expect("it starts"));
    std::thread::sleep(std::time::Duration::from_millis(500));
    let inside = probe(&["--pid", &process.0.id().to_string()]);
    let facts = &inside["facts"];
    assert_eq!(inside["context"]["entry"], "entered", "{:#}", inside["context"]);
    assert_eq!(facts["identity"]["uid"], 0, "root inside");
    assert_eq!(facts["identity"]["host_uid"], 65534, "nobody outside");
    assert_eq!(facts["store"]["db"]["exists"], true, "{:#}", inside["unobserved"]);
    assert_eq!(facts["store"]["db"]["writable"], false);
    let mut host = parallax();
    let host = host.arg("probe").envs(nix.environment()).output().expect("parallax runs");
    let host: Value = serde_json::from_slice(&host.stdout).expect("a snapshot");
    assert_eq!(host["facts"]["store"]["db"]["writable"], true, "the host's root may");
    assert_eq!(host["facts"]["store"]["db"]["identity"], facts["store"]["db"]["identity"], "the same file");
}

pub fn a_file_of_another_uid_is_unobserved_for_user_1000_of_a_container() {
    let home = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    std::fs::create_dir(home.path().join(".aws")).expect("mkdir");
    let file = home.path().join(".aws/credentials");
    std::fs::write(&file, "[default]\naws_access_key_id = ROOTSKEY\naws_secret_access_key = x\n").expect("write");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("chmod");
    let mount = format!("{}:/home/job:ro", home.path().display());
    let look = |user: &str| {
        let options = ["-u", user, "-e", "HOME=/home/job", "-v", &mount];
        let container = Container::run("parallax-world-rights", &options, BUSYBOX, &["sleep", "900"]);
        probe(&["--container", &container.name])
    };
    let (other, owner) = (look("1000:1000"), look("0:0"));
    assert!(!other["facts"].to_string().contains("ROOTSKEY"), "what root could read is not told");
    let reason =
        other["unobserved"].as_object().expect("reasons").iter().find(|(fact, _)| fact.starts_with("credentials.s3"));
    let (_, reason) = reason.expect("the keys are open");
    assert_eq!(
        (reason["errno"].as_str(), reason["path"].as_str()),
        (Some("EACCES"), Some("/home/job/.aws/credentials"))
    );
    assert_eq!(owner["facts"]["credentials"]["s3"][0]["access_key_id"], "ROOTSKEY", "its owner does see it");
}
