//! Paths that one context names and another must see: roots of a real collector, netrc-files of a real daemon's clients, sockets of a real engine that is
//! started anew, volumes that a job has the host's engine mount. Nix, curl and the containers themselves are the oracles.

use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use crate::doctor::{Report, assert_twins, doctor, parallax};
use crate::engine::{Background, Container, docker, gateway};
use crate::hostile::DeadMount;
use crate::image::{BUSYBOX, CURL, NIX};
use crate::nix::NixDaemon;
use crate::signatures::{self, FORGETFUL, PASSWORD};

const JOB: &str = "parallax-world-job";
const SLEEP: &[&str] = &["sleep", "900"];
const LABELS: [&str; 4] =
    ["--label", "com.gitlab.gitlab-runner.managed=true", "--label", "com.gitlab.gitlab-runner.type=build"];

/// A container like a runner's.
fn job(image: &str, options: &[String]) -> Container {
    let all: Vec<&str> = LABELS.into_iter().chain(options.iter().map(String::as_str)).collect();
    Container::run(JOB, &all, image, SLEEP)
}

fn options(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The daemon's socket and store at the daemon's own paths, and what else is mounted.
fn of_daemon(nix: &NixDaemon, further: &[String]) -> Vec<String> {
    let store = nix.text("store");
    let mut all = options(&["-e", "NIX_REMOTE=daemon", "-e"]);
    all.push(format!("NIX_STORE_DIR={store}"));
    all.extend(["-v".to_owned(), format!("{}:/nix/var/nix/daemon-socket", nix.text("var/daemon-socket"))]);
    all.extend(["-v".to_owned(), format!("{store}:{store}:ro")]);
    all.extend(further.iter().cloned());
    all
}

/// Runs a program of Nix with the daemon's own directories, and gives what it printed.
fn said(nix: &NixDaemon, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    let output =
        command.args(arguments).envs(nix.environment()).env("HOME", nix.path("nobody")).output().expect("runs");
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn message<'a>(report: &'a Report, check: &str, words: &[&str]) -> &'a str {
    report.row(check, words)["message"].as_str().expect("a message")
}

/// A daemon with one path in its store, and a link to be made of it.
struct Built {
    nix: NixDaemon,
    path: String,
    directory: String,
    link: String,
}

impl Built {
    fn new() -> Self {
        let nix = NixDaemon::start("sandbox = false\ntrusted-users = root\n");
        let expression = "derivation { name = \"held\"; system = builtins.currentSystem; builder = \"/bin/sh\"; \
                          args = [\"-c\" \"echo held > $out\"]; }";
        let path = said(&nix, "nix-build", &["--no-out-link", "-E", expression]);
        let (directory, link) = (nix.text("builds/project"), nix.text("builds/project/result"));
        Self { nix, path, directory, link }
    }

    /// A job that makes its root by the daemon.
    fn job(&self, mounts: &[String]) -> Container {
        let container = job(NIX, &of_daemon(&self.nix, mounts));
        let (directory, path, link) = (&self.directory, &self.path, &self.link);
        let add = format!("mkdir -p {directory} && nix-store --realise {path} --add-root {link} --indirect");
        container.exec(&["sh", "-c", &add]).expect("the job makes its root");
        container
    }

    /// The job's directory is the host's.
    fn shared(&self) -> Vec<String> {
        std::fs::create_dir_all(&self.directory).expect("mkdir");
        vec!["-v".to_owned(), format!("{0}:{0}", self.directory)]
    }
}

pub fn a_root_that_a_job_made_where_the_collector_sees_nothing() {
    let built = Built::new();
    let (nix, path, link) = (&built.nix, &built.path, &built.link);
    let run = |mounts: &[String]| {
        let _job = built.job(mounts);
        let report = doctor(&[], &nix.environment());
        // The collector takes away what it finds stale, so it is asked last.
        (report, said(nix, "nix-store", &["--gc", "--print-roots"]))
    };
    let (broken, roots) = run(&[]);
    assert!(!roots.contains(path), "the collector has lost it: {roots}");
    let (repaired, roots) = run(&built.shared());
    assert!(roots.contains(link) && roots.contains(path), "the collector holds it: {roots}");
    assert_twins("root-lost", &broken, &repaired, "paths/gc-root", &["job", link]);
    let told = message(&broken, "paths/gc-root", &[link]);
    assert!(told.contains("nothing is at that path") && told.contains(path), "{told}");
    // Where the host has a link of its own there, the collector holds something else.
    let job = built.job(&[]);
    std::fs::remove_file(link).expect("removed");
    std::os::unix::fs::symlink(format!("{}-of-another-build", path), link).expect("a link");
    let elsewhere = doctor(&[], &nix.environment());
    let told = message(&elsewhere, "paths/gc-root", &["job", link]);
    assert!(told.contains("that path leads elsewhere"), "{told}");
    drop(job);
    // A link that was removed everywhere is nobody's loss; and many that are gone cost little.
    let auto = nix.path("var/gcroots/auto");
    for number in 0..1500 {
        std::os::unix::fs::symlink(format!("/builds/{number}/result"), auto.join(format!("gone{number}")))
            .expect("a link");
    }
    std::fs::remove_file(link).expect("removed");
    let removed = doctor(&[], &nix.environment());
    assert!(removed.rows("paths/gc-root", &[link]).is_empty(), "{:#?}", removed.rows("paths/gc-root", &[link]));
    assert!(removed.took.as_secs() < 10, "{:?}", removed.took);
    assert_eq!(removed.code, 0, "{:#?}", removed.with_outcome("unknown"));
}

