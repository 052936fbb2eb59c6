//! Targets that misbehave: they die, hang, never end. The run ends in time all the same, says what it lacks, and never takes
//! what it could not see for coherent.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{FdFlags, fcntl_setfd};
use serde_json::Value;

use crate::doctor::{Report, doctor, parallax, read};
use crate::engine::{Container, docker};
use crate::image::{BUSYBOX, NIX};
use crate::user::User;

/// Labels and variables that make a container a job.
pub const JOB: [&str; 4] =
    ["--label", "com.gitlab.gitlab-runner.managed=true", "--label", "com.gitlab.gitlab-runner.type=build"];
pub const SLEEP: &[&str] = &["sleep", "900"];

/// What the report says of a context.
pub fn context<'a>(report: &'a Report, id: &str) -> &'a Value {
    let contexts = report.json["contexts"].as_array().expect("contexts");
    let found = contexts.iter().find(|context| context["id"] == id);
    found.unwrap_or_else(|| panic!("{id} is in the report: {contexts:#?}"))
}

/// The rows in which a context takes part, by outcome.
fn rows_of(report: &Report, id: &str, outcome: &str) -> usize {
    let takes_part = |finding: &&&Value| {
        let participants = finding["participants"].as_array().expect("participants");
        participants.iter().any(|one| one["contexts"].as_array().is_some_and(|ids| ids.iter().any(|other| other == id)))
    };
    let findings = report.findings();
    findings.iter().filter(|finding| finding["outcome"] == outcome).filter(takes_part).count()
}

/// The exit code is the one that the verdict stands for, and none of those for a failed run.
pub fn ends_by_the_rules(report: &Report) {
    let verdict = report.json["summary"]["verdict"].as_str().unwrap_or_default();
    let expected = match verdict {
        "coherent" => 0,
        "incoherent" => 1,
        "undetermined" => 3,
        "warnings" => 4,
        other => panic!("the verdict is {other:?}: {:#}\n{}", report.json["failure"], report.errors),
    };
    assert_eq!(report.code, expected, "{verdict}");
}

/// A Docker socket that takes every connection, tells of the first, and never says a word.
struct SilentEngine {
    directory: tempfile::TempDir,
    asked: mpsc::Receiver<()>,
}

impl SilentEngine {
    fn listen() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(directory.path().join("docker.sock")).expect("a socket");
        let (tell, asked) = mpsc::channel();
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming() {
                held.push(stream);
                if tell.send(()).is_err() {
                    return;
                }
            }
        });
        Self { directory, asked }
    }

    fn path(&self) -> String {
        self.directory.path().join("docker.sock").display().to_string()
    }

    fn url(&self) -> String {
        format!("unix://{}", self.path())
    }
}

pub fn an_engine_that_accepts_and_never_answers_costs_seconds_and_a_note() {
    let engine = SilentEngine::listen();
    let report = doctor(&["--offline"], &[("DOCKER_HOST", engine.url())]);
    assert!(report.took < Duration::from_secs(12), "{:?}", report.took);
    assert!(engine.asked.try_recv().is_ok(), "it was asked");
    let notes = report.json["notes"].to_string();
    assert!(notes.contains(&engine.path()), "the note names the socket: {notes}");
    assert_eq!(context(&report, "host")["entry"], "native");
    ends_by_the_rules(&report);
}

