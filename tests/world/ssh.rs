//! Stores and builders behind SSH: real servers of OpenSSH, a real daemon and jobs with Nix, and the real `ssh` in each context as the oracle.
//!
//! The servers are containers, so that they have port 22 and nothing of this machine's own SSH is touched.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::doctor::{assert_twins, doctor};
use crate::engine::{Container, docker};
use crate::hostile::{JOB, SLEEP};
use crate::image::{self, SSH};
use crate::nix::NixDaemon;
use crate::reaching::{address_of, shared};

const BUILDER: &str = "builder.parallax-world.test";
const REFUSED: &str = "Host key verification failed";

/// A file that belongs to root and is for it alone.
fn write(path: &Path, text: &str, mode: u32) {
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("mkdir");
    let _ = std::fs::remove_file(path);
    std::fs::write(path, text).expect("written");
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("chmod");
}

/// A pair of keys; gives the public one.
fn key(path: &Path, kind: &str) -> String {
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("mkdir");
    for old in [path.to_path_buf(), path.with_extension("pub")] {
        let _ = std::fs::remove_file(old);
    }
    let made = Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-C", "world", "-f"]).arg(path).status();
    assert!(made.expect("ssh-keygen runs").success());
    std::fs::read_to_string(path.with_extension("pub")).expect("a key").trim().to_owned()
}

/// A server, on port 22 of a container's address.
struct SshServer {
    address: String,
    /// As it stands in `ssh_host_ed25519_key.pub`.
    public: String,
    directory: PathBuf,
    container: Container,
}

impl SshServer {
    /// Starts one, into which root may log in with this key.
    fn start(directory: &Path, name: &str, authorized: &str) -> Self {
        let directory = directory.join(name);
        write(&directory.join("authorized"), &format!("{authorized}\n"), 0o600);
        let text =
            "HostKey /server/host\nAuthorizedKeysFile /server/authorized\nPidFile none\nUsePAM no\nStrictModes no\n";
        write(&directory.join("sshd_config"), text, 0o600);
        let public = key(&directory.join("host"), "ed25519");
        let mount = format!("{}:/server:ro", directory.display());
        let program = ["/usr/sbin/sshd", "-D", "-f", "/server/sshd_config"];
        let container = Container::run(&format!("parallax-world-{name}"), &["-v", &mount], SSH, &program);
        let server = Self { address: address_of(&container), public, directory, container };
        server.wait();
        server
    }

    /// Makes another host key and starts the server anew with it.
    fn take_new_key(&mut self) {
        self.public = key(&self.directory.join("host"), "ed25519");
        docker(&["restart", "--time", "0", &self.container.name]).expect("it starts again");
        self.address = address_of(&self.container);
        self.wait();
    }

    fn wait(&self) {
        let begun = Instant::now();
        while std::net::TcpStream::connect((self.address.as_str(), 22)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10), "sshd listens");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A line of known_hosts.
    fn line(&self, name: &str) -> String {
        let words: Vec<&str> = self.public.split(' ').take(2).collect();
        format!("{name} {}\n", words.join(" "))
    }
}