pub fn a_root_below_a_filesystem_that_never_answers_costs_itself_and_no_other() {
    let mut built = Built::new();
    let dead = DeadMount::at(&built.nix.path("dead"));
    // The daemon stands in mounts of its own, and what is mounted later it does not see.
    built.nix.restart();
    let _job = built.job(&built.shared());
    let auto = built.nix.path("var/gcroots/auto/dead");
    std::os::unix::fs::symlink(built.nix.path("dead/result"), auto).expect("a link");
    let report = doctor(&["--offline"], &built.nix.environment());
    assert!(report.took.as_secs() < 20, "{:?}", report.took);
    report.keep("root-never-answers");
    assert_eq!(report.row("paths/gc-root", &["job", &built.link])["outcome"], "coherent");
    let daemon =
        report.json["contexts"].as_array().expect("contexts").iter().find(|one| one["id"] == "service:nix-daemon");
    assert!(daemon.expect("the daemon")["limits"].to_string().contains("paths: no answer"), "{daemon:#?}");
    // One context alone waits no longer for the others.
    let output = parallax().args(["probe", "--container", JOB]).output().expect("parallax runs");
    let snapshot: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(snapshot["facts"]["paths"]["seen"][0]["live"], true, "{:#}", snapshot["facts"]["paths"]);
    drop(dead);
}

pub fn a_netrc_that_a_trusted_job_has_the_daemon_open_where_it_is_not() {
    let mut world = signatures::World::new(Some("present"), Some(PASSWORD));
    let key = world.key("present");
    let configure = |world: &mut signatures::World, trusted: &str| {
        let keys = format!("trusted-public-keys = {key}\nsubstituters =\n");
        world.nix.configure(&format!("{FORGETFUL}{keys}trusted-users = {trusted}\n"));
        world.nix.restart();
    };
    configure(&mut world, "root");
    let inside = world.nix.text("secrets/netrc");
    let login = format!("machine {} login user password {PASSWORD}\n", gateway());
    let of_job = world.write("jobs/netrc", &login, 0);
    let run = |world: &signatures::World, source: &str, further: &[&str]| {
        let setting = format!("NIX_CONFIG=netrc-file = {inside}\nsubstituters = {}\n", world.url);
        let mounts = ["-v".to_owned(), format!("{source}:{inside}:ro"), "-e".to_owned(), setting];
        let container = job(NIX, &of_daemon(&world.nix, &[mounts.to_vec(), options(further)].concat()));
        // Nix says whether the daemon reads it: the cache asks for the login that stands there.
        let downloads = container.exec(&["nix-store", "--realise", &world.path]).is_ok();
        if downloads {
            said(&world.nix, "nix-store", &["--delete", &world.path]);
        }
        (doctor(&[], &world.nix.environment()), downloads)
    };
    let (broken, downloads) = run(&world, &of_job.display().to_string(), &[]);
    assert!(!downloads, "the daemon has no login");
    world.write("secrets/netrc", &login, 0);
    let (repaired, downloads) = run(&world, &inside, &[]);
    assert!(downloads, "the daemon reads the same file");
    assert_twins("netrc-of-job", &broken, &repaired, "paths/file-of-daemon", &["job", &inside]);
    let told = message(&broken, "paths/file-of-daemon", &[&inside]);
    assert!(told.contains("nothing is at that path"), "{told}");
    for report in [&broken, &repaired] {
        assert!(!report.json.to_string().contains(PASSWORD), "no password is printed");
    }
    // The daemon opens nothing for whom it does not trust: there nothing is asked of it, and nothing is lost by it.
    configure(&mut world, "nobody");
    std::fs::remove_dir_all(world.nix.path("secrets")).expect("removed");
    let (untrusted, downloads) = run(&world, &of_job.display().to_string(), &["-u", "1000:1000"]);
    assert!(!downloads);
    let row = untrusted.row("paths/file-of-daemon", &["job", &inside]);
    assert_eq!(row["outcome"], "coherent", "{row:#}");
}