/// The silent engine is asked after processes were listed and before contexts are entered: what ends in between has been discovered.
pub fn a_container_that_ends_during_the_run_is_reported_and_never_coherent() {
    let engine = SilentEngine::listen();
    let variables = ["-e", "CI=true", "-e", "GITLAB_CI=true", "-e", "CI_JOB_ID=1", "-e", "CI_PROJECT_DIR=/builds"];
    let options: Vec<&str> = JOB.iter().chain(&variables).copied().collect();
    let container = Container::run("parallax-world-mortal", &options, BUSYBOX, SLEEP);
    let child = parallax()
        .args(["doctor", "--format", "json", "--offline"])
        .env("DOCKER_HOST", engine.url())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("parallax runs");
    engine.asked.recv_timeout(Duration::from_secs(10)).expect("the engine is asked");
    docker(&["kill", &container.name]).expect("it ends");
    let report = read(&child.wait_with_output().expect("parallax ends"));
    report.keep("ended-during-the-run");
    ends_by_the_rules(&report);
    let contexts = report.json["contexts"].as_array().expect("contexts");
    let gone: Vec<&Value> = contexts.iter().filter(|context| context["entry"] == "none").collect();
    assert_eq!(gone.len(), 1, "the context that ended is in the report: {contexts:#?}");
    assert!(gone[0]["limits"].to_string().contains("ended"), "{:#}", gone[0]);
    let id = gone[0]["id"].as_str().expect("an id");
    assert_eq!(rows_of(&report, id, "coherent"), 0);
    assert!(report.findings().iter().any(|f| f["outcome"] == "unknown" && f["reasons"].to_string().contains(id)));
    assert_eq!(report.code, 3, "what is unknown of it decides");
}

