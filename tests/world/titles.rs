//! Programs that write their title over their environment, as nginx, redis and sshd do: a real sshd shows that nothing is lost by it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::doctor::{assert_mended, doctor, parallax};
use crate::engine::{Background, Container, docker};
use crate::image::{self, BUSYBOX, SSH};
use crate::reaching::shared;
use crate::server::Authority;
use crate::user::User;

/// A container that a runner made for a job, and that is no job.
const SERVICE: [&str; 4] =
    ["--label", "com.gitlab.gitlab-runner.managed=true", "--label", "com.gitlab.gitlab-runner.type=service"];
const USER: &str = "parallax-world";

fn probe(arguments: &[&str]) -> Value {
    let output = parallax().arg("probe").args(arguments).output().expect("parallax runs");
    serde_json::from_slice(&output.stdout).expect("a snapshot")
}

/// Whether the kernel shows no variable of this process any more.
fn is_overwritten(pid: &str) -> bool {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).expect("environ");
    !environ.is_empty() && !String::from_utf8_lossy(&environ).contains("PATH=")
}

fn wait(what: &str, mut there: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !there() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A key without a passphrase.
fn key(directory: &Path, name: &str) -> PathBuf {
    let path = directory.join(name);
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&path).status();
    assert!(made.expect("ssh-keygen runs").success());
    path
}

/// The values of `$PATH` that programs in there are searched in.
fn path_of(facts: &Value) -> Vec<&str> {
    let entries = facts["tools"]["path"].as_array().expect("a PATH");
    entries.iter().filter_map(|entry| entry["directory"].as_str()).collect()
}

pub fn a_service_that_wrote_over_its_environment_is_seen_with_what_its_engine_starts_there() {
    image::for_ssh().expect("the image");
    let directory = shared();
    key(directory.path(), "host");
    Authority::new("Parallax World CA").bundle(directory.path(), "ca.pem");
    let mount = format!("{}:/server:ro", directory.path().display());
    let run = |bundle: &str| {
        let bundle = format!("SSL_CERT_FILE={bundle}");
        let mut options = SERVICE.to_vec();
        options.extend(["-v", &mount, "-e", "PATH=/usr/local/bin:/bin", "-e", &bundle]);
        let program = ["/usr/sbin/sshd", "-D", "-f", "/dev/null", "-h", "/server/host"];
        let service = Container::run("parallax-world-title", &options, SSH, &program);
        let pid = docker(&["inspect", "--format", "{{.State.Pid}}", &service.name]).expect("a pid");
        wait("it writes its title", || is_overwritten(&pid));
        let snapshot = probe(&["--container", &service.name]);
        assert_eq!(snapshot["facts"]["identity"]["process"]["environment"], "engine");
        let oracle = service.exec(&["sh", "-c", "echo $PATH"]).expect("sh");
        assert_eq!(path_of(&snapshot["facts"]).join(":"), oracle);
        doctor(&[], &[])
    };
    let (broken, repaired) = (run("/nowhere/ca.pem"), run("/server/ca.pem"));
    assert_mended(&broken, &repaired, "reach/bundle-readable", &["SSL_CERT_FILE", "(service)"]);
    for report in [&broken, &repaired] {
        let unknown = report.with_outcome("unknown");
        assert!(unknown.is_empty(), "{unknown:#?}");
    }
}