pub fn a_netrc_that_the_user_of_a_job_may_not_read() {
    let directory = tempfile::Builder::new().prefix("parallax-world-").tempdir_in("/var/tmp").expect("a directory");
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
    let (netrc, conf) = (directory.path().join("netrc"), directory.path().join("nix.conf"));
    std::fs::write(&netrc, "machine cache.test login ci password cAnArY-of-netrc\n").expect("written");
    std::fs::write(&conf, "netrc-file = /etc/nix/netrc\n").expect("written");
    let run = |mode: u32| {
        std::fs::set_permissions(&netrc, PermissionsExt::from_mode(mode)).expect("chmod");
        let mut all = options(&["-u", "1000:1000", "-e", "HOME=/home/job", "-e", "NIX_REMOTE=local", "-v"]);
        all.push(format!("{}:/etc/nix/netrc:ro", netrc.display()));
        all.extend(["-v".to_owned(), format!("{}:/etc/nix/nix.conf:ro", conf.display())]);
        let container = job(NIX, &all);
        let reads = container.exec(&["cat", "/etc/nix/netrc"]).is_ok();
        (doctor(&[], &[]), reads)
    };
    let (broken, reads) = run(0o600);
    assert!(!reads, "the job's user is refused");
    let (repaired, reads) = run(0o644);
    assert!(reads, "the job's user reads it");
    assert_twins("netrc-unreadable", &broken, &repaired, "paths/netrc-readable", &["job", "/etc/nix/netrc"]);
    let told = message(&broken, "paths/netrc-readable", &["job"]);
    assert!(told.contains("it may not read"), "{told}");
}

/// An engine beside the one of this machine, with no network and no container.
struct Engine {
    directory: tempfile::TempDir,
    process: Option<Background>,
}