/// A FUSE filesystem whose server answers its first message, takes every other and answers none (`fuse(4)`, `include/uapi/linux/fuse.h`).
/// Whoever waits for a request that was taken can't be killed.
pub struct DeadMount {
    place: PathBuf,
    server: Option<std::thread::JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl DeadMount {
    pub fn at(place: &Path) -> Self {
        std::fs::create_dir_all(place).expect("a place");
        let server: OwnedFd =
            std::fs::File::options().read(true).write(true).open("/dev/fuse").expect("/dev/fuse").into();
        // mount(8) gets it at the same number.
        fcntl_setfd(&server, FdFlags::empty()).expect("inheritable");
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", server.as_raw_fd());
        let mut mount = Command::new("mount");
        let status = mount.args(["-i", "-t", "fuse", "-o", &options, "dead"]).arg(place).status().expect("mount runs");
        fcntl_setfd(&server, FdFlags::CLOEXEC).expect("not inheritable");
        assert!(status.success(), "mount: {status}");
        let mut message = vec![0; 1 << 20];
        rustix::io::read(&server, &mut message[..]).expect("FUSE_INIT");
        let unique: [u8; 8] = message[8..16].try_into().expect("eight bytes");
        rustix::io::write(&server, &initialised(unique)).expect("the answer");
        fcntl_setfl(&server, OFlags::NONBLOCK).expect("non-blocking");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let server = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let _ = rustix::io::read(&server, &mut message[..]);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { place: place.to_owned(), server: Some(server), stop }
    }
}

/// `fuse_out_header` and `fuse_init_out` of protocol 7.31.
fn initialised(unique: [u8; 8]) -> Vec<u8> {
    let mut answer = Vec::new();
    answer.extend(80_u32.to_ne_bytes());
    answer.extend(0_i32.to_ne_bytes());
    answer.extend(unique);
    answer.extend([7_u32, 31, 0, 0].into_iter().flat_map(u32::to_ne_bytes));
    answer.extend([12_u16, 9].into_iter().flat_map(u16::to_ne_bytes));
    answer.extend(4096_u32.to_ne_bytes());
    answer.resize(80, 0);
    answer
}

impl Drop for DeadMount {
    fn drop(&mut self) {
        // Its end closes the connection, and so ends whatever waits below.
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.server.take().map(std::thread::JoinHandle::join);
        let _ = Command::new("umount").arg("--lazy").arg(&self.place).status();
    }
}

/// Contents of `/proc/<pid>/stat`, third field, of every process whose command line begins with the child's word.
fn children_in_uninterruptible_sleep() -> usize {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let is_stuck_child = |directory: &PathBuf| {
        let line = std::fs::read(directory.join("cmdline")).unwrap_or_default();
        let stat = std::fs::read_to_string(directory.join("stat")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(parallax::context::enter::ARGUMENT)
            && stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('D'))
    };
    processes.map(|entry| entry.path()).filter(is_stuck_child).count()
}

pub fn a_filesystem_that_never_answers_costs_its_family_and_not_the_run() {
    const NAME: &str = "parallax-world";
    let home = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
    let _user = User::add(NAME, home.path());
    let mount = DeadMount::at(&home.path().join(".aws"));
    let id = format!("user:{NAME}");

    // Time enough for the others: one family is given up, and the rest of the context is looked at.
    let patient = doctor(&["--offline", "--user", NAME, "--deadline", "25"], &[]);
    patient.keep("dead-filesystem");
    assert!(patient.took < Duration::from_secs(20), "{:?}", patient.took);
    let seen = context(&patient, &id);
    assert_eq!(seen["entry"], "entered");
    assert!(seen["limits"].to_string().contains("credentials: no answer"), "the family is named: {seen:#}");
    assert!(!seen["limits"].to_string().contains("network:"), "the others were seen: {seen:#}");
    assert_eq!(context(&patient, "host")["limits"].to_string().matches("no answer").count(), 0);
    ends_by_the_rules(&patient);

    // The caller's deadline is the end, whatever hangs; and the child that the first run had to leave behind is nobody's context.
    let hasty = doctor(&["--offline", "--user", NAME, "--deadline", "3"], &[]);
    assert!(hasty.took < Duration::from_millis(4500), "{:?}", hasty.took);
    hasty.keep("dead-filesystem-hasty");
    let seen = context(&hasty, &id);
    assert!(seen["limits"].to_string().contains("credentials: no answer"), "{seen:#}");
    assert_ne!(hasty.code, 0, "what hung is not coherent");
    ends_by_the_rules(&hasty);
    assert!(children_in_uninterruptible_sleep() > 0, "they hang for good: to wait for them would have been for ever");
    drop(mount);
}

/// What stands in place of nix.conf, and what must be said of it.
fn odd_files(directory: &Path) -> Vec<(&'static str, PathBuf, &'static str)> {
    let fifo = directory.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo").success());
    let endless = directory.join("endless");
    std::fs::File::create(&endless).and_then(|file| file.set_len(1 << 40)).expect("a sparse file");
    vec![
        ("fifo", fifo, "not-regular"),
        ("device", "/dev/zero".into(), "not-regular"),
        ("endless", endless, "truncated"),
    ]
}

pub fn what_stands_for_a_file_and_is_none_is_named_and_never_waited_for() {
    let directory = tempfile::Builder::new().prefix("parallax-world-").tempdir_in("/var/tmp").expect("a directory");
    for (name, file, reason) in odd_files(directory.path()) {
        let mount = format!("{}:/etc/nix/nix.conf", file.display());
        let options: Vec<&str> = JOB.iter().copied().chain(["-v", &mount]).collect();
        let container = Container::run(&format!("parallax-world-{name}"), &options, NIX, SLEEP);
        let begun = Instant::now();
        let output = parallax().args(["probe", "--container", &container.name]).output().expect("parallax runs");
        assert!(begun.elapsed() < Duration::from_secs(10), "{name}: {:?}", begun.elapsed());
        let snapshot: Value = serde_json::from_slice(&output.stdout).expect("a snapshot");
        let unobserved = snapshot["unobserved"].as_object().expect("a table");
        let named = unobserved.iter().any(|(path, why)| {
            path.starts_with("nix.") && why["reason"] == reason && why.to_string().contains("/etc/nix/nix.conf")
        });
        assert!(named, "{name}: {unobserved:#?}");
        assert!(snapshot["facts"]["nix"]["substituters"].is_null(), "{name}: no default stands for what was not read");
        let report = doctor(&["--offline"], &[]);
        ends_by_the_rules(&report);
        assert_eq!(context(&report, &format!("container:{}", container.name))["entry"], "entered", "{name}");
        assert_ne!(report.code, 0, "{name}: {:#?}", report.with_outcome("unknown"));
    }
}

/// Links that a container makes itself. Only the last leads to a place that is not there.
pub fn links_into_procfs_are_neither_followed_nor_taken_for_missing() {
    let secret = "PROCFS_CANARY=substituters = http://procfs-canary.invalid";
    let options: Vec<&str> = JOB.iter().copied().chain(["-e", secret]).collect();
    let container = Container::run("parallax-world-job", &options, BUSYBOX, SLEEP);
    let link = |target: &str| {
        let script = format!("/bin/busybox mkdir -p /etc/nix && /bin/busybox ln -sfn {target} /etc/nix/nix.conf");
        container.exec(&["/bin/sh", "-c", &script]).expect("a link");
        let output = parallax().args(["probe", "--container", &container.name]).output().expect("parallax runs");
        assert!(!String::from_utf8_lossy(&output.stdout).contains("procfs-canary"), "{target} was read");
        let snapshot: Value = serde_json::from_slice(&output.stdout).expect("a snapshot");
        snapshot["unobserved"].as_object().expect("a table").keys().any(|path| path.starts_with("nix.files"))
    };
    for target in
        ["/proc/1/environ", "/proc/self/environ", "/proc/self/root/etc/passwd", "/sys/kernel/notes", "nix.conf"]
    {
        assert!(link(target), "{target} is said to be unobserved");
    }
    assert!(!link("/nonexistent"), "what leads nowhere is not there");
}

/// The binary where everybody may start it.
fn for_everybody() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::Builder::new().prefix("parallax-world-").tempdir_in("/var/tmp").expect("a directory");
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).expect("chmod");
    let program = directory.path().join("parallax");
    std::fs::copy(env!("CARGO_BIN_EXE_parallax"), &program).expect("a copy");
    assert_ne!(std::fs::metadata(&program).expect("metadata").mode() & 0o005, 0, "others may start it");
    (directory, program)
}

