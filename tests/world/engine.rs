//! A real Docker Engine: the one that runs here, or one that this suite raises; and containers that go when they are dropped.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::image;

/// Every container and image of this suite carries it.
const LABEL: &str = "parallax.world=1";

static RAISED: OnceLock<Result<(), String>> = OnceLock::new();

/// Makes sure that an engine answers. The reason why it can't is what a skipped test is named with.
pub fn available() -> Result<(), String> {
    RAISED.get_or_init(raise).clone()
}

fn answers() -> bool {
    Command::new("docker")
        .args(["info", "--format", "{{.ID}}"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|s| s.success())
}

fn raise() -> Result<(), String> {
    if !answers() {
        let log = std::fs::File::create("/tmp/parallax-world-dockerd.log").map_err(|e| e.to_string())?;
        let errors = log.try_clone().map_err(|e| e.to_string())?;
        Command::new("dockerd")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(|e| format!("no Docker Engine answers and dockerd can't be started: {e}"))?;
        let start = Instant::now();
        while !answers() {
            if start.elapsed() > Duration::from_secs(60) {
                return Err("dockerd did not answer within 60 s; see /tmp/parallax-world-dockerd.log".into());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    sweep();
    image::build_all()
}

/// Removes what an earlier, interrupted run left behind.
pub fn sweep() {
    let list = docker(&["ps", "-aq", "--filter", &format!("label={LABEL}")]).unwrap_or_default();
    for id in list.split_whitespace() {
        let _ = docker(&["rm", "-f", id]);
    }
}

/// Removes the images of this suite that no container uses, those of earlier runs too.
pub fn remove_images() {
    let _ = docker(&["image", "prune", "--force", "--all", "--filter", &format!("label={LABEL}")]);
}

/// Runs the Docker client and returns its output.
pub fn docker(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(arguments).output().map_err(|e| format!("docker: {e}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(format!("docker {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)))
    }
}

/// Makes an image of a directory.
pub fn import(tree: &Path, name: &str) -> Result<(), String> {
    let mut tar = Command::new("tar")
        .arg("-C")
        .arg(tree)
        .args(["-c", "."])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let out = tar.stdout.take().ok_or("tar has no output")?;
    let status = Command::new("docker")
        .args(["import", "--change", &format!("LABEL {LABEL}"), "-", name])
        .stdin(out)
        .stdout(Stdio::null())
        .status()
        .map_err(|e| e.to_string())?;
    let packed = tar.wait().map_err(|e| e.to_string())?;
    if status.success() && packed.success() { Ok(()) } else { Err(format!("docker import {name} failed")) }
}

/// The address of the host on the default bridge: what a container reaches the host by.
pub fn gateway() -> String {
    let output = Command::new("ip").args(["-4", "-o", "address", "show", "docker0"]).output().expect("ip runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let address =
        text.split_whitespace().skip_while(|word| *word != "inet").nth(1).and_then(|word| word.split('/').next());
    address.expect("the default bridge has an address").to_owned()
}

/// A running container.
pub struct Container {
    pub name: String,
}

impl Container {
    /// Runs `command` in the background. `options` are those of `docker run`.
    pub fn run(name: &str, options: &[&str], image: &str, command: &[&str]) -> Self {
        let _ = docker(&["rm", "-f", name]);
        let mut arguments = vec!["run", "-d", "--name", name, "--label", LABEL];
        arguments.extend_from_slice(options);
        arguments.push(image);
        arguments.extend_from_slice(command);
        docker(&arguments).expect("the container starts");
        Self { name: name.to_owned() }
    }

    /// Runs a command inside, as an oracle only: parallax never does.
    pub fn exec(&self, command: &[&str]) -> Result<String, String> {
        let mut arguments = vec!["exec", self.name.as_str()];
        arguments.extend_from_slice(command);
        docker(&arguments)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = docker(&["rm", "-f", &self.name]);
    }
}

/// A process that is killed when it is dropped.
pub struct Background(pub Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
