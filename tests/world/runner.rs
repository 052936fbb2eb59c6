//! GitLab Runner's configuration beside real jobs: what the file alone shows, what a job has of it, and which file counts.
//!
//! The runner here is a process with a runner's name and command line that waits; what parallax reads of it, its words, environment and files, is real.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cache::Cache;
use crate::doctor::{Report, assert_twins, doctor, parallax};
use crate::engine::{Background, Container, gateway};
use crate::image::{BUSYBOX, NIX};
use crate::nix::NixDaemon;
use crate::user::User;

const SHORT: &str = "AbCdEfGhI";
const SLEEP: &[&str] = &["sleep", "900"];
/// The secrets that stand in the file.
const TOKEN: &str = "glrt-AbCdEfGhIjKlMnOpQrSt";
const SECRET: &str = "cache-secret-canary";

/// A process that is called `gitlab-runner run --config FILE` and waits until it is dropped.
pub struct Runner {
    pub directory: tempfile::TempDir,
    _process: Background,
}

impl Runner {
    /// Starts one with one `[[runners]]` entry: `lines` are the entry's own keys, `sections` what follows them.
    pub fn start(lines: &str, sections: &str) -> Self {
        let directory =
            tempfile::Builder::new().prefix("parallax-world-runner-").tempdir_in("/var/tmp").expect("a directory");
        let text = format!(
            "concurrent = 1\n\n[[runners]]\nname = \"world\"\ntoken = \"{TOKEN}\"\nexecutor = \"docker\"\n{lines}\n{sections}\n"
        );
        std::fs::write(directory.path().join("config.toml"), text).expect("config.toml");
        // The shell takes the word `run` for a script of its directory, and waits for its standard input.
        std::fs::write(directory.path().join("run"), "read -r _\n").expect("a script");
        let process = Command::new("bash")
            .arg0("gitlab-runner")
            .args(["run", "--config"])
            .arg(directory.path().join("config.toml"))
            .current_dir(directory.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", "/root")
            .stdin(Stdio::piped())
            .spawn()
            .expect("a process");
        std::thread::sleep(std::time::Duration::from_millis(100));
        Self { directory, _process: Background(process) }
    }
}

/// The labels that the runner sets on what it makes for a job.
pub fn labels(kind: &str) -> Vec<String> {
    let pairs = [
        ("managed", "true"),
        ("type", kind),
        ("runner.id", SHORT),
        ("runner.local_id", "0"),
        ("job.id", "4711"),
        ("project.id", "7"),
    ];
    pairs
        .iter()
        .flat_map(|(name, value)| ["--label".into(), format!("com.gitlab.gitlab-runner.{name}={value}")])
        .collect()
}

fn made(kind: &str, options: &[&str], image: &str) -> Container {
    let labels = labels(kind);
    let all: Vec<&str> = labels.iter().map(String::as_str).chain(options.iter().copied()).collect();
    Container::run(&format!("parallax-world-{kind}"), &all, image, SLEEP)
}

/// `[runners.docker]` with these volumes.
pub fn docker(volumes: &[String], more: &str) -> String {
    let quoted: Vec<String> = volumes.iter().map(|volume| format!("\"{volume}\"")).collect();
    format!("[runners.docker]\nimage = \"{NIX}\"\nvolumes = [{}]\n{more}\n", quoted.join(", "))
}

/// The volumes of a job that uses the host's daemon.
pub fn daemon_volumes(nix: &NixDaemon) -> Vec<String> {
    vec![
        format!("{}:/nix/var/nix/daemon-socket:ro", nix.text("var/daemon-socket")),
        format!("{}:/nix/store:ro", nix.text("store")),
    ]
}

const USES_DAEMON: &str = "environment = [\"NIX_REMOTE=daemon\"]";

/// Nothing secret of the file is in what was printed.
fn assert_no_secret(report: &Report) {
    for word in [TOKEN, &TOKEN[5..], SECRET] {
        assert!(!report.json.to_string().contains(word) && !report.errors.contains(word), "{word} was printed");
    }
}

pub fn a_runner_that_mounts_the_whole_of_nix_is_found_before_any_job_runs() {
    let nix = NixDaemon::start("");
    let whole = [format!("{}:/nix/var/nix", nix.text("var")), format!("{}:/nix/store", nix.text("store"))];
    let run = |lines: &str, volumes: &[String]| {
        let _runner = Runner::start(lines, &docker(volumes, ""));
        let report = doctor(&[], &nix.environment());
        assert_no_secret(&report);
        let listed = parallax().arg("contexts").output().expect("parallax runs");
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let declared = listed.lines().find(|line| line.starts_with(&format!("declared:runner:{SHORT}")));
        assert!(declared.is_some_and(|line| line.contains("does not run yet")), "{listed}");
        report
    };
    let (broken, repaired) = (run("", &whole), run(USES_DAEMON, &daemon_volumes(&nix)));
    let name = format!("runner:{SHORT}");
    assert_twins("declared-database", &broken, &repaired, "runner/database-volume", &[&name, "nix-daemon"]);
    assert_eq!(broken.row("runner/daemon-told", &[&name])["outcome"], "incoherent");
    assert_eq!(repaired.row("runner/daemon-told", &[&name])["outcome"], "coherent");
}

pub fn a_runner_whose_jobs_are_to_make_a_sandbox_without_the_right_to() {
    let nix = NixDaemon::start("");
    std::fs::write(nix.path("job.conf"), "experimental-features = nix-command flakes\nsandbox = true\n")
        .expect("nix.conf");
    let volumes = [format!("{}:/etc/nix/nix.conf:ro", nix.text("job.conf"))];
    let run = |more: &str| {
        let _runner = Runner::start("", &docker(&volumes, more));
        doctor(&[], &nix.environment())
    };
    let (broken, repaired) = (run(""), run("privileged = true\ncap_add = [\"SYS_ADMIN\"]"));
    assert_eq!(broken.code, 4, "a warning: {:#?}", broken.with_outcome("incoherent"));
    assert_twins("declared-sandbox", &broken, &repaired, "runner/sandbox-privilege", &[SHORT]);
}

pub fn a_cache_on_loopback_is_found_from_the_file_and_from_the_helper_and_never_brings_its_keys_there() {
    let cache = Cache::serve();
    let run = |address: &str| {
        let section = format!(
            "[runners.cache]\nType = \"s3\"\n[runners.cache.s3]\nServerAddress = \"{address}\"\nAccessKey = \"RUNNERKEY\"\nSecretKey = \"{SECRET}\"\nBucketName = \"cache\"\nInsecure = true\n{}",
            docker(&[], "")
        );
        let _runner = Runner::start("", &section);
        let _containers = [made("build", &[], BUSYBOX), made("predefined", &[], BUSYBOX)];
        let report = doctor(&[], &[]);
        assert_no_secret(&report);
        (report, snapshot("--container", "parallax-world-predefined"), snapshot("--service", "gitlab-runner"))
    };
    let (broken, _, _) = run(&format!("127.0.0.1:{}", cache.port));
    let (repaired, helper, service) = run(&format!("{}:{}", gateway(), cache.port));
    let check = "network/loopback-endpoint";
    for name in [format!("runner:{SHORT}"), "helper".to_owned()] {
        assert_twins("declared-cache", &broken, &repaired, check, &["gitlab-runner cache", &format!("({name})")]);
    }
    let keys = |snapshot: &Value| snapshot["facts"]["credentials"]["s3"].as_array().expect("keys").len();
    assert_eq!((keys(&helper), keys(&service)), (0, 1), "the runner's key stays with the runner");
    assert_eq!(service["facts"]["credentials"]["s3"][0]["provider"], "gitlab-runner");
    for seen in [&helper, &service] {
        assert!(!seen.to_string().contains(SECRET), "no secret in a snapshot");
    }
}

fn snapshot(kind: &str, name: &str) -> Value {
    let output = parallax().args(["probe", kind, name]).output().expect("parallax runs");
    serde_json::from_slice(&output.stdout).expect("a snapshot")
}

pub fn a_job_that_runs_with_other_mounts_and_rights_than_its_runner_declares() {
    let tools = tempfile::Builder::new().prefix("parallax-world-").tempdir_in("/var/tmp").expect("a directory");
    let source = tools.path().display().to_string();
    let run = |more: &str, options: &[&str]| {
        let _runner = Runner::start("", &docker(&[format!("{source}:/opt/tools:ro")], more));
        let _job = made("build", options, BUSYBOX);
        doctor(&[], &[])
    };
    let broken = run("privileged = true", &["-v", &format!("{source}:/opt/tools")]);
    let repaired = run("privileged = false", &["-v", &format!("{source}:/opt/tools:ro")]);
    assert_eq!(broken.code, 4, "warnings: {:#?}", broken.with_outcome("incoherent"));
    assert_twins("declared-volumes", &broken, &repaired, "runner/declared-volumes", &["/opt/tools", "job"]);
    assert_eq!(broken.row("runner/declared-privileged", &["job"])["outcome"], "incoherent");
    assert_eq!(repaired.row("runner/declared-privileged", &["job"])["outcome"], "coherent");
}

pub fn a_runner_that_was_registered_where_no_runner_reads_it() {
    const USER: &str = "parallax-world";
    let home = tempfile::Builder::new().prefix("parallax-world-").tempdir_in("/var/tmp").expect("a directory");
    let _user = User::add(USER, home.path());
    let own = home.path().join(".gitlab-runner");
    std::fs::create_dir_all(own.join("certs")).expect("mkdir");
    let certificate = format!("certs/{}.crt", gateway());
    std::fs::write(own.join(&certificate), "not looked into").expect("a certificate");
    let register = |token: &str| {
        let text = format!("[[runners]]\nurl = \"http://{}\"\ntoken = \"{token}\"\nexecutor = \"shell\"\n", gateway());
        std::fs::write(own.join("config.toml"), text).expect("config.toml");
        assert!(Command::new("chown").args(["-R", USER]).arg(home.path()).status().expect("chown").success());
    };
    let runner = Runner::start(&format!("url = \"https://{}\"", gateway()), &docker(&[], ""));
    let id = |text: &str| std::fs::write(runner.directory.path().join(".runner_system_id"), text).expect("an id");
    let run = || {
        let report = doctor(&["--offline", "--user", USER], &[]);
        assert_no_secret(&report);
        report
    };
    register("glrt-ZyXwVuTsRqPoNmLkJiHg");
    id("s_000000000000");
    let broken = run();
    broken.keep("registered-elsewhere-broken");
    let row = broken.row("runner/config-in-use", &["ZyXwVuTsR"]);
    assert_eq!(row["outcome"], "incoherent", "{row:#}");
    assert_eq!(broken.row("runner/system-id", &[])["outcome"], "incoherent");
    assert_eq!(broken.row("runner/certificate-found", &[&gateway()])["outcome"], "incoherent");
    assert_eq!(broken.code, 4, "{:#?}", broken.with_outcome("unknown"));

    register(TOKEN);
    id(snapshot("--service", "gitlab-runner")["facts"]["runner"]["machine_system_id"].as_str().expect("a machine id"));
    let laid = LaidDown::at(&Path::new("/etc/gitlab-runner").join(certificate));
    let repaired = run();
    repaired.keep("registered-elsewhere-repaired");
    for (check, words) in
        [("runner/config-in-use", SHORT), ("runner/system-id", ""), ("runner/certificate-found", USER)]
    {
        let row = repaired.row(check, &[words]);
        assert_eq!(row["outcome"], "coherent", "{row:#}");
    }
    assert!(repaired.with_outcome("incoherent").is_empty(), "{:#?}", repaired.with_outcome("incoherent"));
    assert_eq!(repaired.code, 0, "{:#?}", repaired.with_outcome("unknown"));
    drop(laid);
}

/// A file below `/etc` for as long as a world lasts, with the directories that it needed.
struct LaidDown(std::path::PathBuf);

impl LaidDown {
    fn at(path: &Path) -> Self {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("mkdir");
        std::fs::write(path, "not looked into").expect("a file");
        Self(path.to_owned())
    }
}

impl Drop for LaidDown {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        // Only empty ones go.
        self.0.ancestors().skip(1).take(2).for_each(|directory| drop(std::fs::remove_dir(directory)));
    }
}

pub fn a_configuration_that_the_runner_cannot_use_is_named_with_its_line() {
    let broken = {
        let _runner = Runner::start("", "[runners.docker]\nimage = \"a\"\nvolumes = [\n  \"/a:relative\",\n]\n");
        doctor(&["--offline"], &[])
    };
    let repaired = {
        let _runner = Runner::start("", "[runners.docker]\nimage = \"a\"\nvolumes = [\n  \"/var/tmp:/absolute\",\n]\n");
        doctor(&["--offline"], &[])
    };
    assert_twins("runner-refuses", &broken, &repaired, "runner/config-accepted", &["gitlab-runner"]);
    let message = broken.row("runner/config-accepted", &[])["message"].to_string();
    assert!(message.contains("config.toml:11 volumes"), "{message}");

    let _runner = Runner::start("", &docker(&[], ""));
    let unseen = doctor(&["--offline", "--deadline", "0.5"], &[]);
    unseen.keep("runner-no-time");
    assert_eq!(unseen.code, 3, "what could not be seen is not coherent: {}", unseen.errors);
}