pub fn without_root_it_says_what_was_lost_and_judges_the_rest() {
    let container = Container::run("parallax-world-job", &JOB, BUSYBOX, SLEEP);
    let (_directory, program) = for_everybody();
    let run = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all"]).arg(&program);
        command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/").current_dir("/");
        command.output().expect("setpriv runs")
    };
    let report = read(&run(&["doctor", "--offline", "--format", "json"]));
    report.keep("without-root");
    ends_by_the_rules(&report);
    assert_eq!(context(&report, "host")["entry"], "native");
    let said = report.json["notes"].to_string() + &report.json["contexts"].to_string();
    assert!(
        said.contains("EACCES") || said.contains("denied") || said.contains("root"),
        "it says what was lost: {said}"
    );
    assert_ne!(report.code, 0, "a container that could not be looked at is not coherent: {said}");

    let listed = run(&["contexts", "--json"]);
    assert!(listed.status.success());
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let refused = listed["contexts"].as_array().expect("contexts").iter().filter(|one| one["refused"].is_string());
    assert!(refused.count() > 0 || !listed["notes"].as_array().expect("notes").is_empty(), "{listed:#}");
    drop(container);
}

/// A finding without what may differ between two runs.
fn settled(report: &Report) -> Vec<String> {
    let text = |finding: &Value| {
        let told: Vec<String> = ["check", "subject", "outcome", "message"].map(|key| finding[key].to_string()).into();
        told.join(" ") + &finding["participants"].to_string()
    };
    report.findings().into_iter().map(text).collect()
}

pub fn two_runs_over_one_world_give_the_same_findings_in_the_same_order() {
    let containers: Vec<Container> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| Container::run(&format!("parallax-world-{name}"), &JOB, BUSYBOX, SLEEP))
        .collect();
    let runs: Vec<Vec<String>> = (0..3).map(|_| settled(&doctor(&["--offline"], &[]))).collect();
    assert!(runs[0].iter().any(|finding| finding.contains("parallax-world-a")));
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0], runs[2]);
    drop(containers);
}

pub fn runs_beside_each_other_do_not_take_the_others_children_for_contexts() {
    let container = Container::run("parallax-world-job", &JOB, BUSYBOX, SLEEP);
    let ids = |report: &Report| -> Vec<String> {
        let contexts = report.json["contexts"].as_array().expect("contexts");
        contexts.iter().map(|one| one["id"].as_str().expect("an id").to_owned()).collect()
    };
    let alone = doctor(&["--offline"], &[]);
    let (alone, off_chain) = (ids(&alone), alone.json["summary"]["off_chain"].clone());
    let beside: Vec<_> = (0..6).map(|_| std::thread::spawn(|| doctor(&["--offline"], &[]))).collect();
    for run in beside {
        let report = run.join().expect("it ends");
        assert_eq!(ids(&report), alone);
        assert_eq!(report.json["summary"]["off_chain"], off_chain);
    }
    drop(container);
}