pub fn a_user_who_is_here_through_ssh_is_seen_with_what_the_session_gave_to_the_shell() {
    let directory = shared();
    let (host, own) = (key(directory.path(), "host"), key(directory.path(), "own"));
    let home = directory.path().join("home");
    std::fs::create_dir(&home).expect("mkdir");
    let _user = User::add(USER, &home);
    // A password that is locked locks the account for a server without PAM (sshd(8)).
    assert!(Command::new("usermod").args(["-p", "*", USER]).status().expect("usermod").success());
    std::fs::create_dir_all("/run/sshd").expect("mkdir");
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let keys = format!("AuthorizedKeysFile={}", own.with_extension("pub").display());
    let mut server = Command::new("/usr/sbin/sshd");
    server.args(["-D", "-p", &port.to_string(), "-h"]).arg(&host);
    for option in ["ListenAddress=127.0.0.1", "UsePAM=no", "PidFile=none", "StrictModes=no", &keys] {
        server.args(["-o", option]);
    }
    let _server = Background(server.stderr(Stdio::null()).spawn().expect("sshd starts"));
    wait("it listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let mut client = Command::new("ssh");
    client.args([
        "-tt",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-p",
        &port.to_string(),
    ]);
    client.arg("-i").arg(&own).args([&format!("{USER}@127.0.0.1"), "PATH=/opt/session/bin:/bin sleep 900"]);
    client.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _client = Background(client.spawn().expect("ssh starts"));
    let first = || {
        let found = Command::new("pgrep").args(["--oldest", "--euid", USER]).output().expect("pgrep");
        String::from_utf8_lossy(&found.stdout).trim().to_owned()
    };
    let is_sleeping =
        || Command::new("pgrep").args(["--euid", USER, "sleep"]).output().expect("pgrep").status.success();
    wait("the session is there", is_sleeping);
    assert!(is_overwritten(&first()), "the oldest process of the user is the server's");
    let snapshot = probe(&["--user", USER]);
    let facts = &snapshot["facts"];
    assert_eq!(facts["identity"]["process"]["environment"], "process", "{:#}", snapshot["unobserved"]);
    assert_eq!(facts["identity"]["home"]["source"], "environment");
    assert!(!path_of(facts).is_empty(), "{:#}", facts["tools"]);
}

/// Whoever may mount in a user namespace of his own can mount what is called after another container.
pub fn who_only_mounts_what_is_called_after_a_container_is_not_given_its_environment() {
    let options = ["-e", "AWS_ACCESS_KEY_ID=AKIAOFTHEVICTIM", "-e", "AWS_SECRET_ACCESS_KEY=x"];
    let victim = Container::run("parallax-world-victim", &options, BUSYBOX, &["sleep", "900"]);
    let id = docker(&["inspect", "--format", "{{.Id}}", &victim.name]).expect("an id");
    let directory = shared();
    let hosts = directory.path().join("containers").join(id).join("hosts");
    std::fs::create_dir_all(hosts.parent().expect("a directory")).expect("mkdir");
    std::fs::write(&hosts, "127.0.0.1 localhost\n").expect("hosts");
    let script =
        format!("mount --bind {} /etc/hosts && exec perl -e '$0 = \"title \" x 999; sleep 900'", hosts.display());
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "unshare", "-Urmn", "sh", "-c", &script]);
    let attacker = Background(command.spawn().expect("setpriv starts"));
    let pid = attacker.0.id().to_string();
    wait("it writes its title", || is_overwritten(&pid));
    let report = doctor(&[], &[]);
    let contexts = report.json["contexts"].as_array().expect("contexts").iter();
    let ids: Vec<_> = contexts.filter_map(|context| context["id"].as_str()?.strip_prefix("container:")).collect();
    let other =
        ids.iter().find(|id| id.contains("victim/")).unwrap_or_else(|| panic!("it is taken for a part of it: {ids:?}"));
    let snapshot = probe(&["--container", other]);
    assert_eq!(snapshot["facts"]["identity"]["process"]["executable"], "/usr/bin/perl", "{:#}", snapshot["context"]);
    assert!(snapshot["unobserved"].get("identity.process.environment").is_some(), "{:#}", snapshot["unobserved"]);
    assert!(!snapshot.to_string().contains("AKIAOFTHEVICTIM"));
    let own = probe(&["--container", &victim.name]);
    assert!(own.to_string().contains("AKIAOFTHEVICTIM"), "it is the victim's own");
}
