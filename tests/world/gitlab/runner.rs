//! A real GitLab Runner with its docker executor: one process under its own directory, given one job after the other.
//!
//! `runner-build/build` makes it and its helper. Its images are imported here and never pulled. What it leaves behind goes with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::coordinator::{Coordinator, Ended, RUNNER_TOKEN};
use crate::engine::{self, Background, docker};
use crate::image;

/// By them the suite finds what it has to remove.
const LABELS: &str = "\n[runners.docker.container_labels]\n\"parallax.world\" = \"1\"\n";

/// What `config.toml` says of a job, beside what every runner needs.
#[derive(Default)]
pub struct Configured {
    /// `volumes` of `[runners.docker]`.
    pub volumes: Vec<String>,
    /// `environment` of `[[runners]]`.
    pub environment: Vec<String>,
    /// `user` of `[runners.docker]`.
    pub user: Option<&'static str>,
}

/// The process and who it talks to.
pub struct Runner {
    pub directory: tempfile::TempDir,
    coordinator: Coordinator,
    process: Background,
}

/// Whether there is a runner, or what one can be built with; it is built when the first world needs it.
pub fn available() -> Result<(), String> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/runner/gitlab-runner").exists();
    let go = || Command::new("go").arg("version").output().is_ok_and(|said| said.status.success());
    if built || go() || Path::new("/usr/local/go/bin/go").exists() {
        Ok(())
    } else {
        Err("there is neither a GitLab Runner in .cache/runner nor Go to build one".into())
    }
}

/// The two programs, built when they are missing or behind.
fn programs() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new(root.join("tests/world/runner-build/build")).output().map_err(|e| e.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(root.join(".cache/runner")) } else { Err(said) }
    };
    BUILT.get_or_init(build).clone()
}

impl Runner {
    /// Builds what is missing and starts it, without a configured job.
    pub fn start() -> Self {
        let programs = programs().expect("a GitLab Runner");
        image::for_runner(&programs.join("gitlab-runner-helper")).expect("the images of runner and job");
        let directory = tempfile::Builder::new().prefix("parallax-world-runner-").tempdir_in("/var/tmp").expect("one");
        let coordinator = Coordinator::start();
        let file = directory.path().join("config.toml");
        std::fs::write(&file, config(&coordinator.url, &Configured::default())).expect("config.toml");
        let log = std::fs::File::create(directory.path().join("log")).expect("a log");
        let process = Command::new(programs.join("gitlab-runner"))
            .args(["run", "--config"])
            .arg(&file)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", directory.path())
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the runner starts");
        let runner = Self { directory, coordinator, process: Background(process) };
        // Said after it has begun to listen for the signal to read its configuration anew.
        runner.wait_for(|log| log.contains("Initializing executor providers"));
        runner
    }

    /// Has it read a new configuration, and run this job by it.
    pub fn run(&self, configured: &Configured, job: Value) -> Ended {
        self.configure(&config(&self.coordinator.url, configured));
        self.hand(job)
    }

    /// Has it run this job by the configuration that it has.
    pub fn hand(&self, job: Value) -> Ended {
        self.coordinator.run(job, Duration::from_secs(120))
    }

    /// Has it read this configuration.
    pub fn configure(&self, text: &str) {
        std::fs::write(self.directory.path().join("config.toml"), text).expect("config.toml");
        let seen = self.log().matches("Configuration loaded").count();
        let pid = rustix::process::Pid::from_child(&self.process.0);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).expect("the runner lives");
        self.wait_for(|log| log.matches("Configuration loaded").count() > seen);
    }

    /// A runner's configuration from `docs/templates/runner`, with what of it belongs to another place than this one replaced: its server and
    /// token, its images, which are never pulled here, and paths of the host.
    pub fn template(&self, file: &str, image: &str, paths: &[(&str, &str)]) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/templates/runner").join(file);
        let mut text = std::fs::read_to_string(path).expect("a template");
        let line = text.lines().find(|line| line.starts_with("image = ")).expect("an image").to_owned();
        let helper = format!("pull_policy = [\"never\"]\nhelper_image = \"{}\"", image::HELPER);
        let image = format!("image = \"{image}\"");
        let mut replaced = vec![
            ("https://gitlab.example.com", self.coordinator.url.as_str()),
            ("glrt-REPLACE-THIS-TOKEN", RUNNER_TOKEN),
            ("pull_policy = [\"if-not-present\"]", &helper),
            (&line, &image),
        ];
        replaced.extend(paths);
        for (from, to) in replaced {
            assert!(text.contains(from), "{file} has {from}");
            text = text.replace(from, to);
        }
        text.replace("concurrent = ", "check_interval = 1\nconcurrent = ") + LABELS
    }

    fn wait_for(&self, said: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while !said(&self.log()) {
            assert!(begun.elapsed() < Duration::from_secs(20), "the runner does not get on: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the runner itself has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).expect("a log")
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.process.0.kill();
        let _ = self.process.0.wait();
        engine::sweep();
        let volumes = docker(&["volume", "ls", "-q", "--filter", "label=com.gitlab.gitlab-runner.managed=true"]);
        for volume in volumes.unwrap_or_default().split_whitespace() {
            let _ = docker(&["volume", "rm", volume]);
        }
    }
}

fn config(url: &str, configured: &Configured) -> String {
    let text = |value: &str| toml::Value::from(value).to_string();
    let list = |values: &[String]| toml::Value::from(values.to_vec()).to_string();
    let user = configured.user.map(|user| format!("user = {}\n", text(user))).unwrap_or_default();
    format!(
        "concurrent = 1\ncheck_interval = 1\nlog_format = \"text\"\n\n\
         [[runners]]\nname = \"parallax-world\"\nurl = {}\nid = 1\ntoken = {}\nexecutor = \"docker\"\nenvironment = {}\n\n\
         [runners.docker]\nimage = {}\nhelper_image = {}\npull_policy = [\"never\"]\n{user}volumes = {}\n{LABELS}",
        text(url),
        text(RUNNER_TOKEN),
        list(&configured.environment),
        text(image::BUSYBOX),
        text(image::HELPER),
        list(&configured.volumes),
    )
}