impl Engine {
    fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("parallax-world-").tempdir_in("/var/tmp").expect("a directory");
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
        std::fs::create_dir(directory.path().join("run")).expect("mkdir");
        let mut engine = Self { directory, process: None };
        engine.restart();
        engine
    }

    fn text(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn restart(&mut self) {
        self.stop();
        let log = std::fs::File::create(self.directory.path().join("log")).expect("a log");
        // In a network of its own: without one the engine would take away the bridge of the other.
        let mut command = Command::new("unshare");
        command.args(["--net", "dockerd"]);
        command.args(["--data-root", &self.text("data"), "--exec-root", &self.text("exec")]);
        command.args(["--pidfile", &self.text("pid"), "-H", &format!("unix://{}", self.text("run/docker.sock"))]);
        command.args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs"]);
        command.stdout(log.try_clone().expect("a log")).stderr(log);
        self.process = Some(Background(command.spawn().expect("dockerd starts")));
        let begun = std::time::Instant::now();
        while docker(&["-H", &format!("unix://{}", self.text("run/docker.sock")), "info"]).is_err() {
            assert!(begun.elapsed().as_secs() < 60, "the engine answers: {}", self.text("log"));
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// It ends by itself and takes its containerd along.
    fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let pid = i32::try_from(process.0.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let begun = std::time::Instant::now();
        while matches!(process.0.try_wait(), Ok(None)) && begun.elapsed().as_secs() < 20 {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    /// A job that is told of the engine, with these mounts besides.
    fn job(&self, further: &[String]) -> Container {
        let told = options(&["-e", "DOCKER_HOST=unix:///run/engine/docker.sock"]);
        job(CURL, &[told, further.to_vec()].concat())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What curl in the job says of the engine.
fn answers(container: &Container) -> bool {
    let asked = ["curl", "-sS", "--max-time", "5", "--unix-socket", "/run/engine/docker.sock", "http://engine/_ping"];
    container.exec(&asked).is_ok_and(|text| text == "OK")
}

pub fn a_socket_that_is_not_there_or_a_directory_or_left_from_before_a_restart_or_anothers() {
    let mut engine = Engine::start();
    let check = "paths/socket-answers";
    let directory = |engine: &Engine| ["-v".to_owned(), format!("{}:/run/engine", engine.text("run"))];
    let look = |container: &Container, expected: bool| {
        assert_eq!(answers(container), expected, "curl in the job");
        doctor(&[], &[])
    };
    let repaired = look(&engine.job(&directory(&engine)), true);
    let assert_told = |name: &str, broken: &Report, words: &str| {
        assert_twins(name, broken, &repaired, check, &["job", "DOCKER_HOST"]);
        let told = message(broken, check, &["job"]);
        assert!(told.contains(words), "{told}");
    };

    let broken = look(&engine.job(&[]), false);
    assert_told("socket-never-mounted", &broken, "nothing is there");

    let nothing = ["-v".to_owned(), format!("{}:/run/engine/docker.sock", engine.text("nothing"))];
    let broken = look(&engine.job(&nothing), false);
    assert_told("socket-directory", &broken, "a directory is there");

    let file = ["-v".to_owned(), format!("{}:/run/engine/docker.sock", engine.text("run/docker.sock"))];
    let container = engine.job(&file);
    assert!(answers(&container), "before the restart");
    engine.restart();
    let broken = look(&container, false);
    assert_told("socket-stale", &broken, "mounted as a file, and its engine was started anew");
    drop(container);
    // By its directory the same restart is survived.
    let container = engine.job(&directory(&engine));
    engine.restart();
    let survived = look(&container, true);
    assert_eq!(survived.row(check, &["job"])["outcome"], "coherent");
    drop(container);

    let socket = engine.text("run/docker.sock");
    std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o660)).expect("chmod");
    chown(&socket, Some(0), Some(4242)).expect("chown");
    let other = |groups: &[&str]| {
        engine.job(&[options(&["-u", "1000:1000"]), options(groups), directory(&engine).to_vec()].concat())
    };
    let broken = look(&other(&[]), false);
    assert_told("socket-not-ours", &broken, "this user may not connect");
    let grouped = look(&other(&["--group-add", "4242"]), true);
    assert_eq!(grouped.row(check, &["job"])["outcome"], "coherent");
}

pub fn a_volume_that_the_hosts_engine_takes_from_the_host_and_the_job_means_its_own() {
    let directory = tempfile::Builder::new().prefix("parallax-world-").tempdir_in("/var/tmp").expect("a directory");
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
    let builds = directory.path().join("builds").display().to_string();
    let project = format!("{builds}/group/project");
    let run = |mounted: &str| {
        let mut all = options(&["-v", "/var/run/docker.sock:/var/run/docker.sock", "-v"]);
        all.extend([format!("{mounted}:{builds}"), "-e".to_owned(), format!("CI_PROJECT_DIR={project}")]);
        let container = job(CURL, &all);
        container.exec(&["sh", "-c", &format!("mkdir -p {project} && touch {project}/sentinel")]).expect("a checkout");
        // The engine takes no other path from the job's client than from ours.
        let volume = format!("{project}:/x");
        let sibling = Container::run("parallax-world-sibling", &["-v", &volume], BUSYBOX, SLEEP);
        let sees = sibling.exec(&["test", "-e", "/x/sentinel"]).is_ok();
        (doctor(&[], &[]), sees)
    };
    let volume = "parallax-world-builds";
    let (broken, sees) = run(volume);
    let _ = docker(&["volume", "rm", volume]);
    assert!(!sees, "the sibling has the host's directory");
    let (repaired, sees) = run(&builds);
    assert!(sees, "the sibling has the job's directory");
    assert_twins("volume-of-host", &broken, &repaired, "paths/volume-source", &["job", &project]);
    let told = message(&broken, "paths/volume-source", &[&project]);
    assert!(told.contains("parallax-world-sibling") && told.contains("/x"), "{told}");
}

/// Where nobody could be looked from in time, nothing of this is said to be there, or not to be.
pub fn paths_that_there_was_no_time_for_are_unobserved() {
    let nix = NixDaemon::start("");
    let setting =
        options(&["-e", "NIX_CONFIG=netrc-file = /etc/nix/netrc", "-e", "DOCKER_HOST=unix:///run/docker.sock"]);
    let _job = job(NIX, &of_daemon(&nix, &setting));
    let report = doctor(&["--offline", "--deadline", "0.5"], &nix.environment());
    report.keep("paths-no-time");
    let named =
        report.findings().into_iter().filter(|f| f["check"].as_str().is_some_and(|id| id.starts_with("paths/")));
    assert!(named.clone().all(|finding| finding["outcome"] != "incoherent"));
    assert!(named.clone().any(|finding| finding["outcome"] == "unknown"), "{:#?}", named.collect::<Vec<_>>());
}