/// Whether `ssh` gets in, and what it said.
fn ssh(command: &mut Command) -> (bool, String) {
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The same from within a container, as its root or user.
fn ssh_in(container: &Container, words: &[&str]) -> Result<String, String> {
    let words: Vec<&str> = ["/usr/bin/ssh", "-o", "BatchMode=yes"].iter().chain(words).copied().collect();
    container.exec(&words)
}

fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// A job of a user who is a client of this daemon, with `home/.ssh` as his own, and both with this line for their builder.
fn client(nix: &mut NixDaemon, machine: &str) -> Container {
    write(&nix.path("etc/machines"), machine, 0o644);
    nix.restart();
    let mounts = [
        format!("{}:/nix/var/nix/daemon-socket", nix.text("var/daemon-socket")),
        format!("{}:/etc/nix/machines:ro", nix.text("etc/machines")),
        format!("{}:/home/job/.ssh:ro", nix.text("home/.ssh")),
    ];
    let mut options = JOB.to_vec();
    mounts.iter().for_each(|mount| options.extend(["-v", mount.as_str()]));
    options.extend(["-u", "1000:1000", "-e", "HOME=/home/job", "-e", "NIX_REMOTE=daemon"]);
    Container::run("parallax-world-job", &options, SSH, SLEEP)
}

pub fn a_builder_whose_host_key_the_user_knows_and_the_daemon_does_not() {
    image::for_ssh().expect("the image");
    let mut nix = NixDaemon::start("");
    let own = nix.path("keys/builder");
    let authorized = key(&own, "ed25519");
    let server = SshServer::start(nix.directory.path(), "builder", &authorized);
    let address = server.address.clone();
    write(&nix.path("home/.ssh/known_hosts"), &server.line(&address), 0o644);
    let mut run = |told: &str| {
        let line = format!("ssh://root@{address} x86_64-linux {} 4 1 - - {told}\n", own.display());
        let job = client(&mut nix, &line);
        // By hand, as the user: the host is believed, and only the key is missing.
        let by_hand = ssh_in(&job, &[&format!("root@{address}"), "true"]).expect_err("the user has no key");
        assert!(by_hand.contains("Permission denied") && !by_hand.contains(REFUSED), "{by_hand}");
        let store = format!("ssh://root@{address}?ssh-key={}", own.display());
        let store = if told == "-" { store } else { format!("{store}&base64-ssh-public-host-key={told}") };
        let mut ping = Command::new("nix");
        ping.args(["--extra-experimental-features", "nix-command", "store", "ping", "--store", &store]);
        let (reached, text) = ssh(ping.envs(nix.environment()).env("HOME", "/root"));
        assert_eq!(reached, told != "-", "what Nix does as root: {text}");
        assert_eq!(text.contains(REFUSED), told == "-", "{text}");
        doctor(&[], &nix.environment())
    };
    let (broken, repaired) = (run("-"), run(&base64(&server.public)));
    assert_twins("builder-host-key", &broken, &repaired, "ssh/host-known", &[&address]);
    let cause = broken.row("ssh/host-known", &[&address]);
    assert!(cause["message"].as_str().expect("a message").contains("/root/.ssh/known_hosts"), "{cause:#}");
    let symptom = broken.row("ssh/daemon-knows", &[&address]);
    assert_eq!(symptom["outcome"], "incoherent", "{symptom:#}");
    assert_eq!(symptom["caused_by"]["check"], "ssh/host-known", "shown beneath its cause: {symptom:#}");
    assert_eq!(repaired.row("ssh/daemon-knows", &[&address])["outcome"], "coherent");
}

pub fn a_builder_for_which_the_user_has_a_key_and_the_daemon_none() {
    image::for_ssh().expect("the image");
    let mut nix = NixDaemon::start("");
    let (own, users) = (nix.path("keys/builder"), nix.path("home/.ssh/id_ed25519"));
    let authorized = format!("{}\n{}", key(&own, "ed25519"), key(&users, "ed25519"));
    chown(&users, Some(1000), Some(1000)).expect("chown");
    let server = SshServer::start(nix.directory.path(), "builder", &authorized);
    let address = server.address.clone();
    let target = format!("root@{address}");
    write(&nix.path("home/.ssh/known_hosts"), &server.line(&address), 0o644);
    let mut run = |column: &str| {
        let line = format!("ssh://{target} x86_64-linux {column} 4 1 - - {}\n", base64(&server.public));
        let job = client(&mut nix, &line);
        ssh_in(&job, &[&target, "true"]).expect("by hand, as the user, it works");
        let mut ssh_of_daemon = Command::new("ssh");
        let known = format!("UserKnownHostsFile={}", nix.text("home/.ssh/known_hosts"));
        ssh_of_daemon.args(["-o", "BatchMode=yes", "-o", &known]).env_remove("SSH_AUTH_SOCK");
        if column != "-" {
            ssh_of_daemon.args(["-i", column]);
        }
        let (gets_in, text) = ssh(ssh_of_daemon.args([&target, "true"]));
        assert_eq!(gets_in, column != "-", "as root, as the daemon does: {text}");
        assert_eq!(text.contains("Permission denied"), column == "-", "{text}");
        doctor(&[], &nix.environment())
    };
    let (broken, repaired) = (run("-"), run(&own.display().to_string()));
    assert_twins("builder-key", &broken, &repaired, "ssh/daemon-key", &[&address]);
    let found = broken.with_outcome("incoherent");
    assert!(found.len() == 1 && found[0].contains("ssh/daemon-key"), "{found:#?}");
}

/// A job with a store of its own that substitutes from the builder.
fn job(directory: &Path, name: &str, server: &SshServer, known: &str, parameters: &str, options: &[&str]) -> Container {
    let (conf, hosts) = (directory.join(format!("{name}.conf")), directory.join(format!("{name}.known")));
    write(&conf, &format!("substituters = ssh://root@{BUILDER}{parameters}\n"), 0o644);
    write(&hosts, known, 0o644);
    let mounts =
        [format!("{}:/etc/nix/nix.conf:ro", conf.display()), format!("{}:/root/.ssh/known_hosts:ro", hosts.display())];
    let host = format!("{BUILDER}:{}", server.address);
    let mut all = JOB.to_vec();
    mounts.iter().for_each(|mount| all.extend(["-v", mount.as_str()]));
    all.extend(["--add-host", &host]);
    all.extend(options);
    Container::run(&format!("parallax-world-{name}"), &all, SSH, SLEEP)
}

pub fn a_name_under_which_one_job_meets_another_ssh_server() {
    image::for_ssh().expect("the image");
    let directory = shared();
    let authorized = key(&directory.path().join("id"), "ed25519");
    let (right, other) = (
        SshServer::start(directory.path(), "builder", &authorized),
        SshServer::start(directory.path(), "stranger", &authorized),
    );
    let known = right.line(BUILDER);
    let run = |second: &SshServer, is_right: bool| {
        let one = job(directory.path(), "job-a", &right, &known, "", &[]);
        let two = job(directory.path(), "job-b", second, &known, "", &[]);
        let target = format!("root@{BUILDER}");
        assert!(!ssh_in(&one, &[&target, "true"]).expect_err("it has no key").contains(REFUSED));
        let said = ssh_in(&two, &[&target, "true"]).expect_err("it has no key");
        assert_eq!(said.contains("REMOTE HOST IDENTIFICATION HAS CHANGED"), !is_right, "{said}");
        doctor(&[], &[])
    };
    let (broken, repaired) = (run(&other, false), run(&right, true));
    assert_twins("other-ssh-server", &broken, &repaired, "ssh/same-host", &[BUILDER]);
    let rows = broken.rows("ssh/host-key", &[BUILDER]);
    let refused: Vec<_> = rows.iter().filter(|row| row["outcome"] == "incoherent").collect();
    assert_eq!((rows.len(), refused.len()), (2, 1), "{rows:#?}");
    assert_eq!(refused[0]["caused_by"]["check"], "ssh/same-host", "shown beneath its cause: {:#}", refused[0]);
}

pub fn a_server_that_was_given_a_new_host_key() {
    image::for_ssh().expect("the image");
    let directory = shared();
    let authorized = key(&directory.path().join("id"), "ed25519");
    let mut server = SshServer::start(directory.path(), "builder", &authorized);
    let old = server.line(BUILDER);
    server.take_new_key();
    let new = server.line(BUILDER);
    let run = |known: &str| {
        let job = job(directory.path(), "job", &server, known, "", &[]);
        let said = ssh_in(&job, &[&format!("root@{BUILDER}"), "true"]).expect_err("it has no key");
        assert_eq!(said.contains(REFUSED), known == old, "{said}");
        doctor(&[], &[])
    };
    let (broken, repaired) = (run(&old), run(&format!("{old}{new}")));
    assert_twins("new-host-key", &broken, &repaired, "ssh/host-key", &[BUILDER]);
}

pub fn a_key_for_a_store_behind_ssh_that_the_job_cannot_use() {
    image::for_ssh().expect("the image");
    let directory = shared();
    let own = directory.path().join("id");
    let authorized = key(&own, "ed25519");
    let server = SshServer::start(directory.path(), "builder", &authorized);
    let (known, mount) = (server.line(BUILDER), format!("{}:/keys/id:ro", own.display()));
    let run = |options: &[&str], works: bool| {
        let job = job(directory.path(), "job", &server, &known, "?ssh-key=/keys/id", options);
        let said = ssh_in(&job, &["-i", "/keys/id", &format!("root@{BUILDER}"), "true"]);
        assert_eq!(said.is_ok(), works, "{said:?}");
        doctor(&[], &[])
    };
    let with = ["-v", mount.as_str()];
    let repaired = run(&with, true);
    let missing = run(&[], false);
    assert_twins("ssh-key-missing", &missing, &repaired, "ssh/identity", &["/keys/id"]);
    std::fs::set_permissions(&own, PermissionsExt::from_mode(0o644)).expect("chmod");
    let open = run(&with, false);
    let row = open.row("ssh/identity", &["/keys/id"]);
    assert!(row["message"].as_str().expect("a message").contains("others may open it"), "{row:#}");
    std::fs::set_permissions(&own, PermissionsExt::from_mode(0o600)).expect("chmod");
    chown(&own, Some(1000), Some(1000)).expect("chown");
    let powerless = [&with[..], &["--cap-drop", "DAC_OVERRIDE", "--cap-drop", "DAC_READ_SEARCH"]].concat();
    let closed = run(&powerless, false);
    let row = closed.row("ssh/identity", &["/keys/id"]);
    assert!(row["message"].as_str().expect("a message").contains("may not read it"), "{row:#}");
}

pub fn a_file_of_known_hosts_that_the_job_may_not_read() {
    image::for_ssh().expect("the image");
    let directory = shared();
    let authorized = key(&directory.path().join("id"), "ed25519");
    let server = SshServer::start(directory.path(), "builder", &authorized);
    let known = server.line(BUILDER);
    let run = |owner: u32| {
        let powerless = ["--cap-drop", "DAC_OVERRIDE", "--cap-drop", "DAC_READ_SEARCH"];
        let job = job(directory.path(), "job", &server, &known, "", &powerless);
        let file = directory.path().join("job.known");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("chmod");
        chown(&file, Some(owner), Some(owner)).expect("chown");
        let said = ssh_in(&job, &[&format!("root@{BUILDER}"), "true"]).expect_err("it has no key");
        assert_eq!(said.contains(REFUSED), owner != 0, "{said}");
        doctor(&[], &[])
    };
    let (broken, repaired) = (run(1000), run(0));
    assert_twins("known-hosts-unreadable", &broken, &repaired, "ssh/host-known", &[BUILDER]);
    let row = broken.row("ssh/host-known", &[BUILDER]);
    assert!(row["message"].as_str().expect("a message").contains("/root/.ssh/known_hosts (not readable)"), "{row:#}");
    // For comparing and writing: no context can be looked from.
    doctor(&["--deadline", "0.5"], &[]).keep("ssh-no-time");
}
